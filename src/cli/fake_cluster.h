// A cleatd that says what a test tells it to, on a unix socket of its own: what the verbs send and
// how they show the answers is tested against it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "api/control.grpc.pb.h"

namespace cleat::cli {

namespace api = ::cleat::control::v1;

// One call: the last request, how often it was made, and what is answered.
template <class Request, class Response>
struct FakeCall {
  Request request;
  int count = 0;
  Response response;
  std::function<grpc::Status(grpc::ServerContext*, const Request&, Response*)> handler;

  grpc::Status serve(grpc::ServerContext* context, const Request* received, Response* answer) {
    request = *received;
    ++count;
    *answer = response;
    return handler ? handler(context, *received, answer) : grpc::Status::OK;
  }
};

// A failure as cleatd makes it: a status, a sentence, and the code in the trailing metadata.
inline grpc::Status refuse(grpc::ServerContext* context, grpc::StatusCode status,
                           const std::string& code, const std::string& sentence) {
  context->AddTrailingMetadata("cleat-error", code);
  return grpc::Status(status, sentence);
}

#define FAKE_CALL(Method, Request, Response, member)                             \
  FakeCall<api::Request, api::Response> member;                                  \
  grpc::Status Method(grpc::ServerContext* context, const api::Request* request, \
                      api::Response* response) override {                        \
    return member.serve(context, request, response);                             \
  }

struct FakeClusterService final : api::Cluster::Service {
  FAKE_CALL(Status, StatusRequest, StatusResponse, status)
  FAKE_CALL(RebuildMetadata, RebuildMetadataRequest, RebuildMetadataResponse, rebuild)
};

struct FakeNodes final : api::Nodes::Service {
  FAKE_CALL(List, ListNodesRequest, ListNodesResponse, list)
  FAKE_CALL(Inspect, InspectNodeRequest, Node, inspect)
  FAKE_CALL(Maintenance, MaintenanceRequest, Node, maintenance)
  FAKE_CALL(Decommission, DecommissionRequest, DecommissionResponse, decommission)
};

struct FakePools final : api::Pools::Service {
  FAKE_CALL(Create, CreatePoolRequest, Pool, create)
  FAKE_CALL(List, ListPoolsRequest, ListPoolsResponse, list)
  FAKE_CALL(Inspect, InspectPoolRequest, Pool, inspect)
  FAKE_CALL(Delete, DeletePoolRequest, DeletePoolResponse, remove)
};

struct FakeVolumes final : api::Volumes::Service {
  FAKE_CALL(Create, CreateVolumeRequest, Volume, create)
  FAKE_CALL(List, ListVolumesRequest, ListVolumesResponse, list)
  FAKE_CALL(Inspect, InspectVolumeRequest, Volume, inspect)
  FAKE_CALL(Delete, DeleteVolumeRequest, DeleteVolumeResponse, remove)
  FAKE_CALL(Resize, ResizeVolumeRequest, Volume, resize)
  FAKE_CALL(Update, UpdateVolumeRequest, Volume, update)
  FAKE_CALL(HaUpdate, HaUpdateRequest, Volume, ha_update)
  FAKE_CALL(Clone, CloneVolumeRequest, Volume, clone)
  FAKE_CALL(Restore, RestoreVolumeRequest, Volume, restore)
  FAKE_CALL(Stats, VolumeStatsRequest, VolumeStatsResponse, stats)
  FAKE_CALL(Check, CheckVolumeRequest, CheckVolumeResponse, check)
  FAKE_CALL(Salvage, SalvageVolumeRequest, Volume, salvage)
  FAKE_CALL(SnapshotCreate, CreateSnapshotRequest, Volume, snapshot_create)
  FAKE_CALL(SnapshotGroup, SnapshotGroupRequest, SnapshotGroupResponse, snapshot_group)
  FAKE_CALL(SnapshotList, ListSnapshotsRequest, ListSnapshotsResponse, snapshot_list)
  FAKE_CALL(SnapshotDelete, DeleteSnapshotRequest, DeleteSnapshotResponse, snapshot_delete)
};

struct FakeHosts final : api::Hosts::Service {
  FAKE_CALL(Attach, AttachRequest, AttachResponse, attach)
  FAKE_CALL(Detach, DetachRequest, DetachResponse, detach)
  FAKE_CALL(Mount, MountRequest, MountResponse, mount)
  FAKE_CALL(Unmount, UnmountRequest, UnmountResponse, unmount)
};

struct FakeAlerts final : api::Alerts::Service {
  FAKE_CALL(List, ListAlertsRequest, ListAlertsResponse, list)
  FAKE_CALL(Clear, ClearAlertsRequest, ClearAlertsResponse, clear)
};

#undef FAKE_CALL

class FakeCluster {
 public:
  FakeCluster() {
    char name[] = "/tmp/cleat-cli-XXXXXX";
    directory_ = ::mkdtemp(name);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + address(), grpc::InsecureServerCredentials());
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &cluster, &nodes, &pools, &volumes, &hosts, &alerts}) {
      builder.RegisterService(service);
    }
    server_ = builder.BuildAndStart();
  }
  ~FakeCluster() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    std::filesystem::remove_all(directory_);
  }
  FakeCluster(const FakeCluster&) = delete;
  FakeCluster& operator=(const FakeCluster&) = delete;

  std::string directory() const { return directory_; }
  std::string address() const { return directory_ + "/cleatd.sock"; }

  FakeClusterService cluster;
  FakeNodes nodes;
  FakePools pools;
  FakeVolumes volumes;
  FakeHosts hosts;
  FakeAlerts alerts;

 private:
  std::string directory_;
  std::unique_ptr<grpc::Server> server_;
};

// A volume with all that a listing shows.
inline api::Volume sample_volume(const std::string& id, const std::string& name) {
  api::Volume volume;
  volume.set_id(id);
  volume.set_name(name);
  volume.set_size_bytes(uint64_t{10} << 30);
  volume.set_ha(2);
  volume.set_fs("ext4");
  volume.set_scale(1);
  volume.set_io_priority(api::IO_PRIORITY_LOW);
  volume.set_io_profile(api::IO_PROFILE_AUTO);
  volume.set_status(api::VOLUME_STATUS_UP);
  volume.set_state(api::VOLUME_STATE_DETACHED);
  volume.set_data_local(true);
  volume.set_clean(true);
  return volume;
}

inline void attach_sample(api::Volume& volume, const std::string& node, const std::string& address,
                          bool local) {
  volume.set_state(api::VOLUME_STATE_ATTACHED);
  volume.set_data_local(local);
  auto* attachment = volume.mutable_attachment();
  attachment->set_node(node);
  attachment->set_address(address);
  attachment->set_frontend(api::FRONTEND_FUSE);
  attachment->set_device("/dev/cleat/" + volume.name());
  attachment->set_node_online(true);
}

}  // namespace cleat::cli
