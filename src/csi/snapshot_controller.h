// Snapshots of one volume (Controller service), and of several at one point in time
// (GroupController). The id of a group is the one that cleatd gave it; its members name it.
//
// Threading: any thread. Ownership: borrows both.
#pragma once

#include "csi/capabilities.h"
#include "csi/cleatd.h"
#include "csi/in_flight.h"

namespace cleat::csi {

class SnapshotController {
 public:
  SnapshotController(const Cleatd& cleatd, InFlight& in_flight)
      : cleatd_(cleatd), in_flight_(in_flight) {}

  Outcome<spec::CreateSnapshotResponse> create(const spec::CreateSnapshotRequest& request);
  Outcome<> remove(const spec::DeleteSnapshotRequest& request);

  Outcome<spec::CreateVolumeGroupSnapshotResponse> create_group(
      const spec::CreateVolumeGroupSnapshotRequest& request);
  Outcome<> remove_group(const spec::DeleteVolumeGroupSnapshotRequest& request);
  Outcome<spec::GetVolumeGroupSnapshotResponse> group(
      const spec::GetVolumeGroupSnapshotRequest& request) const;

 private:
  Outcome<std::vector<api::Volume>> members(const std::string& group) const;

  const Cleatd& cleatd_;
  InFlight& in_flight_;
};

}  // namespace cleat::csi
