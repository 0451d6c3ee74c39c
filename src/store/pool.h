// One pool: a file or block device with its journal, extent table, catalog and extents
// (docs/formats/pool.md). Opens, recovers and closes it, and owns the replicas in it.
//
// Threading: one loop. Ownership: owns the disk and the scratch area it is given.
#pragma once

#include <memory>
#include <vector>

#include "common/ids.h"
#include "common/random.h"
#include "io/disk.h"
#include "io/executor.h"
#include "io/scratch.h"
#include "store/replica_store.h"

namespace cleat::store {

struct PoolIdentity {
  uint64_t cluster = 0;  // hash of the cluster's id; a pool of another cluster is refused
  NodeId node;
  PoolId pool;
};

struct FormatOptions {
  PoolIdentity identity;
  uint64_t capacity_bytes = 0;  // what the pool may grow to; regions are laid out for it
  uint64_t journal_bytes = 16 << 20;
  uint64_t salt = 0;       // random: seeds the checks, so that no two pools' bytes mix up
  bool overwrite = false;  // format over a valid superblock
};

struct OpenOptions {
  PoolIdentity identity;              // zero fields are not compared
  uint64_t reserve_bytes = 64 << 20;  // writes that need space are refused below this
  uint64_t slab_bytes = 64 << 20;     // a pool file grows by this much, ahead of need
};

struct PoolStats {
  uint64_t capacity_bytes = 0;  // of extents
  uint64_t used_bytes = 0;      // in extents owned by layers
  uint64_t free_bytes = 0;
  uint64_t journal_bytes = 0;
  uint64_t journal_used_bytes = 0;
  uint64_t superblocks_repaired = 0;  // by this open
  uint64_t slots_repaired = 0;        // one flipped bit each, by this open
  uint64_t free_hole_slots = 0;
  bool failed = false;  // a device error on metadata: read-only until reopened
};

class Pool {
 public:
  Pool(const Pool&) = delete;
  ~Pool();

  // kAlreadyExists when the disk holds a valid superblock (unless overwrite), kInvalidArgument when
  // it is too small (the least is 256 MiB of capacity).
  static io::Task<Result<void>> format(io::Disk& disk, FormatOptions options);
  // Recovers: journal, then scratch. kCorrupt when both superblocks are damaged (one is repaired,
  // with a warning), kUnsupported for another version, kPermission for another cluster's or node's
  // pool.
  static io::Task<Result<std::unique_ptr<Pool>>> open(io::Executor& executor,
                                                      std::unique_ptr<io::Disk> disk,
                                                      std::unique_ptr<io::Scratch> scratch,
                                                      OpenOptions options);
  // Checkpoints and marks the pool clean. No operation may be under way.
  io::Task<Result<void>> close();

  PoolIdentity identity() const;
  PoolStats stats() const;

  std::vector<ReplicaStore*> replicas();
  ReplicaStore* find(VolumeId volume);  // null when there is none
  // A new, empty replica. kAlreadyExists, kNoSpace (catalog full).
  io::Task<Result<ReplicaStore*>> create(VolumeId volume, uint64_t size_blocks);
  // A new replica whose base is a snapshot of another in this pool. kNotFound.
  io::Task<Result<ReplicaStore*>> clone(VolumeId volume, VolumeId parent, SnapshotId snapshot);
  // Deletes a replica and its snapshots. Space is free when it returns. kBusy while a clone is
  // based on one.
  io::Task<Result<void>> remove(VolumeId volume);

  // Housekeeping: clears idle intents, checkpoints what a quiet journal holds, marks the newest
  // batch, grows ahead of need. The owner calls it about every second; one call at a time.
  io::Task<Result<void>> tick();

 private:
  friend class PoolCore;
  explicit Pool(std::unique_ptr<PoolCore> core);

  std::unique_ptr<PoolCore> core_;
};

}  // namespace cleat::store
