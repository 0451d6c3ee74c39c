#include "api/csi.grpc.pb.h"
#include "csi/answer.h"
#include "csi/lister.h"
#include "csi/publisher.h"
#include "csi/services.h"
#include "csi/snapshot_controller.h"
#include "csi/volume_controller.h"

namespace cleat::csi {
namespace {

namespace spec = ::csi::v1;
using Context = grpc::ServerContext;

constexpr std::array kCapabilities = {
    spec::ControllerServiceCapability::RPC::CREATE_DELETE_VOLUME,
    spec::ControllerServiceCapability::RPC::PUBLISH_UNPUBLISH_VOLUME,
    spec::ControllerServiceCapability::RPC::LIST_VOLUMES,
    spec::ControllerServiceCapability::RPC::GET_CAPACITY,
    spec::ControllerServiceCapability::RPC::CREATE_DELETE_SNAPSHOT,
    spec::ControllerServiceCapability::RPC::LIST_SNAPSHOTS,
    spec::ControllerServiceCapability::RPC::CLONE_VOLUME,
    spec::ControllerServiceCapability::RPC::PUBLISH_READONLY,
    spec::ControllerServiceCapability::RPC::EXPAND_VOLUME,
    spec::ControllerServiceCapability::RPC::LIST_VOLUMES_PUBLISHED_NODES,
    spec::ControllerServiceCapability::RPC::VOLUME_CONDITION,
    spec::ControllerServiceCapability::RPC::GET_VOLUME,
    spec::ControllerServiceCapability::RPC::SINGLE_NODE_MULTI_WRITER,
    spec::ControllerServiceCapability::RPC::MODIFY_VOLUME,
    spec::ControllerServiceCapability::RPC::GET_SNAPSHOT,
    spec::ControllerServiceCapability::RPC::GET_VOLUME_HEALTH,
    spec::ControllerServiceCapability::RPC::LIST_VOLUME_HEALTH,
};

class ControllerService final : public spec::Controller::Service {
 public:
  ControllerService(const Cleatd& cleatd, InFlight& in_flight, uint32_t volumes_max)
      : volumes_(cleatd, in_flight),
        publisher_(cleatd, in_flight, volumes_max),
        snapshots_(cleatd, in_flight),
        lister_(cleatd) {}

