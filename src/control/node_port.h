// Ports: what control asks of the data plane of its own node. src/node implements them on the
// engine; tests have src/control/testing/fake_node.h. A call for another node is forwarded by
// control to that node's cleatd and arrives at the ports there, so an implementation only ever acts
// for itself.
//
// Threading: any control thread, any number at once; a call blocks until it is done and bounds its
// own waiting (kTimedOut). Two calls for one volume may race: the implementation orders them.
// Idempotence: control repeats a call whose answer it lost. A repeated call with the same values
// succeeds.
// Metadata: the record key in etcd is changed through control::RecordStore only: by control when it
// makes or deletes a volume, and by the node that has the volume open for everything else.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/time.h"
#include "control/failure.h"
#include "control/node_types.h"
#include "core/types.h"

namespace cleat::control {

// Replicas in this node's pools.
class ReplicaPort {
 public:
  virtual ~ReplicaPort() = default;
  // Makes the replica `member` of `record` in the pool that the record names for it. State kInSync:
  // of a new volume, so empty, or the clone of record.parent_snapshot that this pool must hold.
  // kNew: empty, to be rebuilt by the primary. Stores with it what R11 needs: catalog_record(spec,
  // record) of record_codec.h. When the node changes the record later it stores
  // replace_record(stored bytes, record). `spec` is opaque. kNotFound (pool, parent), kNoSpace,
  // kAlreadyExists (a replica of this volume in another pool of this node, or of another size).
  virtual Outcome<> create(const core::VolumeRecord& record, core::MemberIndex member,
                           const std::string& spec) = 0;
  // Deletes the replica and its snapshots; success when there is none. kBusy while the volume is
  // open here, or a clone in the pool is based on it.
  virtual Outcome<> remove(VolumeId volume, PoolId pool) = 0;
  // A person changed the spec: stores replace_spec(stored bytes, spec) where there is a replica.
  virtual Outcome<> set_spec(VolumeId volume, const std::string& spec) = 0;
  // Everything the catalogs of all pools hold.
  virtual Outcome<std::vector<LocalReplica>> list() = 0;
  // Exact, of the replicas of these volumes; of all when none is named. Not for the background: it
  // looks at each extent of a replica that has snapshots.
  virtual Outcome<std::vector<ReplicaUsage>> usage(const std::vector<VolumeId>& volumes) = 0;
};

// Devices of this node.
class AttachPort {
 public:
  virtual ~AttachPort() = default;
  // R3 and R7, then the frontend. An already attached volume: its device again (kBusy for another
  // frontend). kBusy: another node is primary and take_over is off. kUnreachable: no in-sync
  // replica. A shared volume that has a device here through another primary keeps it, and is open
  // here from then on. With through_primary: only the frontend; kUnreachable when the primary does
  // not answer.
  virtual Outcome<AttachedVolume> attach(VolumeId volume, const AttachOptions& options) = 0;
  // Flushes, closes the frontend and writes the clean detach to the record; success when not
  // attached. Of a shared volume whose primary is elsewhere only the device goes. Other sharers
  // stay on the record: their I/O waits for the next primary. kBusy while the device is open
  // (mounted), unless `force`: then the device fails its I/O.
  virtual Outcome<> detach(VolumeId volume, bool force) = 0;
  // Opens a detached volume without a frontend until every reachable replica is in sync, then
  // closes it. Returns at once, the copy goes on. An attach anywhere ends it by its higher epoch.
  // Success when open.
  virtual Outcome<> heal(VolumeId volume) = 0;
  // Every device here, also those of shared volumes that are open elsewhere.
  virtual Outcome<std::vector<AttachedVolume>> attached() = 0;
  // On the primary of a shared volume: `node` is no sharer any more, and whatever it still sends is
  // refused (ADR 9). Success when it was none. kConflict: the volume is not open here.
  virtual Outcome<> expel(VolumeId volume, NodeId node) = 0;
  // The volume has grown, on another node: the device here learns its new size. Success without a
  // device.
  virtual Outcome<> refresh_size(VolumeId volume) = 0;
};

// Changes of a whole volume. Control calls them on the primary's node; for a detached volume on a
// node with an in-sync replica, which opens it without a frontend for the time of the call.
class VolumePort {
 public:
  virtual ~VolumePort() = default;
  // Freezes on every in-sync member and adds it to the record. A known id: success. kLimit.
  virtual Outcome<> snapshot(VolumeId volume, const core::SnapshotRecord& snapshot) = 0;
  // Takes it off the record, then off every member, also one that comes back later. kBusy: it has
  // clones.
  virtual Outcome<> delete_snapshot(VolumeId volume, SnapshotId snapshot) = 0;
  // The top becomes what the snapshot holds. kBusy while the volume is attached.
  virtual Outcome<> restore(VolumeId volume, SnapshotId snapshot) = 0;
  // Grows every member, then the record, then the device. kInvalidArgument when smaller.
  virtual Outcome<> resize(VolumeId volume, uint64_t size_blocks) = 0;
  // Adds `replica` (state kNew, made before by ReplicaPort::create on its node) to the record, and
  // starts its rebuild; a detached volume stays open without a frontend as in heal(). Returns at
  // once.
  virtual Outcome<> add_replica(VolumeId volume, const core::ReplicaRecord& replica) = 0;
  // Takes a member out of the record (R2 when in sync). kConflict: fewer than `in_sync_left_min`,
  // or none, would be left in sync. Success when there is no such member. Control deletes the
  // replica itself afterwards.
  virtual Outcome<> remove_replica(VolumeId volume, core::MemberIndex member,
                                   uint32_t in_sync_left_min) = 0;
};

// Writes of an attached volume, held so that several volumes can be frozen at one point in time.
class HoldPort {
 public:
  virtual ~HoldPort() = default;
  // Returns when no write is inside; later ones wait until release(), or until hold_max is over.
  // kConflict: not attached here, or another hold is on. kTimedOut: writes under way didn't end.
  virtual Outcome<> hold(VolumeId volume, uint64_t hold, Duration hold_max) = 0;
  // Success says that the hold was on all the time. kConflict: it is not, or is over.
  virtual Outcome<> release(VolumeId volume, uint64_t hold) = 0;
};

// What is going on. Never waits for other nodes but in check().
class InspectPort {
 public:
  virtual ~InspectPort() = default;
  // kNotFound when the volume is not open here: also where a shared volume has only a device.
  // kBusy: an attach is under way.
  virtual Outcome<VolumeRuntime> runtime(VolumeId volume) = 0;
  virtual Outcome<VolumeStats> stats(VolumeId volume) = 0;
  // Of every volume open here.
  virtual Outcome<std::vector<std::pair<VolumeId, VolumeRuntime>>> runtimes() = 0;
  // Reads each replica alone, at one state of the volume, and compares. As VolumePort for where to
  // call.
  virtual Outcome<CheckResult> check(VolumeId volume) = 0;
};

// Pools of this node.
class PoolPort {
 public:
  virtual ~PoolPort() = default;
  // Formats and opens it, and remembers it for the next start. The id comes from control.
  virtual Outcome<PoolInfo> create(PoolId pool, const PoolCreate& options) = 0;
  // kBusy while it holds replicas. Forgets it; the file or device is left with its superblocks
  // erased.
  virtual Outcome<> remove(PoolId pool) = 0;
  virtual Outcome<std::vector<PoolInfo>> list() = 0;
};

// The node's ports together, as they are handed to control. Borrowed.
struct NodePorts {
  ReplicaPort& replicas;
  AttachPort& attach;
  VolumePort& volumes;
  InspectPort& inspect;
  PoolPort& pools;
  HoldPort& holds;
};

}  // namespace cleat::control
