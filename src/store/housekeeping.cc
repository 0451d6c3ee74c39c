// What a pool does beside its operations: creation of replicas, and the tick.
#include "common/log.h"
#include "store/pool_core.h"
#include "store/snapshot_ops.h"

namespace cleat::store {
namespace {
constexpr uint64_t kTicksPerZoneTick = 5;
constexpr uint64_t kTicksBeforeRetry = 60;
}  // namespace

ReplicaStore* PoolCore::add_replica(std::unique_ptr<Replica> replica) {
  VolumeId volume = replica->volume;
  auto store = std::unique_ptr<ReplicaStore>(new ReplicaStore(*this, std::move(replica)));
  return replicas.emplace(volume, std::move(store)).first->second.get();
}

io::Task<Result<ReplicaStore*>> PoolCore::create_replica(VolumeId volume, uint64_t size_blocks,
                                                         Layer* base) {
  CO_TRY(usable());
  if (volume == VolumeId{} || size_blocks == 0 || size_blocks > kSizeBlocksMax) {
    co_return fail(Code::kInvalidArgument, "a volume has an id and up to 256 TiB");
  }
  if (replicas.contains(volume)) {
    co_return fail(Code::kAlreadyExists, "the pool has a replica of this volume already");
  }
  auto replica = std::make_unique<Replica>();
  replica->volume = volume;
  replica->size_blocks = size_blocks;
  replica->intents.resize(size_blocks);
  replica->dirty.resize(regions_of(size_blocks));
  Layer* top = layers.create(volume, base);
  replica->top = top;
  ReplicaStore* store = add_replica(std::move(replica));
  Result<void> written = co_await write_catalog();
  if (!written) {
    replicas.erase(volume);
    layers.erase(top);
    co_return fail(written.error());
  }
  co_return store;
}

// Also what is deleted while it runs; a layer that can't be merged is left for a later tick.
io::Task<void> PoolCore::delete_in_background() {
  Result<void> done;
  while (done && has_deletions()) done = co_await merge_deleted_layers(*this);
  if (!done) {
    LOG_WARN("pool {}: deletion of a snapshot, tried again later: {}", superblock.pool,
             to_string(done.error()));
    deletions_at = ticks + kTicksBeforeRetry;
  }
  deleting = false;
}

bool PoolCore::has_deletions() const {
  bool any = false;
  layers.for_each([&](const Layer& layer) {
    any = any || (layer.deleting && layer.children.size() <= 1 && find_replica(layer.volume));
  });
  return any && !failure && !closing;
}

void PoolCore::start_deletions() {
  if (deleting || ticks < deletions_at || !has_deletions()) return;
  deleting = true;
  background.spawn(delete_in_background());
}

// Zones that were idle for some ticks, whose writes are flushed, stamped in the catalog soon to be
// written, and known to be everywhere. True when there are any.
bool PoolCore::clear_idle_intents() {
  bool cleared = false;
  for (const auto& [volume, store] : replicas) {
    Replica& replica = *store->replica_;
    // A write of the period before this one may have touched its zone long ago.
    if (replica.intents.empty() || replica.writing[(replica.period + 1) % 2] > 0) continue;
    ++replica.period;
    std::vector<uint32_t> idle = replica.intents.tick();
    if (idle.empty() || replica.recent_lost) continue;
    absl::flat_hash_set<uint32_t> busy;
    for (const core::RecentWrite& write : replica.recent.list()) {
      if (write.range.count == 0) continue;
      uint32_t last = IntentMap::zone_of(write.range.end() - 1);
      for (uint32_t zone = IntentMap::zone_of(write.range.first); zone <= last; ++zone) {
        busy.insert(zone);
      }
    }
    for (uint32_t zone : idle) {
      if (busy.contains(zone)) continue;
      replica.intents.clear(zone);
      cleared = true;
    }
  }
  return cleared;
}

io::Task<Result<void>> PoolCore::tick() {
  CO_TRY(usable());
  ++ticks;
  space.grow_ahead();
  start_deletions();
  if (ticks % kTicksPerZoneTick == 0) {
    // An idle zone's writes are durable before its intent goes.
    Result<void> flushed = co_await journal.flush();
    CO_TRY(flushed);
    if (clear_idle_intents()) {
      Result<void> written = co_await write_catalog();
      CO_TRY(written);
    }
  }
  if (journal.has_unmarked()) {
    Result<void> marked = co_await journal.mark();
    CO_TRY(marked);
  }
  co_return usable();
}

}  // namespace cleat::store
