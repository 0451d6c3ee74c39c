// Freeze, restore, clone, removal: what changes the tree of layers. One at a time in a pool.
// Internal.
// Contracts: ReplicaStore and Pool.
#pragma once

#include "common/ids.h"
#include "common/result.h"
#include "io/task.h"

namespace cleat::store {

class PoolCore;
class ReplicaStore;
struct Layer;
struct Replica;

io::Task<Result<void>> freeze_top(PoolCore& pool, Replica& replica, SnapshotId id);
io::Task<Result<void>> restore_top(PoolCore& pool, Replica& replica, SnapshotId id);
// Durably out of sight when it returns; its layer is merged in the background.
io::Task<Result<void>> delete_frozen(PoolCore& pool, Replica& replica, SnapshotId id);
io::Task<Result<void>> remove_replica(PoolCore& pool, Replica& replica);

// The layers are in no durable catalog any more: their slots become free and they go.
void discard_layers(PoolCore& pool, std::vector<Layer*> dropped);

// Merges a layer that is being deleted into the one above it, step by step, and takes it out of the
// catalog. Does nothing while several layers are based on it.
io::Task<Result<void>> merge_layer(PoolCore& pool, uint32_t layer_id);
// All layers that are being deleted.
io::Task<Result<void>> merge_deleted_layers(PoolCore& pool);

}  // namespace cleat::store
