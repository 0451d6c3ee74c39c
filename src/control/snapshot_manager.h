// Snapshots, clones and restore (api/control.proto has the contracts).
//
// Threading: any thread. A snapshot's key is written as CREATING before the layers are frozen and
// as DELETING before they are merged, so the reconciler can finish what a crash left. Snapshots of
// a group: GroupSnapshots makes them, everything else is done here.
#pragma once

#include "api/control.pb.h"
#include "control/volume_manager.h"

namespace cleat::control {

// VOLUME.snap-YYYYMMDD-HHMMSS, in UTC.
std::string default_snapshot_name(const std::string& volume, uint64_t now_unix_ms);

class SnapshotManager {
 public:
  SnapshotManager(const ControlContext& context, VolumeManager& volumes)
      : context_(context), ops_(context), volumes_(volumes) {}

  Outcome<v1::Volume> create(const v1::CreateSnapshotRequest& request);
  Outcome<v1::ListSnapshotsResponse> list(const v1::ListSnapshotsRequest& request);
  Outcome<> remove(const v1::DeleteSnapshotRequest& request);
  Outcome<v1::Volume> clone(const v1::CloneVolumeRequest& request);
  Outcome<v1::Volume> restore(const v1::RestoreVolumeRequest& request);

  // Brings a snapshot that was left CREATING or DELETING to its end.
  Outcome<> finish(const VolumeView& volume, const meta::Snapshot& snapshot);

 private:
  Outcome<v1::Volume> existing(const VolumeView& volume, const std::string& name);
  Outcome<> forget(const meta::Snapshot& snapshot);
  Outcome<bool> give_up(const meta::Snapshot& snapshot);
  Outcome<VolumeRef> clone_base(const std::string& source);
  const ControlContext& context_;
  VolumeOps ops_;
  VolumeManager& volumes_;
};

}  // namespace cleat::control
