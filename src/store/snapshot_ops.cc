#include "store/snapshot_ops.h"

#include <algorithm>

#include "store/pool_core.h"

namespace cleat::store {
namespace {

bool has_clone(const Layer& layer) {
  return std::any_of(layer.children.begin(), layer.children.end(),
                     [&layer](const Layer* above) { return above->volume != layer.volume; });
}

}  // namespace

void discard_layers(PoolCore& pool, std::vector<Layer*> dropped) {
  for (Layer* layer : dropped) pool.free_layer_slots(*layer);
  while (!dropped.empty()) {
    size_t before = dropped.size();
    std::erase_if(dropped, [&pool](Layer* layer) {
      if (!layer->children.empty()) return false;
      pool.layers.erase(layer);
      return true;
    });
    CHECK(dropped.size() < before, "layers that go have only such layers above them");
  }
}

io::Task<Result<void>> freeze_top(PoolCore& pool, Replica& replica, SnapshotId id) {
  co_await pool.structure.lock();
  AsyncMutex::Guard guard(pool.structure);
  if (replica.removed) co_return fail(Code::kNotFound, "the replica is being deleted");
  if (id == SnapshotId{}) co_return fail(Code::kInvalidArgument, "a snapshot needs an id");
  if (pool.find_snapshot(replica, id) != nullptr) {
    co_return fail(Code::kAlreadyExists, "the volume has this snapshot already");
  }
  Result<void> flushed = co_await pool.journal.flush();
  CO_TRY(flushed);
  Layer* frozen = replica.top;
  frozen->frozen = true;
  frozen->snapshot = id;
  replica.top = pool.layers.create(replica.volume, frozen);
  replica.frozen.push_back(frozen);
  Result<void> written = co_await pool.write_catalog();
  if (!written && !pool.failure) {
    pool.layers.erase(replica.top);
    replica.top = frozen;
    replica.frozen.pop_back();
    frozen->frozen = false;
    frozen->snapshot = SnapshotId{};
  }
  co_return written;
}

io::Task<Result<void>> restore_top(PoolCore& pool, Replica& replica, SnapshotId id) {
  co_await pool.structure.lock();
  AsyncMutex::Guard guard(pool.structure);
  CO_TRY(pool.usable());
  if (replica.removed) co_return fail(Code::kNotFound, "the replica is being deleted");
  Layer* base = pool.find_snapshot(replica, id);
  if (base == nullptr) co_return fail(Code::kNotFound, "the volume has no such snapshot");
  Layer* old = replica.top;
  old->dropped = true;
  replica.top = pool.layers.create(replica.volume, base);
  Result<void> written = co_await pool.write_catalog();
  if (!written) {
    if (pool.failure) co_return written;
    pool.layers.erase(replica.top);
    replica.top = old;
    old->dropped = false;
    co_return written;
  }
  discard_layers(pool, {old});
  co_return Result<void>{};
}

io::Task<Result<void>> delete_frozen(PoolCore& pool, Replica& replica, SnapshotId id) {
  co_await pool.structure.lock();
  AsyncMutex::Guard guard(pool.structure);
  CO_TRY(pool.usable());
  Layer* layer = pool.find_snapshot(replica, id);
  if (layer == nullptr) co_return fail(Code::kNotFound, "the volume has no such snapshot");
  if (has_clone(*layer)) co_return fail(Code::kBusy, "a clone is based on this snapshot");
  layer->deleting = true;
  Result<void> written = co_await pool.write_catalog();
  if (!written) {
    layer->deleting = false;
    co_return written;
  }
  pool.start_deletions();
  co_return Result<void>{};
}

namespace {

// Nobody finds the replica any more; kBusy while a clone needs it.
io::Task<Result<void>> hide_replica(PoolCore& pool, Replica& replica) {
  co_await pool.structure.lock();
  AsyncMutex::Guard guard(pool.structure);
  CO_TRY(pool.usable());
  bool busy = false;
  pool.layers.for_each([&](const Layer& layer) {
    busy = busy || (layer.volume == replica.volume && has_clone(layer));
  });
  if (busy) co_return fail(Code::kBusy, "a clone is based on a snapshot of this volume");
  replica.removed = true;
  co_return Result<void>{};
}

}  // namespace

io::Task<Result<void>> remove_replica(PoolCore& pool, Replica& replica) {
  Result<void> hidden = co_await hide_replica(pool, replica);
  CO_TRY(hidden);
  // Those under way may wait for the structure: it is not held meanwhile.
  ++pool.removing;
  while (replica.operations > 0) co_await pool.unlocked.wait();
  --pool.removing;
  co_await pool.structure.lock();
  AsyncMutex::Guard guard(pool.structure);
  std::vector<Layer*> mine;
  pool.layers.for_each([&](Layer& layer) {
    if (layer.volume == replica.volume) mine.push_back(&layer);
  });
  for (Layer* layer : mine) layer->dropped = true;
  Result<void> written = co_await pool.write_catalog();
  CO_TRY(written);
  discard_layers(pool, std::move(mine));
  co_return Result<void>{};
}

}  // namespace cleat::store
