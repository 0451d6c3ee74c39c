#include "store/recovery.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "common/crc32c.h"
#include "common/log.h"

namespace cleat::store {
namespace {

constexpr size_t kReadBytes = 1 * kMiB;

// What recovery has gathered so far.
struct Recovery {
  PoolCore& pool;
  CatalogImage catalog;
  std::vector<SlotState> slots;
  std::vector<Batch> batches;
  std::vector<ScratchRecord> scratch;
  bool has_scratch = false;
  uint64_t seal = 0;
  uint64_t sequence = 0;                              // of the newest batch
  uint64_t position = 0;                              // behind it
  uint64_t catalog_count = 0;                         // the catalog is at least this new
  absl::flat_hash_map<uint32_t, SlotState> doubtful;  // to be said once more
};

io::Task<Result<void>> read_region(io::Disk& disk, uint64_t offset, MutableBuffer into) {
  for (size_t at = 0; at < into.size(); at += kReadBytes) {
    size_t size = std::min(kReadBytes, into.size() - at);
    Result<void> got = co_await disk.read(offset + at, into.subspan(at, size));
    CO_TRY(got);
  }
  co_return Result<void>{};
}

// --- catalog

io::Task<Result<CatalogImage>> read_catalog_copy(PoolCore& pool, uint64_t copy) {
  const Geometry& g = pool.geometry;
  uint64_t offset = g.catalog_offset + copy * g.catalog_bytes;
  AlignedBuffer first(kBlockSize);
  Result<void> got = co_await pool.disk->read(offset, first.span());
  CO_TRY(got);
  uint64_t length = catalog_length(first.span(), pool.superblock.salt);
  if (length == 0 || length > g.catalog_bytes) co_return fail(Code::kCorrupt, "catalog: none");
  AlignedBuffer bytes((length + kBlockSize - 1) / kBlockSize * kBlockSize);
  got = co_await read_region(*pool.disk, offset, bytes.span());
  CO_TRY(got);
  co_return decode_catalog(bytes.span(), pool.superblock.salt);
}

io::Task<Result<void>> read_catalog(Recovery& r) {
  Result<CatalogImage> best = fail(Code::kCorrupt, "catalog: both copies are damaged");
  for (uint64_t copy = 0; copy < 2; ++copy) {
    Result<CatalogImage> image = co_await read_catalog_copy(r.pool, copy);
    if (!image && image.error().code != Code::kCorrupt) co_return fail(image.error());
    if (image && (!best || image->count > best->count)) best = std::move(image);
  }
  if (!best) co_return fail(best.error());
  r.catalog = std::move(*best);
  co_return Result<void>{};
}

// --- extent table

io::Task<Result<void>> read_table(Recovery& r) {
  const Geometry& g = r.pool.geometry;
  r.slots.resize(g.slot_count());
  AlignedBuffer bytes(kReadBytes);
  for (uint64_t at = 0; at < g.table_bytes; at += kReadBytes) {
    size_t size = std::min<size_t>(kReadBytes, g.table_bytes - at);
    Result<void> got = co_await r.pool.disk->read(g.table_offset + at, bytes.span().first(size));
    CO_TRY(got);
    for (size_t i = 0; i < size / kSlotBytes; ++i) {
      auto slot = static_cast<uint32_t>(at / kSlotBytes + i);
      if (slot >= g.slot_count()) break;
      SlotImage image;
      std::memcpy(&image, bytes.data() + i * kSlotBytes, sizeof(image));
      uint64_t repaired = 0;
      Result<SlotState> state = decode_slot(r.pool.superblock.salt, slot, image, repaired);
      if (!state) {
        // The journal may still say what it is: told apart by an impossible layer until then.
        state = SlotState{UINT32_MAX, 0, 0};
      } else if (repaired != 0) {
        ++r.pool.slots_repaired;
        r.pool.table.mark_dirty(slot);
      }
      r.slots[slot] = *state;
    }
  }
  co_return Result<void>{};
}

Result<void> check_no_slot_is_damaged(const Recovery& r) {
  auto damaged = std::count_if(r.slots.begin(), r.slots.end(),
                               [](const SlotState& s) { return s.layer == UINT32_MAX; });
  if (damaged == 0) return {};
  LOG_ERROR("pool {}: {} slots of the extent table are damaged", r.pool.superblock.pool, damaged);
  return fail(
      Code::kCorrupt,
      "extent table: damaged slots, so that it is not known whose blocks are lost; create the "
      "pool anew and let its replicas be rebuilt from the others");
}

// --- journal

// A whole batch at `position` of the ring, unrolled when it goes on at the ring's start.
Result<Batch> batch_at(ConstBuffer ring, uint64_t position, uint64_t salt) {
  TRY_ASSIGN(BatchHeader header, decode_batch_header(ring.subspan(position), salt));
  uint64_t size = batch_bytes(header.payload_bytes);
  if (size > ring.size()) return fail(Code::kCorrupt, "journal: a batch larger than the ring");
  if (position + size <= ring.size()) return decode_batch(ring.subspan(position, size), salt);
  std::vector<std::byte> whole(ring.begin() + static_cast<ptrdiff_t>(position), ring.end());
  whole.insert(whole.end(), ring.begin(),
               ring.begin() + static_cast<ptrdiff_t>(size - whole.size()));
  return decode_batch(whole, salt);
}

// After the newest batch that can be read: one that is newer still was written only after it was
// complete, so then the ring is damaged in its middle.
Result<void> check_nothing_newer(ConstBuffer ring, uint64_t sequence, uint64_t salt) {
  for (uint64_t at = 0; at < ring.size(); at += kBlockSize) {
    auto header = decode_batch_header(ring.subspan(at), salt);
    if (header && header->sequence > sequence + 1) {
      return fail(Code::kCorrupt,
                  "journal: a batch is damaged and newer ones follow; create the pool anew and let "
                  "its replicas be rebuilt from the others");
    }
  }
  return {};
}

io::Task<Result<void>> read_journal(Recovery& r) {
  const Superblock& s = r.pool.superblock;
  AlignedBuffer ring(r.pool.geometry.journal_bytes);
  Result<void> got =
      co_await read_region(*r.pool.disk, r.pool.geometry.journal_offset, ring.span());
  CO_TRY(got);
  r.sequence = s.tail_sequence - 1;
  r.position = s.tail_position;
  r.catalog_count = s.catalog_count;
  for (;;) {
    Result<Batch> batch = batch_at(ring.span(), r.position, s.salt);
    if (!batch && batch.error().code == Code::kUnsupported) co_return fail(batch.error());
    if (!batch || batch->header.sequence != r.sequence + 1) break;
    r.sequence = batch->header.sequence;
    r.seal = batch->header.seal;
    r.catalog_count = std::max(r.catalog_count, batch->header.catalog_count);
    r.position = (r.position + batch_bytes(batch->header.payload_bytes)) % ring.size();
    for (const SlotRecord& record : batch->slots) {
      if (record.slot >= r.pool.geometry.slot_count()) {
        co_return fail(Code::kCorrupt, "journal: a record of a slot that does not exist");
      }
    }
    r.batches.push_back(std::move(*batch));
  }
  co_return check_nothing_newer(ring.span(), r.sequence, s.salt);
}

// Which of the record's fresh blocks hold the data that the check says.
io::Task<Result<uint32_t>> verified_blocks(Recovery& r, const SlotRecord& record) {
  AlignedBuffer extent(kExtentSize);
  Result<void> got =
      co_await r.pool.disk->read(r.pool.geometry.extent_offset(record.slot), extent.span());
  CO_TRY(got);
  uint32_t good = 0;
  for (uint32_t block = 0; block < kBlocksPerExtent; ++block) {
    if ((record.fresh >> block & 1) == 0) continue;
    uint32_t check = crc32c(extent.data() + block * kBlockSize, kBlockSize);
    if (check == record.crcs[block]) good |= 1U << block;
  }
  co_return good;
}

io::Task<Result<void>> replay_batch(Recovery& r, const Batch& batch, bool newest) {
  for (const SlotRecord& record : batch.slots) {
    SlotState state = record.state;
    if (newest && record.fresh != 0) {
      if (record.slot >= r.pool.geometry.extent_count) {
        co_return fail(Code::kCorrupt, "journal: data in a hole slot");
      }
      Result<uint32_t> good = co_await verified_blocks(r, record);
      CO_TRY(good);
      uint32_t lost = record.fresh & ~*good;
      if (lost != 0) {
        state.bits &= ~lost;
        r.doubtful[record.slot] = state;
      }
    }
    r.slots[record.slot] = state;
    r.pool.table.mark_dirty(record.slot);
  }
  co_return Result<void>{};
}

io::Task<Result<void>> replay(Recovery& r) {
  for (size_t i = 0; i < r.batches.size(); ++i) {
    bool newest = i + 1 == r.batches.size();
    Result<void> done = co_await replay_batch(r, r.batches[i], newest);
    CO_TRY(done);
  }
  co_return Result<void>{};
}

// --- catalog into memory

Result<void> build_layers(Recovery& r) {
  PoolCore& pool = r.pool;
  constexpr Error kSenseless{Code::kCorrupt, 0, "catalog: layers that make no sense"};
  pool.layers.set_next_id(r.catalog.next_layer);
  for (const CatalogLayer& entry : r.catalog.layers) {
    bool known = entry.id != kNoLayer && entry.id < r.catalog.next_layer &&
                 pool.layers.find(entry.id) == nullptr;
    if (!known) return fail(kSenseless);
    Layer* layer = pool.layers.restore(entry.id, entry.volume);
    layer->snapshot = entry.snapshot;
    layer->frozen = entry.frozen;
    layer->deleting = entry.deleting;
  }
  for (const CatalogLayer& entry : r.catalog.layers) {
    if (entry.parent == kNoLayer) continue;
    Layer* parent = pool.layers.find(entry.parent);
    // A layer is younger than what it is based on: no cycles.
    if (parent == nullptr || entry.parent >= entry.id) return fail(kSenseless);
    pool.layers.link(pool.layers.find(entry.id), parent);
  }
  return {};
}

Result<std::unique_ptr<Replica>> build_replica(Recovery& r, const CatalogVolume& entry) {
  auto replica = std::make_unique<Replica>();
  replica->volume = entry.volume;
  replica->top = r.pool.layers.find(entry.top);
  bool good = entry.size_blocks <= kSizeBlocksMax && replica->top != nullptr &&
              replica->top->volume == entry.volume && !replica->top->frozen;
  if (!good) return fail(Code::kCorrupt, "catalog: a volume that makes no sense");
  replica->size_blocks = entry.size_blocks;
  replica->epoch = entry.epoch;
  replica->generation = entry.generation;
  replica->record = entry.record;
  replica->recent_lost = entry.recent_lost;
  replica->intents.resize(entry.size_blocks);
  replica->dirty.resize(regions_of(entry.size_blocks));
  replica->dirty.load(entry.dirty, entry.unknown_as_of);
  for (const ZoneRun& run : entry.intents) {
    uint64_t end =
        std::min<uint64_t>(uint64_t{run.first} + run.count, kSizeBlocksMax / kBlocksPerZone);
    for (uint64_t zone = run.first; zone < end; ++zone) {
      replica->intents.open(static_cast<uint32_t>(zone));
    }
  }
  for (const core::RecentWrite& write : entry.recent) replica->recent.add(write);
  return replica;
}

void collect_frozen(PoolCore& pool) {
  pool.layers.for_each([&pool](Layer& layer) {
    Replica* replica = pool.find_replica(layer.volume);
    if (replica != nullptr && layer.frozen) replica->frozen.push_back(&layer);
  });
  for (const auto& [volume, store] : pool.replicas) {
    auto& frozen = pool.find_replica(volume)->frozen;
    std::sort(frozen.begin(), frozen.end(),
              [](const Layer* a, const Layer* b) { return a->id < b->id; });
  }
}

void replay_notes(Recovery& r) {
  for (const Batch& batch : r.batches) {
    if (batch.header.sequence <= r.catalog.applied_sequence) continue;
    for (const Note& note : batch.notes) r.pool.apply(note);
  }
}

// --- scratch

void apply_scratch_note(PoolCore& pool, const ScratchRecord& record,
                        std::vector<VolumeId>& stamps_lost) {
  Replica* replica = pool.find_replica(VolumeId(record.subject));
  if (replica == nullptr) return;
  switch (record.type) {
    case ScratchType::kRecent: {
      core::RecentWrite write{Seq(record.a), {record.b, record.count}};
      replica->recent.add(write);
      break;
    }
    case ScratchType::kEverywhere: replica->recent.known_everywhere(Seq(record.a)); break;
    case ScratchType::kClearRecent:
      replica->recent.clear();
      replica->recent_lost = false;
      break;
    case ScratchType::kRestartNumbers: replica->recent.restart_numbers(); break;
    case ScratchType::kRecentLost: replica->recent_lost = true; break;
    case ScratchType::kStamp:
      if (replica->dirty.stamp(record.count, record.b, Generation(record.a))) {
        replica->stamped.insert(record.count);
      }
      break;
    case ScratchType::kGeneration:
      replica->generation = std::max(replica->generation, Generation(record.a));
      break;
    case ScratchType::kStampsLost: stamps_lost.push_back(replica->volume); break;
    case ScratchType::kSlot:
    case ScratchType::kGroupEnd: break;
  }
}

void mark_open_zones_unknown(Replica& replica) {
  for (const ZoneRun& run : replica.intents.runs(SIZE_MAX)) {
    uint64_t first = uint64_t{run.first} * (kZoneSize / kRegionSize);
    uint64_t end = first + uint64_t{run.count} * (kZoneSize / kRegionSize);
    for (uint64_t region = first; region < end; ++region) replica.dirty.mark_unknown(region);
  }
}

Result<void> apply_scratch(Recovery& r) {
  std::vector<VolumeId> stamps_lost;
  uint64_t newest_seal = r.seal;
  for (const ScratchRecord& record : r.scratch) {
    if (record.type != ScratchType::kSlot) {
      apply_scratch_note(r.pool, record, stamps_lost);
      continue;
    }
    if (record.subject <= r.seal) continue;  // a batch has said it
    newest_seal = std::max(newest_seal, record.subject);
    uint32_t slot = scratch_slot(record);
    if (slot >= r.pool.geometry.slot_count()) {
      return fail(Code::kCorrupt, "scratch: a record of a slot that does not exist");
    }
    r.slots[slot] = scratch_slot_state(record);
    r.doubtful[slot] = r.slots[slot];
    r.pool.table.mark_dirty(slot);
  }
  r.seal = newest_seal;
  for (VolumeId volume : stamps_lost) mark_open_zones_unknown(*r.pool.find_replica(volume));
  return {};
}

// The scratch log did not survive: neither did the list of recent writes, nor the youngest stamps.
void count_as_power_loss(PoolCore& pool) {
  for (const auto& [volume, store] : pool.replicas) {
    Replica& replica = *pool.find_replica(volume);
    if (replica.intents.empty()) continue;
    replica.recent_lost = true;
    mark_open_zones_unknown(replica);
  }
}

// --- indexes and allocators

Result<void> take_slot(PoolCore& pool, uint32_t slot, SlotState state, uint32_t available) {
  Layer* layer = pool.layers.find(state.layer);
  // Free, emptied, or of a layer that is gone.
  if (layer == nullptr || state.bits == 0) {
    if (state.layer != kNoLayer) pool.table.mark_dirty(slot);
    if (pool.is_hole(slot))
      pool.holes.release(slot);
    else if (slot < available)
      pool.extents.release(slot);
    return {};
  }
  SlotIndex& index = pool.is_hole(slot) ? layer->holes : layer->extents;
  bool beyond = state.logical >= kSizeBlocksMax / kBlocksPerExtent ||
                (!pool.is_hole(slot) && slot >= available);
  if (beyond || index.find(state.logical) != kNoSlot) {
    return fail(Code::kCorrupt, "extent table: two slots for one extent, or one beyond the end");
  }
  index.set(state.logical, slot);
  static_cast<SlotState&>(pool.table[slot]) = state;
  return {};
}

Result<void> build_indexes(Recovery& r) {
  uint32_t available = r.pool.space.available_count();
  for (uint32_t slot = 0; slot < r.slots.size(); ++slot) {
    TRY(take_slot(r.pool, slot, r.slots[slot], available));
  }
  return {};
}

io::Task<Result<void>> make_recovered_state_durable(Recovery& r) {
  PoolCore& pool = r.pool;
  Result<void> flushed = co_await pool.disk->flush();
  CO_TRY(flushed);
  pool.journal.start_at(r.sequence + 1, r.position, r.seal, pool.superblock.tail_position);
  std::vector<SlotRecord> records;
  for (const auto& [slot, state] : r.doubtful) {
    SlotRecord& record = records.emplace_back();
    record.slot = slot;
    record.state = state;
  }
  std::sort(records.begin(), records.end(),
            [](const SlotRecord& a, const SlotRecord& b) { return a.slot < b.slot; });
  Result<void> written = co_await pool.journal.write_recovery_batch(records);
  CO_TRY(written);
  // What scratch or its loss taught of stamps and lists.
  Result<void> catalog = co_await pool.write_catalog();
  CO_TRY(catalog);
  // The new scratch log is whole before the superblock gives it its meaning; until then the old one
  // counts.
  ++pool.superblock.open_count;
  pool.scratch.start(pool.superblock.salt, pool.superblock.open_count);
  pool.superblock.clean = false;
  Result<void> stored = co_await pool.write_superblocks();
  co_return stored;
}

}  // namespace

io::Task<Result<FoundSuperblock>> find_superblock(io::Disk& disk) {
  AlignedBuffer block(kBlockSize);
  FoundSuperblock found;
  bool any = false;
  Error error{Code::kCorrupt, 0, "superblock: both copies are damaged, or this is no pool"};
  for (uint64_t offset : kSuperblockOffsets) {
    if (offset + kBlockSize > disk.size_bytes()) {
      ++found.damaged;
      continue;
    }
    Result<void> got = co_await disk.read(offset, block.span());
    Result<Superblock> copy = got ? decode_superblock(block.span()) : fail(got.error());
    if (!copy) {
      ++found.damaged;
      if (copy.error().code != Code::kCorrupt) error = copy.error();
      continue;
    }
    if (!any || copy->write_count > found.superblock.write_count) found.superblock = *copy;
    any = true;
  }
  if (error.code == Code::kUnsupported || !any) co_return fail(error);
  co_return found;
}

io::Task<Result<void>> recover(PoolCore& pool, uint64_t superblocks_damaged) {
  Recovery r{pool, {}, {}, {}, {}, false, 0, 0, 0, 0, {}};
  if (superblocks_damaged != 0) {
    LOG_WARN("pool {}: one copy of the superblock was damaged; it is written anew",
             pool.superblock.pool);
    pool.superblocks_repaired = superblocks_damaged;
  }
  Result<void> catalog = co_await read_catalog(r);
  CO_TRY(catalog);
  Result<void> table = co_await read_table(r);
  CO_TRY(table);
  Result<void> journal = co_await read_journal(r);
  CO_TRY(journal);
  if (r.catalog.count < r.catalog_count) {
    co_return fail(Code::kCorrupt,
                   "catalog: the newest image is damaged; an older one would lose writes");
  }
  Result<void> replayed = co_await replay(r);
  CO_TRY(replayed);
  CO_TRY(check_no_slot_is_damaged(r));
  CO_TRY(build_layers(r));
  for (const CatalogVolume& entry : r.catalog.volumes) {
    Result<std::unique_ptr<Replica>> replica = build_replica(r, entry);
    if (!replica) co_return fail(replica.error());
    pool.add_replica(std::move(*replica));
  }
  collect_frozen(pool);
  replay_notes(r);
  pool.catalog_count = r.catalog.count;
  auto records = pool.scratch.load(pool.superblock.salt, pool.superblock.open_count);
  if (records && !pool.superblock.clean) {
    r.scratch = std::move(*records);
    CO_TRY(apply_scratch(r));
  } else if (!pool.superblock.clean) {
    count_as_power_loss(pool);
  }
  CO_TRY(build_indexes(r));
  Result<void> durable = co_await make_recovered_state_durable(r);
  co_return durable;
}

}  // namespace cleat::store
