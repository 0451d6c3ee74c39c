// Volumes as people use them: the Volumes service of api/control.proto without its snapshots. Each
// method is one call of the API: its contract, errors included, stands there.
//
// Threading: any thread, any number at once; calls for one volume are ordered by compare-and-set.
#pragma once

#include "api/control.pb.h"
#include "control/cluster_view.h"
#include "control/volume_ops.h"

namespace cleat::control {

class VolumeManager {
 public:
  explicit VolumeManager(const ControlContext& context) : context_(context), ops_(context) {}

  Outcome<v1::Volume> create(const v1::CreateVolumeRequest& request);
  Outcome<v1::ListVolumesResponse> list(const v1::ListVolumesRequest& request);
  Outcome<v1::Volume> inspect(const v1::InspectVolumeRequest& request);
  // Of a volume; SnapshotManager deletes snapshots.
  Outcome<> remove(const v1::DeleteVolumeRequest& request);
  Outcome<v1::Volume> resize(const v1::ResizeVolumeRequest& request);
  Outcome<v1::Volume> update(const v1::UpdateVolumeRequest& request);
  Outcome<v1::Volume> ha_update(const v1::HaUpdateRequest& request);
  Outcome<v1::VolumeStatsResponse> stats(const v1::VolumeStatsRequest& request);
  Outcome<v1::CheckVolumeResponse> check(const v1::CheckVolumeRequest& request);
  Outcome<v1::Volume> salvage(const v1::SalvageVolumeRequest& request);

  // Makes what a record in state CREATING lists, then sets it UP. Safe to repeat.
  Outcome<> finish_create(const VolumeView& volume);
  Outcome<v1::Volume> show(VolumeId id);

 private:
  Outcome<v1::Volume> create_again(const v1::CreateVolumeRequest& request, VolumeId existing);
  Outcome<meta::VolumeSpec> make_spec(const v1::CreateVolumeRequest& request,
                                      const Topology& topology) const;
  Outcome<> remove_once(const v1::DeleteVolumeRequest& request);
  Outcome<> may_delete(const VolumeView& volume, const ClusterView& view,
                       bool with_snapshots) const;
  Outcome<> stop_healing(const VolumeView& volume, const Topology& topology);
  std::string grow_file_system(const VolumeView& volume);
  Outcome<> rename(const VolumeView& volume, const std::string& name);
  Outcome<> ha_up(const VolumeView& volume, uint32_t ha, const std::string& node);
  Outcome<> ha_down(const VolumeView& volume, uint32_t ha, const std::string& node);
  Outcome<> ha_cancel(const VolumeView& volume);
  void fill_from_nodes(const VolumeView& volume, const ClusterView& view, v1::Volume& out);
  void fill_mounts(NodeId node, v1::Attachment& out);
  Outcome<> set_shared(const VolumeView& volume, bool shared);
  Outcome<> refresh_devices(const VolumeView& volume, const Topology& topology);

  const ControlContext& context_;
  VolumeOps ops_;
};

}  // namespace cleat::control
