#include "store/pool_core.h"

#include <algorithm>

#include "common/log.h"

namespace cleat::store {

PoolCore::PoolCore(io::Executor& the_executor, std::unique_ptr<io::Disk> the_disk,
                   std::unique_ptr<io::Scratch> the_scratch, OpenOptions the_options,
                   Superblock the_superblock)
    : executor(the_executor),
      disk(std::move(the_disk)),
      options(the_options),
      superblock(the_superblock),
      geometry(superblock.geometry),
      table(geometry),
      extents(0, geometry.extent_count),
      holes(geometry.extent_count, geometry.hole_count),
      reads(executor,
            [this](uint32_t slot) {
              (is_hole(slot) ? holes : extents).release(slot);
              space.notify();
            }),
      scratch(std::move(the_scratch)),
      journal(*this),
      checkpoint(*this),
      space(*this),
      structure(executor),
      catalog(executor),
      unlocked(executor) {
  scratch.set_dump([this] { dump_scratch(); });
}

PoolCore::~PoolCore() = default;

void PoolCore::fail_pool(Error error) {
  if (failure) return;
  failure = error;
  LOG_ERROR("pool {} is read-only until it is opened again: {}", superblock.pool, to_string(error));
  journal.notify_changed();
  space.notify();
  unlocked.notify_all();
}

Result<void> PoolCore::usable() const {
  if (failure) {
    return fail(Code::kIoError, "the pool failed and is read-only: see the log, then open it again",
                failure->sys_errno);
  }
  return {};
}

// --- extents

uint32_t PoolCore::attach_extent(Layer& layer, uint32_t logical) {
  auto slot = extents.allocate();
  CHECK(slot.has_value(), "space was checked before");
  static_cast<SlotState&>(table[*slot]) = {layer.id, logical, 0};
  layer.extents.set(logical, *slot);
  space.grow_ahead();
  return *slot;
}

uint32_t PoolCore::attach_hole(Layer& layer, uint32_t logical) {
  auto slot = holes.allocate();
  CHECK(slot.has_value(), "hole slots were counted before");
  static_cast<SlotState&>(table[*slot]) = {layer.id, logical, 0};
  layer.holes.set(logical, *slot);
  return *slot;
}

void PoolCore::detach(uint32_t slot) {
  Slot& entry = table[slot];
  if (Layer* layer = layers.find(entry.layer); layer != nullptr) {
    SlotIndex& index = is_hole(slot) ? layer->holes : layer->extents;
    if (index.find(entry.logical) == slot) index.set(entry.logical, kNoSlot);
  }
  static_cast<SlotState&>(entry) = SlotState{};
}

void PoolCore::drop_if_unused(uint32_t slot) {
  Slot& entry = table[slot];
  if (entry.bits != 0 || entry.users != 0 || entry.layer == kNoLayer) return;
  const Journal::PendingSlot* p = journal.pending(slot);
  bool in_a_record =
      (entry.flags & (kSlotSealed | kSlotUnmarked)) != 0 || (p != nullptr && p->prior.bits != 0);
  if (in_a_record) return;
  journal.forget(slot);
  detach(slot);
  scratch.slot(journal.open_seal(), slot, SlotState{});
  retire(slot);
}

void PoolCore::free_layer_slots(Layer& layer) {
  auto free_slot = [this](uint32_t, uint32_t slot) {
    Slot& entry = table[slot];
    CHECK(entry.users == 0, "no write is under way in a layer that goes");
    journal.forget(slot);
    static_cast<SlotState&>(entry) = SlotState{};
    table.mark_dirty(slot);
    retire(slot);
  };
  layer.extents.for_each(free_slot);
  layer.holes.for_each(free_slot);
  layer.extents = SlotIndex{};
  layer.holes = SlotIndex{};
}

void PoolCore::set_bits(uint32_t slot, uint32_t bits) {
  Slot& entry = table[slot];
  if (entry.bits == bits) return;
  Journal::PendingSlot& p = journal.touch(slot);
  p.fresh &= bits;
  entry.bits = bits;
  scratch.slot(journal.open_seal(), slot, entry);
}

uint32_t PoolCore::visible(const Layer* layer, uint32_t logical, uint32_t mask) const {
  uint32_t found = 0;
  for (; layer != nullptr && mask != 0; layer = layer->parent) {
    if (uint32_t slot = layer->extents.find(logical); slot != kNoSlot) {
      found |= table[slot].bits & mask;
      mask &= ~table[slot].bits;
    }
    if (uint32_t slot = layer->holes.find(logical); slot != kNoSlot) mask &= ~table[slot].bits;
  }
  return found;
}

size_t PoolCore::reclaim_holes() {
  std::vector<uint32_t> useless;
  layers.for_each([&](Layer& layer) {
    layer.holes.for_each([&](uint32_t logical, uint32_t slot) {
      if (is_locked(layer, logical) || table[slot].flags != 0) return;
      uint32_t hidden = table[slot].bits;
      // Data above a hole replaces it only once a crash can't take the data back.
      uint32_t data = layer.extents.find(logical);
      if (data != kNoSlot && table[data].flags == 0) hidden &= ~table[data].bits;
      if (visible(layer.parent, logical, hidden) == 0) useless.push_back(slot);
    });
  });
  for (uint32_t slot : useless) set_bits(slot, 0);
  return useless.size();
}

void PoolCore::unlock_extents() {
  locked.clear();
  unlocked.notify_all();
}

// --- catalog

CatalogImage PoolCore::capture_catalog(size_t runs_max) {
  CatalogImage image;
  image.count = catalog_count + 1;
  image.applied_sequence = journal.durable_sequence();
  image.next_layer = layers.next_id();
  layers.for_each([&image](const Layer& layer) {
    if (layer.dropped) return;
    image.layers.push_back({layer.id, layer.parent == nullptr ? kNoLayer : layer.parent->id,
                            layer.volume, layer.snapshot, layer.frozen, layer.deleting});
  });
  std::sort(image.layers.begin(), image.layers.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  for (const auto& [volume, store] : replicas) {
    const Replica& replica = *store->replica_;
    // One that is being removed is in the catalog as long as its layers are.
    if (replica.top->dropped) continue;
    CatalogVolume& entry = image.volumes.emplace_back();
    entry.volume = volume;
    entry.size_blocks = replica.size_blocks;
    entry.epoch = replica.epoch;
    entry.generation = replica.generation;
    entry.unknown_as_of = replica.dirty.unknown_as_of();
    entry.top = replica.top->id;
    entry.recent_lost = replica.recent_lost;
    entry.record = replica.record;
    entry.intents = replica.intents.runs(runs_max);
    entry.dirty = replica.dirty.runs(runs_max);
    if (closing) entry.recent = replica.recent.list();
  }
  return image;
}

io::Task<Result<void>> PoolCore::write_catalog() {
  co_await catalog.lock();
  AsyncMutex::Guard guard(catalog);
  CO_TRY(usable());
  CatalogImage image;
  AlignedBuffer bytes;
  size_t runs_max = size_t{1} << 24;
  do {
    image = capture_catalog(runs_max);
    bytes = encode_catalog(image, superblock.salt);
    runs_max /= 16;
  } while (bytes.size() > geometry.catalog_bytes && runs_max > 0);
  if (bytes.size() > geometry.catalog_bytes) {
    co_return fail(Code::kNoSpace, "the pool's catalog is full: delete volumes or snapshots");
  }
  for (auto& [volume, store] : replicas) {
    std::swap(store->replica_->stamped, store->replica_->stamped_captured);
  }
  catalog_stale = false;
  uint64_t offset = geometry.catalog_offset + (image.count % 2) * geometry.catalog_bytes;
  Result<void> written = co_await disk->write(offset, bytes.span(), io::WriteMode::kDurable);
  if (!written) {
    fail_pool(written.error());
    co_return usable();
  }
  catalog_count = image.count;
  for (auto& [volume, store] : replicas) {
    store->replica_->stamped_captured.clear();
    store->replica_->stamps_lost = false;
  }
  co_return Result<void>{};
}

void PoolCore::apply(const Note& note) {
  Replica* replica = find_replica(note.volume);
  if (replica == nullptr) return;
  catalog_stale = true;
  if (note.type == RecordType::kEpoch) {
    if (Epoch(note.first) > replica->epoch) replica->epoch = Epoch(note.first);
  } else if (note.type == RecordType::kIntent) {
    uint64_t end = std::min(note.first + note.count, kSizeBlocksMax / kBlocksPerZone);
    for (uint64_t zone = note.first; zone < end; ++zone) {
      replica->intents.open(static_cast<uint32_t>(zone));
    }
  }
}

// Bounded, so that it always fits: slots by the journal's limit, recent writes and stamps by their
// share.
void PoolCore::dump_scratch() {
  journal.dump_unflushed(scratch);
  size_t budget = scratch.half_records() / 8;
  size_t recent_left = budget;
  size_t stamps_left = budget;
  for (const auto& [volume, store] : replicas) {
    Replica& replica = *store->replica_;
    scratch.note(ScratchType::kGeneration, volume, replica.generation.value);
    auto recent = replica.recent.list();
    if (replica.recent_lost || recent.size() > recent_left) {
      scratch.note(ScratchType::kRecentLost, volume);
    } else {
      for (const auto& write : recent) scratch.recent(volume, write);
      recent_left -= recent.size();
    }
    size_t stamps = replica.stamped.size() + replica.stamped_captured.size();
    if (replica.stamps_lost || stamps > stamps_left) {
      replica.stamps_lost = true;
      scratch.note(ScratchType::kStampsLost, volume);
      continue;
    }
    stamps_left -= stamps;
    for (const auto* regions : {&replica.stamped, &replica.stamped_captured}) {
      for (uint64_t region : *regions) {
        // One record for all its pieces: as if each was written in the last generation.
        Generation stamp(replica.dirty.stamp_of(region));
        scratch.stamp(volume, {region, replica.dirty.pieces_of(region, Generation{})}, stamp);
      }
    }
  }
}

// --- superblock

io::Task<Result<void>> PoolCore::write_superblocks() {
  superblock.catalog_count = catalog_count;
  ++superblock.write_count;
  AlignedBuffer block(kBlockSize);
  encode_superblock(superblock, block.span());
  // One after the other: the ring's space that the old one needs is used again only after both.
  for (uint64_t offset : kSuperblockOffsets) {
    Result<void> written = co_await disk->write(offset, block.span(), io::WriteMode::kDurable);
    CO_TRY(written);
  }
  co_return Result<void>{};
}

// --- replicas

ReplicaStore* PoolCore::find(VolumeId volume) const {
  auto found = replicas.find(volume);
  if (found == replicas.end() || found->second->replica_->removed) return nullptr;
  return found->second.get();
}

Replica* PoolCore::find_replica(VolumeId volume) const {
  ReplicaStore* store = find(volume);
  return store == nullptr ? nullptr : store->replica_.get();
}

Layer* PoolCore::find_snapshot(const Replica& replica, SnapshotId id) const {
  for (Layer* layer : replica.frozen) {
    if (layer->snapshot == id && !layer->deleting) return layer;
  }
  return nullptr;
}

Layer* PoolCore::view_layer(const Replica& replica, View view) const {
  if (view.snapshot == SnapshotId{}) return replica.top;
  return find_snapshot(replica, view.snapshot);
}

}  // namespace cleat::store