  grpc::Status ControllerGetCapabilities(Context*, const spec::ControllerGetCapabilitiesRequest*,
                                         spec::ControllerGetCapabilitiesResponse* out) override {
    for (auto type : kCapabilities) out->add_capabilities()->mutable_rpc()->set_type(type);
    return grpc::Status::OK;
  }
  grpc::Status CreateVolume(Context*, const spec::CreateVolumeRequest* in,
                            spec::CreateVolumeResponse* out) override {
    return answer("CreateVolume", volumes_.create(*in), out);
  }
  grpc::Status DeleteVolume(Context*, const spec::DeleteVolumeRequest* in,
                            spec::DeleteVolumeResponse* out) override {
    return answer("DeleteVolume", volumes_.remove(*in), out);
  }
  grpc::Status ControllerPublishVolume(Context*, const spec::ControllerPublishVolumeRequest* in,
                                       spec::ControllerPublishVolumeResponse* out) override {
    return answer("ControllerPublishVolume", publisher_.publish(*in), out);
  }
  grpc::Status ControllerUnpublishVolume(Context*, const spec::ControllerUnpublishVolumeRequest* in,
                                         spec::ControllerUnpublishVolumeResponse* out) override {
    return answer("ControllerUnpublishVolume", publisher_.unpublish(*in), out);
  }
  grpc::Status ValidateVolumeCapabilities(Context*,
                                          const spec::ValidateVolumeCapabilitiesRequest* in,
                                          spec::ValidateVolumeCapabilitiesResponse* out) override {
    return answer("ValidateVolumeCapabilities", volumes_.validate(*in), out);
  }
  grpc::Status ListVolumes(Context*, const spec::ListVolumesRequest* in,
                           spec::ListVolumesResponse* out) override {
    return answer("ListVolumes", lister_.volumes(*in), out);
  }
  grpc::Status ControllerListVolumeHealth(Context*,
                                          const spec::ControllerListVolumeHealthRequest* in,
                                          spec::ControllerListVolumeHealthResponse* out) override {
    return answer("ControllerListVolumeHealth", lister_.healths(*in), out);
  }
  grpc::Status ControllerGetVolumeHealth(Context*, const spec::ControllerGetVolumeHealthRequest* in,
                                         spec::ControllerGetVolumeHealthResponse* out) override {
    return answer("ControllerGetVolumeHealth", lister_.health(*in), out);
  }
  grpc::Status GetCapacity(Context*, const spec::GetCapacityRequest* in,
                           spec::GetCapacityResponse* out) override {
    return answer("GetCapacity", lister_.capacity(*in), out);
  }
  grpc::Status CreateSnapshot(Context*, const spec::CreateSnapshotRequest* in,
                              spec::CreateSnapshotResponse* out) override {
    return answer("CreateSnapshot", snapshots_.create(*in), out);
  }
  grpc::Status DeleteSnapshot(Context*, const spec::DeleteSnapshotRequest* in,
                              spec::DeleteSnapshotResponse* out) override {
    return answer("DeleteSnapshot", snapshots_.remove(*in), out);
  }
  grpc::Status ListSnapshots(Context*, const spec::ListSnapshotsRequest* in,
                             spec::ListSnapshotsResponse* out) override {
    return answer("ListSnapshots", lister_.snapshots(*in), out);
  }
  grpc::Status GetSnapshot(Context*, const spec::GetSnapshotRequest* in,
                           spec::GetSnapshotResponse* out) override {
    return answer("GetSnapshot", lister_.snapshot(*in), out);
  }
  grpc::Status ControllerExpandVolume(Context*, const spec::ControllerExpandVolumeRequest* in,
                                      spec::ControllerExpandVolumeResponse* out) override {
    return answer("ControllerExpandVolume", volumes_.expand(*in), out);
  }
  grpc::Status ControllerGetVolume(Context*, const spec::ControllerGetVolumeRequest* in,
                                   spec::ControllerGetVolumeResponse* out) override {
    return answer("ControllerGetVolume", lister_.volume(*in), out);
  }
  grpc::Status ControllerModifyVolume(Context*, const spec::ControllerModifyVolumeRequest* in,
                                      spec::ControllerModifyVolumeResponse* out) override {
    return answer("ControllerModifyVolume", volumes_.modify(*in), out);
  }

 private:
  VolumeController volumes_;
  Publisher publisher_;
  SnapshotController snapshots_;
  Lister lister_;
};

class GroupControllerService final : public spec::GroupController::Service {
 public:
  GroupControllerService(const Cleatd& cleatd, InFlight& in_flight)
      : snapshots_(cleatd, in_flight) {}

  grpc::Status GroupControllerGetCapabilities(
      Context*, const spec::GroupControllerGetCapabilitiesRequest*,
      spec::GroupControllerGetCapabilitiesResponse* out) override {
    out->add_capabilities()->mutable_rpc()->set_type(
        spec::GroupControllerServiceCapability::RPC::CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT);
    return grpc::Status::OK;
  }
  grpc::Status CreateVolumeGroupSnapshot(Context*, const spec::CreateVolumeGroupSnapshotRequest* in,
                                         spec::CreateVolumeGroupSnapshotResponse* out) override {
    return answer("CreateVolumeGroupSnapshot", snapshots_.create_group(*in), out);
  }
  grpc::Status DeleteVolumeGroupSnapshot(Context*, const spec::DeleteVolumeGroupSnapshotRequest* in,
                                         spec::DeleteVolumeGroupSnapshotResponse* out) override {
    return answer("DeleteVolumeGroupSnapshot", snapshots_.remove_group(*in), out);
  }
  grpc::Status GetVolumeGroupSnapshot(Context*, const spec::GetVolumeGroupSnapshotRequest* in,
                                      spec::GetVolumeGroupSnapshotResponse* out) override {
    return answer("GetVolumeGroupSnapshot", snapshots_.group(*in), out);
  }

 private:
  SnapshotController snapshots_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_controller(const Cleatd& cleatd, InFlight& in_flight,
                                               const CsiOptions& options) {
  return std::make_unique<ControllerService>(cleatd, in_flight, options.volumes_max);
}

std::unique_ptr<grpc::Service> make_group_controller(const Cleatd& cleatd, InFlight& in_flight) {
  return std::make_unique<GroupControllerService>(cleatd, in_flight);
}

}  // namespace cleat::csi
