#include "store/replica_store.h"

#include <algorithm>

#include "store/pool_core.h"
#include "store/read_path.h"
#include "store/snapshot_ops.h"
#include "store/usage.h"
#include "store/write_path.h"

namespace cleat::store {
namespace {

// Counts an operation, so that a removal and the clearing of intents wait for it.
class Operation {
 public:
  Operation(PoolCore& pool, Replica& replica, bool writes)
      : pool_(pool), replica_(replica), parity_(replica.period % 2), writes_(writes ? 1 : 0) {
    ++replica_.operations;
    replica_.writing[parity_] += writes_;
  }
  Operation(const Operation&) = delete;
  ~Operation() {
    replica_.writing[parity_] -= writes_;
    --replica_.operations;
    pool_.user_left();
  }

 private:
  PoolCore& pool_;
  Replica& replica_;
  uint64_t parity_;
  uint64_t writes_;
};

Result<void> check_range(const PoolCore& pool, const Replica& replica, BlockRange range) {
  TRY(pool.usable());
  if (replica.removed) return fail(Code::kNotFound, "the replica is being deleted");
  if (range.first > replica.size_blocks || range.count > replica.size_blocks - range.first) {
    return fail(Code::kOutOfRange, "blocks beyond the end of the volume");
  }
  return {};
}

}  // namespace

ReplicaStore::ReplicaStore(PoolCore& pool, std::unique_ptr<Replica> replica)
    : pool_(pool), replica_(std::move(replica)) {}
ReplicaStore::~ReplicaStore() = default;

VolumeId ReplicaStore::volume() const { return replica_->volume; }
uint64_t ReplicaStore::size_blocks() const { return replica_->size_blocks; }

io::Task<Result<void>> ReplicaStore::write(WriteAt at, ConstBuffer data) {
  CO_TRY(check_range(pool_, *replica_, at.range));
  if (at.range.count > kWriteBlocksMax || data.size() != at.range.bytes()) {
    co_return fail(Code::kInvalidArgument,
                   "a write has at most 16 MiB, and data for all its blocks");
  }
  if (at.range.count == 0) co_return Result<void>{};
  Operation operation(pool_, *replica_, true);
  Result<void> done = co_await write_blocks(pool_, *replica_, at, data);
  co_return done;
}

io::Task<Result<void>> ReplicaStore::zero(WriteAt at) {
  CO_TRY(check_range(pool_, *replica_, at.range));
  if (at.range.count == 0) co_return Result<void>{};
  Operation operation(pool_, *replica_, true);
  Result<void> done = co_await zero_blocks(pool_, *replica_, at);
  co_return done;
}

io::Task<Result<void>> ReplicaStore::read(View view, BlockRange range, MutableBuffer into) {
  // A failed pool still reads: what it holds did not change.
  Result<void> in_range = check_range(pool_, *replica_, range);
  if (!in_range && !pool_.failure) co_return in_range;
  if (into.size() != range.bytes()) {
    co_return fail(Code::kInvalidArgument, "a read has a buffer for all its blocks");
  }
  const Layer* layer = pool_.view_layer(*replica_, view);
  if (layer == nullptr) co_return fail(Code::kNotFound, "the volume has no such snapshot");
  if (range.count == 0) co_return Result<void>{};
  Operation operation(pool_, *replica_, false);
  Result<void> done = co_await read_blocks(pool_, *layer, range, into);
  co_return done;
}

io::Task<Result<void>> ReplicaStore::flush() {
  CO_TRY(pool_.usable());
  Result<void> done = co_await pool_.journal.flush();
  co_return done;
}

Epoch ReplicaStore::epoch() const { return replica_->epoch; }

io::Task<Result<void>> ReplicaStore::set_epoch(Epoch epoch) {
  CO_TRY(pool_.usable());
  if (epoch < replica_->epoch) co_return fail(Code::kStaleEpoch, "a higher epoch is stored");
  if (epoch == replica_->epoch) co_return Result<void>{};
  Operation operation(pool_, *replica_, false);
  Note note;
  note.type = RecordType::kEpoch;
  note.volume = replica_->volume;
  note.first = epoch.value;
  Result<void> durable = co_await pool_.journal.commit(note);
  CO_TRY(durable);
  if (epoch < replica_->epoch) co_return fail(Code::kStaleEpoch, "a higher epoch came meanwhile");
  pool_.scratch.note(ScratchType::kRestartNumbers, replica_->volume);
  replica_->recent.restart_numbers();
  co_return Result<void>{};
}

std::vector<core::RecentWrite> ReplicaStore::recent() const { return replica_->recent.list(); }
bool ReplicaStore::recent_lost() const { return replica_->recent_lost; }

void ReplicaStore::known_everywhere(Seq through) {
  if (replica_->recent.empty()) return;
  pool_.scratch.note(ScratchType::kEverywhere, replica_->volume, through.value);
  replica_->recent.known_everywhere(through);
}

void ReplicaStore::clear_recent() {
  pool_.scratch.note(ScratchType::kClearRecent, replica_->volume);
  replica_->recent.clear();
  if (replica_->recent_lost) pool_.catalog_stale = true;
  replica_->recent_lost = false;
}

Generation ReplicaStore::generation() const { return replica_->generation; }

void ReplicaStore::set_generation(Generation generation) {
  replica_->dirty.settle_unknown(generation);
  if (generation <= replica_->generation) return;
  replica_->generation = generation;
  pool_.scratch.note(ScratchType::kGeneration, replica_->volume, generation.value);
}

std::vector<core::DirtyRegion> ReplicaStore::dirty_regions(Generation at_or_above, uint64_t from,
                                                           size_t count_max) const {
  return replica_->dirty.at_or_above(at_or_above, from, count_max);
}

void ReplicaStore::forget_dirty(Generation below) { replica_->dirty.forget(below); }

std::vector<uint64_t> ReplicaStore::intent_regions() const {
  std::vector<uint64_t> regions;
  constexpr uint64_t kRegionsPerZone = kZoneSize / kRegionSize;
  for (const ZoneRun& run : replica_->intents.runs(SIZE_MAX)) {
    uint64_t end = (uint64_t{run.first} + run.count) * kRegionsPerZone;
    end = std::min(end, regions_of(replica_->size_blocks));
    for (uint64_t region = run.first * kRegionsPerZone; region < end; ++region) {
      regions.push_back(region);
    }
  }
  return regions;
}

io::Task<Result<void>> ReplicaStore::freeze(SnapshotId id) {
  CO_TRY(pool_.usable());
  Operation operation(pool_, *replica_, false);
  Result<void> done = co_await freeze_top(pool_, *replica_, id);
  co_return done;
}

std::vector<SnapshotId> ReplicaStore::snapshots() const {
  std::vector<SnapshotId> ids;
  for (const Layer* layer : replica_->frozen) {
    if (!layer->deleting) ids.push_back(layer->snapshot);
  }
  return ids;
}

io::Task<Result<void>> ReplicaStore::delete_snapshot(SnapshotId id) {
  CO_TRY(pool_.usable());
  Operation operation(pool_, *replica_, false);
  Result<void> done = co_await delete_frozen(pool_, *replica_, id);
  co_return done;
}

io::Task<Result<void>> ReplicaStore::restore(SnapshotId id) {
  CO_TRY(pool_.usable());
  Operation operation(pool_, *replica_, false);
  Result<void> done = co_await restore_top(pool_, *replica_, id);
  co_return done;
}

io::Task<Result<void>> ReplicaStore::resize(uint64_t size_blocks) {
  CO_TRY(pool_.usable());
  if (size_blocks < replica_->size_blocks || size_blocks > kSizeBlocksMax) {
    co_return fail(Code::kInvalidArgument, "a volume grows, up to 256 TiB; it never shrinks");
  }
  Operation operation(pool_, *replica_, false);
  co_await pool_.structure.lock();
  AsyncMutex::Guard guard(pool_.structure);
  if (size_blocks < replica_->size_blocks) {
    co_return fail(Code::kInvalidArgument, "the volume grew further meanwhile");
  }
  // Growing is not undone when the catalog is full, which a larger number can't make it.
  replica_->size_blocks = size_blocks;
  replica_->intents.resize(size_blocks);
  replica_->dirty.resize(regions_of(size_blocks));
  Result<void> written = co_await pool_.write_catalog();
  co_return written;
}

Result<BlockRange> ReplicaStore::next_changed(View view, std::optional<View> base, uint64_t from,
                                              uint32_t count_max) const {
  const Layer* layer = pool_.view_layer(*replica_, view);
  const Layer* below = base ? pool_.view_layer(*replica_, *base) : nullptr;
  if (layer == nullptr || (base && below == nullptr)) {
    return fail(Code::kNotFound, "the volume has no such snapshot");
  }
  return next_changed_blocks(pool_, *layer, below, replica_->size_blocks, from, count_max);
}

const std::string& ReplicaStore::record() const { return replica_->record; }

io::Task<Result<void>> ReplicaStore::set_record(std::string record) {
  CO_TRY(pool_.usable());
  if (record.size() > kRecordBytesMax) {
    co_return fail(Code::kInvalidArgument, "a volume's record has at most 64 KiB");
  }
  Operation operation(pool_, *replica_, false);
  co_await pool_.structure.lock();
  AsyncMutex::Guard guard(pool_.structure);
  std::swap(replica_->record, record);
  Result<void> written = co_await pool_.write_catalog();
  if (!written) replica_->record = std::move(record);
  co_return written;
}

Usage ReplicaStore::usage() const { return usage_of(pool_, *replica_); }

}  // namespace cleat::store
