#include "control/agent_server.h"

#include <algorithm>

#include "control/agent_codec.h"
#include "control/record_codec.h"
#include "control/status_codes.h"

namespace cleat::control {
namespace {

using Request = agent::NodeRequest;
using Response = agent::NodeResponse;

Outcome<> create_replica(const agent::CreateReplica& body, ReplicaPort& port) {
  OUTCOME_ASSIGN(core::VolumeRecord record, from_proto(body.record()));
  auto member = static_cast<core::MemberIndex>(body.member());
  if (body.member() >= core::kNoMember || record.find(member) == nullptr) {
    return failure(Code::kInvalidArgument, "volume {} has no replica with index {}",
                   record.id.value, body.member());
  }
  return port.create(record, member, body.spec());
}

Outcome<> list_replicas(ReplicaPort& port, Response& response) {
  OUTCOME_ASSIGN(auto replicas, port.list());
  for (const auto& replica : replicas) {
    *response.mutable_replicas()->add_replicas() = to_agent(replica);
  }
  return {};
}

Outcome<> usage(const agent::OfVolumes& body, ReplicaPort& port, Response& response) {
  std::vector<VolumeId> volumes;
  for (uint64_t volume : body.volumes()) volumes.push_back(VolumeId{volume});
  OUTCOME_ASSIGN(auto replicas, port.usage(volumes));
  response.mutable_usages();  // an answer, also when there is none
  for (const auto& replica : replicas) {
    *response.mutable_usages()->add_replicas() = to_agent(replica);
  }
  return {};
}

Outcome<> attach(const agent::Attach& body, AttachPort& port, Response& response) {
  AttachOptions options;
  options.frontend =
      body.frontend() == static_cast<uint32_t>(Frontend::kNbd) ? Frontend::kNbd : Frontend::kFuse;
  options.volume_name = body.volume_name();
  options.take_over = body.take_over();
  options.shared = body.shared();
  options.through_primary = body.through_primary();
  OUTCOME_ASSIGN(auto attached, port.attach(VolumeId{body.volume()}, options));
  *response.mutable_attached() = to_agent(attached);
  return {};
}

Outcome<> list_attached(AttachPort& port, Response& response) {
  OUTCOME_ASSIGN(auto volumes, port.attached());
  for (const auto& volume : volumes) {
    *response.mutable_attached_list()->add_volumes() = to_agent(volume);
  }
  return {};
}

Outcome<> add_replica(const agent::AddReplica& body, VolumePort& port) {
  OUTCOME_ASSIGN(core::ReplicaRecord replica, from_proto(body.replica()));
  return port.add_replica(VolumeId{body.volume()}, replica);
}

Outcome<> hold_writes(const agent::HoldWrites& body, HoldPort& port) {
  // Whoever asks: a hold of more than a minute is none of ours.
  constexpr uint64_t kNsMax = 60'000'000'000;
  return port.hold(VolumeId{body.volume()}, body.hold(),
                   Duration(static_cast<int64_t>(std::min(body.ns_max(), kNsMax))));
}

Outcome<> runtime(VolumeId volume, InspectPort& port, Response& response) {
  OUTCOME_ASSIGN(auto found, port.runtime(volume));
  *response.mutable_runtime() = to_agent(volume, found);
  return {};
}

Outcome<> runtimes(InspectPort& port, Response& response) {
  OUTCOME_ASSIGN(auto found, port.runtimes());
  for (const auto& [volume, value] : found) {
    *response.mutable_runtimes()->add_runtimes() = to_agent(volume, value);
  }
  return {};
}

Outcome<> create_pool(const agent::CreatePool& body, PoolPort& port, Response& response) {
  PoolCreate options{body.path(), body.size_bytes(), body.pool_class(), body.overwrite()};
  OUTCOME_ASSIGN(auto pool, port.create(PoolId{body.pool()}, options));
  *response.mutable_pool() = to_agent(pool);
  return {};
}

Outcome<> list_pools(PoolPort& port, Response& response) {
  OUTCOME_ASSIGN(auto pools, port.list());
  for (const auto& pool : pools) *response.mutable_pools()->add_pools() = to_agent(pool);
  return {};
}

Outcome<> mount(const agent::Mount& body, MountPort& port, Response& response) {
  MountRequestInfo info{
      body.device(), body.path(), body.fs(), {body.options().begin(), body.options().end()}};
  OUTCOME_ASSIGN(auto mounted, port.mount(info));
  auto* out = response.mutable_mount();
  out->set_device(mounted.device);
  out->set_path(mounted.path);
  out->set_fs(mounted.fs);
  out->set_formatted(mounted.formatted);
  return {};
}

Outcome<> serve_volumes(const Request& request, NodePorts ports) {
  switch (request.request_case()) {
    case Request::kSnapshot:
      return ports.volumes.snapshot(VolumeId{request.snapshot().volume()},
                                    from_agent(request.snapshot().snapshot()));
    case Request::kDeleteSnapshot:
      return ports.volumes.delete_snapshot(VolumeId{request.delete_snapshot().volume()},
                                           SnapshotId{request.delete_snapshot().snapshot()});
    case Request::kRestore:
      return ports.volumes.restore(VolumeId{request.restore().volume()},
                                   SnapshotId{request.restore().snapshot()});
    case Request::kResize:
      return ports.volumes.resize(VolumeId{request.resize().volume()},
                                  request.resize().size_blocks());
    case Request::kAddReplica: return add_replica(request.add_replica(), ports.volumes);
    case Request::kHoldWrites: return hold_writes(request.hold_writes(), ports.holds);
    case Request::kReleaseWrites:
      return ports.holds.release(VolumeId{request.release_writes().volume()},
                                 request.release_writes().hold());
    case Request::kRemoveMember:
      return ports.volumes.remove_replica(
          VolumeId{request.remove_member().volume()},
          static_cast<core::MemberIndex>(request.remove_member().member()),
          request.remove_member().in_sync_left_min());
    default: return failure(Code::kUnsupported, "this version of cleatd doesn't know the request");
  }
}

Outcome<> stats(VolumeId volume, InspectPort& port, Response& response) {
  OUTCOME_ASSIGN(auto found, port.stats(volume));
  *response.mutable_stats() = to_agent(found);
  return {};
}

Outcome<> check(VolumeId volume, InspectPort& port, Response& response) {
  OUTCOME_ASSIGN(auto found, port.check(volume));
  *response.mutable_check() = to_agent(found);
  return {};
}

Outcome<> mounts(const std::string& device, MountPort& port, Response& response) {
  OUTCOME_ASSIGN(auto paths, port.mounts(device));
  for (auto& mounted : paths) {
    response.mutable_paths()->add_paths(std::move(mounted.path));
    response.mutable_paths()->add_read_only(mounted.read_only);
  }
  return {};
}

Outcome<> grow_file_system(const std::string& device, MountPort& port, Response& response) {
  OUTCOME_ASSIGN(Growth growth, port.grow_file_system(device));
  response.mutable_growth()->set_grown(growth.grown);
  response.mutable_growth()->set_why_not(growth.why_not);
  return {};
}

Outcome<> serve_mounts(const Request& request, NodeHandle& node, Response& response) {
  switch (request.request_case()) {
    case Request::kMount: return mount(request.mount(), node.mounts(), response);
    case Request::kUnmount:
      return node.mounts().unmount(request.unmount().device(), request.unmount().path());
    case Request::kMounts: return mounts(request.mounts().device(), node.mounts(), response);
    case Request::kGrowFileSystem:
      return grow_file_system(request.grow_file_system().device(), node.mounts(), response);
    default: return serve_volumes(request, node.ports());
  }
}

Outcome<> serve(const Request& request, NodeHandle& node, Response& response) {
  NodePorts ports = node.ports();
  switch (request.request_case()) {
    case Request::kCreateReplica: return create_replica(request.create_replica(), ports.replicas);
    case Request::kRemoveReplica:
      return ports.replicas.remove(VolumeId{request.remove_replica().volume()},
                                   PoolId{request.remove_replica().pool()});
    case Request::kSetSpec:
      return ports.replicas.set_spec(VolumeId{request.set_spec().volume()},
                                     request.set_spec().spec());
    case Request::kListReplicas: return list_replicas(ports.replicas, response);
    case Request::kUsage: return usage(request.usage(), ports.replicas, response);
    case Request::kAttach: return attach(request.attach(), ports.attach, response);
    case Request::kDetach:
      return ports.attach.detach(VolumeId{request.detach().volume()}, request.detach().force());
    case Request::kHeal: return ports.attach.heal(VolumeId{request.heal().volume()});
    case Request::kExpel:
      return ports.attach.expel(VolumeId{request.expel().volume()}, NodeId{request.expel().node()});
    case Request::kRefreshSize:
      return ports.attach.refresh_size(VolumeId{request.refresh_size().volume()});
    case Request::kAttached: return list_attached(ports.attach, response);
    case Request::kRuntime:
      return runtime(VolumeId{request.runtime().volume()}, ports.inspect, response);
    case Request::kStats: return stats(VolumeId{request.stats().volume()}, ports.inspect, response);
    case Request::kRuntimes: return runtimes(ports.inspect, response);
    case Request::kCheck: return check(VolumeId{request.check().volume()}, ports.inspect, response);
    case Request::kCreatePool: return create_pool(request.create_pool(), ports.pools, response);
    case Request::kRemovePool: return ports.pools.remove(PoolId{request.remove_pool().pool()});
    case Request::kListPools: return list_pools(ports.pools, response);
    default: return serve_mounts(request, node, response);
  }
}

}  // namespace

grpc::Status AgentServer::Do(grpc::ServerContext* context, const Request* request,
                             Response* response) {
  if (request->node() != self_.value) {
    return to_status(
        {Code::kNotFound,
         fmt::format("this is node {}, not node {}: an address is used by two nodes, or "
                     "the node was set up anew",
                     self_.value, request->node())},
        *context);
  }
  auto served = serve(*request, local_, *response);
  if (!served) return to_status(served.error(), *context);
  if (response->response_case() == Response::RESPONSE_NOT_SET) response->mutable_done();
  return grpc::Status::OK;
}

}  // namespace cleat::control
