// Durable copy of one volume in one pool. Knows nothing of peers, of the meaning of epochs, or of
// etcd.
//
// Threading: every method on the loop that owns the pool. Ownership: belongs to its Pool.
// Order: two operations on the same block that overlap in time have no order; the caller orders
// them (R6). Any others may run at once.
// Crash rule, process: what write() and zero() returned for is there after kill -9 (Scratch).
// Crash rule, power: what they returned for before a completed flush() began is there after power
// loss; a block written since reads as before, as after, or (torn by the device) as a mixture of
// 512-byte parts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/units.h"
#include "core/dirty_map.h"
#include "core/types.h"
#include "io/task.h"

namespace cleat::store {

// Which state of the volume to look at: the writable top, or a snapshot.
struct View {
  SnapshotId snapshot;  // none: the top
  static View top() { return {}; }
};

// What a write is part of. `generation` is stamped on the dirty map; `seq` is listed as recent
// until known_everywhere() passes it. seq 0: not listed (resync and rebuild).
struct WriteAt {
  BlockRange range;
  Generation generation;
  Seq seq;
};

struct Usage {
  uint64_t used_bytes = 0;         // physical extents owned by the layers of this volume
  uint64_t shared_bytes = 0;       // of those, owned by layers that a clone of it also reads
  uint64_t snapshot_bytes = 0;     // of those, owned by frozen layers
  uint64_t reclaimable_bytes = 0;  // free once all its snapshots are deleted, and merged
};

class PoolCore;  // internal: store/pool_core.h
struct Replica;  // internal: store/replica.h

class ReplicaStore {
 public:
  ReplicaStore(const ReplicaStore&) = delete;
  ~ReplicaStore();

  VolumeId volume() const;
  uint64_t size_blocks() const;

  // Writes whole blocks to the top. The first write into a zone since it was clean makes an intent
  // durable first. kNoSpace (nothing changed), kIoError (the blocks' contents are unknown),
  // kOutOfRange.
  io::Task<Result<void>> write(WriteAt at, ConstBuffer data);
  // Blocks read as zeros afterwards. Frees what nothing else needs and allocates nothing but, where
  // a frozen layer has data below, a hole slot. kNoSpace when those are used up (nothing changed);
  // kIoError when that happens half way.
  io::Task<Result<void>> zero(WriteAt at);
  // Blocks never written read as zeros. kNotFound for an unknown snapshot; kIoError, kCorrupt.
  io::Task<Result<void>> read(View view, BlockRange range, MutableBuffer into);
  // Flushes the whole pool: one flush serves all who wait for it.
  io::Task<Result<void>> flush();

  // The stored epoch. set_epoch() makes a higher one durable before it returns (R4); the list of
  // recent writes stays. kStaleEpoch when it would go down.
  Epoch epoch() const;
  io::Task<Result<void>> set_epoch(Epoch epoch);

  // Recent writes (R7): those begun and not yet known to be on every member. In Scratch: a killed
  // process loses none. `recent_lost` is set after a power loss, until clear_recent().
  std::vector<core::RecentWrite> recent() const;
  bool recent_lost() const;
  void known_everywhere(Seq through);  // every seq up to this one is on every member
  void clear_recent();                 // all members are equal: a takeover has ended

  // Dirty map (R8, R9; core/dirty_map.h): for each 1 MiB region the generation of its last write,
  // and which 16 KiB pieces of it. A killed process loses no stamp, but knows only of the youngest
  // which pieces they were for. After an unclean stop the regions of every open intent zone count
  // as of the highest generation known.
  Generation generation() const;  // highest ever stamped or set
  void set_generation(Generation generation);
  // Sorted, from region `from` on, at most `count_max`.
  std::vector<core::DirtyRegion> dirty_regions(Generation at_or_above, uint64_t from = 0,
                                               size_t count_max = SIZE_MAX) const;
  // Regions below this generation need not be remembered: every replica has them (confirmed, R9).
  void forget_dirty(Generation below);
  // Regions in open intent zones: what may differ between members after a power loss.
  std::vector<uint64_t> intent_regions() const;

  // Snapshots. freeze(): everything written so far becomes the snapshot, durably, before it
  // returns; no write or zero may be under way. O(1) but for the flush. kAlreadyExists for a known
  // id.
  io::Task<Result<void>> freeze(SnapshotId id);
  // Oldest first.
  std::vector<SnapshotId> snapshots() const;
  // Merges the snapshot's layer into its only child, in the background of other I/O; returns when
  // durable. After a crash it goes on at the next open. kBusy while a clone is based on it.
  // kNotFound.
  io::Task<Result<void>> delete_snapshot(SnapshotId id);
  // The top becomes what the snapshot holds; newer snapshots stay. No write or zero may be under
  // way.
  io::Task<Result<void>> restore(SnapshotId id);

  // Grows the volume (blocks beyond the old end read as zeros). kInvalidArgument when smaller.
  io::Task<Result<void>> resize(uint64_t size_blocks);

  // For rebuild and resync of layers: the next run of blocks at or after `from` that have data (or
  // a hole over data) in the view's own layer chain but not in that of `base`; base none: in no
  // layer at all. Empty range at the end. At most `count_max` blocks. kNotFound: no such snapshot.
  Result<BlockRange> next_changed(View view, std::optional<View> base, uint64_t from,
                                  uint32_t count_max) const;

  // Opaque bytes of the volume's metadata record (R11), durable when set_record() returns. Limit:
  // 64 KiB.
  const std::string& record() const;
  io::Task<Result<void>> set_record(std::string record);

  // Exact. Costs a walk over the volume's extents when it has snapshots.
  Usage usage() const;

 private:
  friend class Pool;
  friend class PoolCore;
  ReplicaStore(PoolCore& pool, std::unique_ptr<Replica> replica);

  PoolCore& pool_;
  std::unique_ptr<Replica> replica_;
};

}  // namespace cleat::store
