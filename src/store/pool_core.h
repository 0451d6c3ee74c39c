// The parts of an open pool and what they need of each other. Internal to the store: the outside
// sees Pool and ReplicaStore.
//
// Threading: one loop.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "io/disk.h"
#include "io/executor.h"
#include "io/task_group.h"
#include "store/allocator.h"
#include "store/async_mutex.h"
#include "store/catalog_format.h"
#include "store/checkpoint.h"
#include "store/extent_table.h"
#include "store/journal.h"
#include "store/layer_tree.h"
#include "store/pool.h"
#include "store/read_tracker.h"
#include "store/replica.h"
#include "store/scratch_log.h"
#include "store/space.h"
#include "store/superblock.h"

namespace cleat::store {

class PoolCore {
 public:
  PoolCore(io::Executor& the_executor, std::unique_ptr<io::Disk> the_disk,
           std::unique_ptr<io::Scratch> the_scratch, OpenOptions the_options,
           Superblock the_superblock);
  ~PoolCore();

  // A device error on metadata: nothing is written any more, whoever waits is told.
  void fail_pool(Error error);
  // The error of a failed pool.
  Result<void> usable() const;

  // --- extents
  // A free slot becomes the layer's for this logical extent, with no block valid yet.
  uint32_t attach_extent(Layer& layer, uint32_t logical);
  uint32_t attach_hole(Layer& layer, uint32_t logical);
  // The slot leaves its layer's index; its state is free. It can't be allocated yet.
  void detach(uint32_t slot);
  // Nothing on disk says that the slot is used: it can be allocated once reads under way have
  // ended.
  void retire(uint32_t slot) { reads.retire(slot); }
  // A slot without valid blocks and without users: freed at once when no durable record names it,
  // else by the next seal.
  void drop_if_unused(uint32_t slot);
  // All slots of a layer that the durable catalog no longer has.
  void free_layer_slots(Layer& layer);
  void set_bits(uint32_t slot, uint32_t bits);  // with the pending record and the scratch note
  bool is_hole(uint32_t slot) const { return slot >= geometry.extent_count; }
  // Blocks of `mask` that have data in `layer` or below it.
  uint32_t visible(const Layer* layer, uint32_t logical, uint32_t mask) const;
  // Hole slots that hide nothing any more become free. Gives how many.
  size_t reclaim_holes();

  // --- extents held by a merge
  bool is_locked(const Layer& layer, uint32_t logical) const {
    return !locked.empty() && locked.contains({layer.id, logical});
  }
  void unlock_extents();

  // --- catalog
  CatalogImage capture_catalog(size_t runs_max);
  // Makes what memory says durable. kNoSpace: it does not fit, nothing was written.
  io::Task<Result<void>> write_catalog();
  void apply(const Note& note);
  void dump_scratch();

  io::Task<Result<void>> write_superblocks();
  // An operation stopped using a slot or a replica, which others may wait for.
  void user_left() {
    if (!locked.empty() || removing > 0) unlocked.notify_all();
  }

  // Holding `structure`. A new top, on `base` or on nothing.
  io::Task<Result<ReplicaStore*>> create_replica(VolumeId volume, uint64_t size_blocks,
                                                 Layer* base);
  ReplicaStore* add_replica(std::unique_ptr<Replica> replica);
  io::Task<Result<void>> tick();
  // Merges what was deleted in the background, unless that is being done.
  void start_deletions();

  ReplicaStore* find(VolumeId volume) const;
  Replica* find_replica(VolumeId volume) const;
  Layer* find_snapshot(const Replica& replica, SnapshotId id) const;
  Layer* view_layer(const Replica& replica, View view) const;  // null: unknown snapshot

  io::Executor& executor;
  std::unique_ptr<io::Disk> disk;
  OpenOptions options;
  Superblock superblock;
  Geometry geometry;
  ExtentTable table;
  Allocator extents;
  Allocator holes;
  LayerTree layers;
  ReadTracker reads;
  ScratchLog scratch;
  Journal journal;
  Checkpoint checkpoint;
  Space space;
  AsyncMutex structure;  // creation, deletion, snapshots: one at a time
  AsyncMutex catalog;
  std::map<VolumeId, std::unique_ptr<ReplicaStore>> replicas;
  absl::flat_hash_set<std::pair<uint32_t, uint32_t>> locked;  // layer, logical extent
  io::WaitQueue unlocked;
  io::TaskGroup background;
  std::optional<Error> failure;
  uint64_t catalog_count = 0;  // of the newest durable image
  uint64_t ticks = 0;
  uint64_t removing = 0;       // replicas that wait for their operations to end
  bool catalog_stale = false;  // a durable note is not in it
  bool closing = false;
  bool closed = false;
  bool deleting = false;      // in the background
  uint64_t deletions_at = 0;  // the tick from which on they are tried, after an error
  uint64_t superblocks_repaired = 0;
  uint64_t slots_repaired = 0;

 private:
  io::Task<void> delete_in_background();
  bool has_deletions() const;
  bool clear_idle_intents();
};

}  // namespace cleat::store
