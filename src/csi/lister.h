// The questions of the Controller service: lists in pages, one volume or snapshot, health,
// capacity.
// Threading: any thread. Ownership: borrows the client.
#pragma once

#include "csi/capabilities.h"
#include "csi/cleatd.h"

namespace cleat::csi {

class Lister {
 public:
  explicit Lister(const Cleatd& cleatd) : cleatd_(cleatd) {}

  // Volumes that cleat-csi didn't make are listed too: they can be used by their id.
  Outcome<spec::ListVolumesResponse> volumes(const spec::ListVolumesRequest& request) const;
  Outcome<spec::ControllerListVolumeHealthResponse> healths(
      const spec::ControllerListVolumeHealthRequest& request) const;
  Outcome<spec::ControllerGetVolumeResponse> volume(
      const spec::ControllerGetVolumeRequest& request) const;
  Outcome<spec::ControllerGetVolumeHealthResponse> health(
      const spec::ControllerGetVolumeHealthRequest& request) const;
  Outcome<spec::ListSnapshotsResponse> snapshots(const spec::ListSnapshotsRequest& request) const;
  Outcome<spec::GetSnapshotResponse> snapshot(const spec::GetSnapshotRequest& request) const;
  // The largest volume that can be made with the parameters. A volume can be used from every node
  // of the cluster, wherever its replicas are: so it is the same for each topology that has a node.
  Outcome<spec::GetCapacityResponse> capacity(const spec::GetCapacityRequest& request) const;

 private:
  const Cleatd& cleatd_;
};

}  // namespace cleat::csi
