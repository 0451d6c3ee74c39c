// Durable copy of one volume in one pool. Knows nothing of peers, of the meaning of epochs, or of etcd.
//
// Threading: every method on the loop that owns the pool. Ownership: belongs to its Pool.
// Order: two operations on the same block that overlap in time have no order; the caller orders them
// (R6). Any others may run at once.
// Crash rule, process: what write() and zero() returned for is there after kill -9 (Scratch).
// Crash rule, power: what they returned for before a completed flush() began is there after power loss;
// a block written since reads as before, as after, or (torn by the device) as a mixture of 512-byte parts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/units.h"
#include "core/types.h"
#include "io/task.h"

namespace cleat::store {

// Which state of the volume to look at: the writable top, or a snapshot.
struct View {
  SnapshotId snapshot;  // none: the top
  static View top() { return {}; }
};

// What a write is part of. `generation` is stamped on the dirty map; `seq` is listed as recent until
// known_everywhere() passes it. seq 0: not listed (resync and rebuild).
struct WriteAt {
  BlockRange range;
  Generation generation;
  Seq seq;
};

struct Usage {
  uint64_t used_bytes = 0;         // physical extents owned by the layers of this volume
  uint64_t shared_bytes = 0;       // of those, owned by layers that a clone of it also reads
  uint64_t snapshot_bytes = 0;     // of those, owned by frozen layers
  uint64_t reclaimable_bytes = 0;  // would be freed by deleting all its snapshots
};

class ReplicaStore {
 public:
  virtual ~ReplicaStore() = default;

  virtual VolumeId volume() const = 0;
  virtual uint64_t size_blocks() const = 0;

  // Writes whole blocks to the top. The first write into a zone since it was clean makes an intent durable
  // first. kNoSpace (nothing changed), kIoError (the blocks' contents are unknown), kOutOfRange.
  virtual io::Task<Result<void>> write(WriteAt at, ConstBuffer data) = 0;
  // Blocks read as zeros afterwards. Frees what nothing else needs and allocates nothing but, where a
  // frozen layer has data below, a hole slot; kNoSpace when those are used up.
  virtual io::Task<Result<void>> zero(WriteAt at) = 0;
  // Blocks never written read as zeros. kNotFound for an unknown snapshot; kIoError, kCorrupt.
  virtual io::Task<Result<void>> read(View view, BlockRange range, MutableBuffer into) = 0;
  // Flushes the whole pool: one flush serves all who wait for it.
  virtual io::Task<Result<void>> flush() = 0;

  // The stored epoch. set_epoch() makes a higher one durable before it returns (R4); the list of recent
  // writes stays. kStaleEpoch when it would go down.
  virtual Epoch epoch() const = 0;
  virtual io::Task<Result<void>> set_epoch(Epoch epoch) = 0;

  // Recent writes (R7): those begun and not yet known to be on every member. In Scratch: a killed process
  // loses none. `recent_lost` is set after a power loss, until clear_recent().
  virtual std::vector<core::RecentWrite> recent() const = 0;
  virtual bool recent_lost() const = 0;
  virtual void known_everywhere(Seq through) = 0;  // every seq up to this one is on every member
  virtual void clear_recent() = 0;                 // all members are equal: a takeover has ended

  // Dirty map (R8, R9): for each 1 MiB region the generation of its last write. After an unclean stop the
  // regions of every open intent zone count as of the highest generation known.
  virtual Generation generation() const = 0;  // highest ever stamped or set
  virtual void set_generation(Generation generation) = 0;
  virtual std::vector<uint64_t> dirty_regions(Generation at_or_above) const = 0;  // region numbers, sorted
  // Regions below this generation need not be remembered: every replica has them (confirmed, R9).
  virtual void forget_dirty(Generation below) = 0;
  // Regions in open intent zones: what may differ between members after a power loss.
  virtual std::vector<uint64_t> intent_regions() const = 0;

  // Snapshots. freeze(): everything written so far becomes the snapshot, durably, before it returns; no
  // write or zero may be under way. O(1) but for the flush. kAlreadyExists for a known id.
  virtual io::Task<Result<void>> freeze(SnapshotId id) = 0;
  // Oldest first.
  virtual std::vector<SnapshotId> snapshots() const = 0;
  // Merges the snapshot's layer into its only child, in the background of other I/O; returns when durable.
  // After a crash it goes on at the next open. kBusy while a clone is based on it. kNotFound.
  virtual io::Task<Result<void>> delete_snapshot(SnapshotId id) = 0;
  // The top becomes what the snapshot holds; newer snapshots stay. No write or zero may be under way.
  virtual io::Task<Result<void>> restore(SnapshotId id) = 0;

  // Grows the volume (blocks beyond the old end read as zeros). kInvalidArgument when smaller.
  virtual io::Task<Result<void>> resize(uint64_t size_blocks) = 0;

  // For rebuild and resync of layers: the next run of blocks at or after `from` that have data (or a hole
  // over data) in the view's own layer chain but not in that of `base`; base none: in no layer at all.
  // Empty range at the end. At most `count_max` blocks.
  virtual BlockRange next_changed(View view, std::optional<View> base, uint64_t from,
                                  uint32_t count_max) const = 0;

  // Opaque bytes of the volume's metadata record (R11), durable when set_record() returns. Limit: 64 KiB.
  virtual const std::string& record() const = 0;
  virtual io::Task<Result<void>> set_record(std::string record) = 0;

  virtual Usage usage() const = 0;
};

}  // namespace cleat::store
