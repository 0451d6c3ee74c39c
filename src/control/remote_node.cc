#include "control/remote_node.h"

#include <algorithm>

#include "api/agent.grpc.pb.h"
#include "control/agent_codec.h"
#include "control/grpc_channel.h"
#include "control/record_codec.h"
#include "control/status_codes.h"

namespace cleat::control {
namespace {

constexpr Duration kConnectTime = 2s;

// One connection and the exchange of one request.
class AgentClient {
 public:
  explicit AgentClient(RemoteNodeOptions options)
      : options_(std::move(options)),
        channel_(make_channel(options_.endpoint)),
        stub_(agent::Agent::NewStub(channel_)) {}

  const RemoteNodeOptions& options() const { return options_; }

  Outcome<agent::NodeResponse> exchange(agent::NodeRequest& request, Duration limit) {
    request.set_node(options_.node.value);
    connect_now(*channel_, std::min(limit, kConnectTime));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::microseconds>(limit));
    context.AddMetadata(kTokenMetadata, "Bearer " + options_.token);
    agent::NodeResponse response;
    grpc::Status status = stub_->Do(&context, request, &response);
    if (status.ok()) return response;
    return tl::unexpected(from_status(status, context, "node " + options_.name));
  }
  Outcome<> done(agent::NodeRequest& request, Duration limit) {
    OUTCOME_TRY(exchange(request, limit));
    return {};
  }

 private:
  RemoteNodeOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<agent::Agent::Stub> stub_;
};

class RemoteReplicas final : public ReplicaPort {
 public:
  explicit RemoteReplicas(AgentClient& client) : client_(client) {}
  Outcome<> create(const core::VolumeRecord& record, core::MemberIndex member,
                   const std::string& spec) override {
    agent::NodeRequest request;
    auto* body = request.mutable_create_replica();
    *body->mutable_record() = to_proto(record);
    body->set_member(member);
    body->set_spec(spec);
    return client_.done(request, client_.options().change);
  }
  Outcome<> remove(VolumeId volume, PoolId pool) override {
    agent::NodeRequest request;
    request.mutable_remove_replica()->set_volume(volume.value);
    request.mutable_remove_replica()->set_pool(pool.value);
    return client_.done(request, client_.options().long_work);
  }
  Outcome<> set_spec(VolumeId volume, const std::string& spec) override {
    agent::NodeRequest request;
    request.mutable_set_spec()->set_volume(volume.value);
    request.mutable_set_spec()->set_spec(spec);
    return client_.done(request, client_.options().quick);
  }
  Outcome<std::vector<LocalReplica>> list() override {
    agent::NodeRequest request;
    request.mutable_list_replicas();
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().change));
    std::vector<LocalReplica> out;
    for (const auto& replica : response.replicas().replicas()) out.push_back(from_agent(replica));
    return out;
  }
  Outcome<std::vector<ReplicaUsage>> usage(const std::vector<VolumeId>& volumes) override {
    agent::NodeRequest request;
    request.mutable_usage();
    for (VolumeId volume : volumes) request.mutable_usage()->add_volumes(volume.value);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().change));
    std::vector<ReplicaUsage> out;
    for (const auto& replica : response.usages().replicas()) out.push_back(from_agent(replica));
    return out;
  }

 private:
  AgentClient& client_;
};

class RemoteAttach final : public AttachPort {
 public:
  explicit RemoteAttach(AgentClient& client) : client_(client) {}
  Outcome<AttachedVolume> attach(VolumeId volume, const AttachOptions& options) override {
    agent::NodeRequest request;
    auto* body = request.mutable_attach();
    body->set_volume(volume.value);
    body->set_frontend(static_cast<uint32_t>(options.frontend));
    body->set_volume_name(options.volume_name);
    body->set_take_over(options.take_over);
    body->set_shared(options.shared);
    body->set_through_primary(options.through_primary);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().change));
    return from_agent(response.attached());
  }
  Outcome<> detach(VolumeId volume, bool force) override {
    agent::NodeRequest request;
    request.mutable_detach()->set_volume(volume.value);
    request.mutable_detach()->set_force(force);
    return client_.done(request, client_.options().change);
  }
  Outcome<> heal(VolumeId volume) override {
    agent::NodeRequest request;
    request.mutable_heal()->set_volume(volume.value);
    return client_.done(request, client_.options().change);
  }
  Outcome<std::vector<AttachedVolume>> attached() override {
    agent::NodeRequest request;
    request.mutable_attached();
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().quick));
    std::vector<AttachedVolume> out;
    for (const auto& volume : response.attached_list().volumes()) out.push_back(from_agent(volume));
    return out;
  }
  Outcome<> expel(VolumeId volume, NodeId node) override {
    agent::NodeRequest request;
    request.mutable_expel()->set_volume(volume.value);
    request.mutable_expel()->set_node(node.value);
    return client_.done(request, client_.options().change);
  }
  Outcome<> refresh_size(VolumeId volume) override {
    agent::NodeRequest request;
    request.mutable_refresh_size()->set_volume(volume.value);
    return client_.done(request, client_.options().quick);
  }

 private:
  AgentClient& client_;
};

class RemoteVolumes final : public VolumePort {
 public:
  explicit RemoteVolumes(AgentClient& client) : client_(client) {}
  Outcome<> snapshot(VolumeId volume, const core::SnapshotRecord& snapshot) override {
    agent::NodeRequest request;
    request.mutable_snapshot()->set_volume(volume.value);
    *request.mutable_snapshot()->mutable_snapshot() = to_agent(snapshot);
    return client_.done(request, client_.options().change);
  }
  Outcome<> delete_snapshot(VolumeId volume, SnapshotId snapshot) override {
    agent::NodeRequest request;
    request.mutable_delete_snapshot()->set_volume(volume.value);
    request.mutable_delete_snapshot()->set_snapshot(snapshot.value);
    return client_.done(request, client_.options().long_work);
  }
  Outcome<> restore(VolumeId volume, SnapshotId snapshot) override {
    agent::NodeRequest request;
    request.mutable_restore()->set_volume(volume.value);
    request.mutable_restore()->set_snapshot(snapshot.value);
    return client_.done(request, client_.options().change);
  }
  Outcome<> resize(VolumeId volume, uint64_t size_blocks) override {
    agent::NodeRequest request;
    request.mutable_resize()->set_volume(volume.value);
    request.mutable_resize()->set_size_blocks(size_blocks);
    return client_.done(request, client_.options().change);
  }
  Outcome<> add_replica(VolumeId volume, const core::ReplicaRecord& replica) override {
    agent::NodeRequest request;
    request.mutable_add_replica()->set_volume(volume.value);
    *request.mutable_add_replica()->mutable_replica() = to_proto(replica);
    return client_.done(request, client_.options().change);
  }
  Outcome<> remove_replica(VolumeId volume, core::MemberIndex member,
                           uint32_t in_sync_left_min) override {
    agent::NodeRequest request;
    request.mutable_remove_member()->set_volume(volume.value);
    request.mutable_remove_member()->set_member(member);
    request.mutable_remove_member()->set_in_sync_left_min(in_sync_left_min);
    return client_.done(request, client_.options().change);
  }

 private:
  AgentClient& client_;
};

class RemoteHolds final : public HoldPort {
 public:
  explicit RemoteHolds(AgentClient& client) : client_(client) {}
  Outcome<> hold(VolumeId volume, uint64_t hold, Duration hold_max) override {
    agent::NodeRequest request;
    request.mutable_hold_writes()->set_volume(volume.value);
    request.mutable_hold_writes()->set_hold(hold);
    request.mutable_hold_writes()->set_ns_max(static_cast<uint64_t>(hold_max.count()));
    return client_.done(request, client_.options().change);
  }
  Outcome<> release(VolumeId volume, uint64_t hold) override {
    agent::NodeRequest request;
    request.mutable_release_writes()->set_volume(volume.value);
    request.mutable_release_writes()->set_hold(hold);
    return client_.done(request, client_.options().quick);
  }

 private:
  AgentClient& client_;
};

class RemoteInspect final : public InspectPort {
 public:
  explicit RemoteInspect(AgentClient& client) : client_(client) {}
  Outcome<VolumeRuntime> runtime(VolumeId volume) override {
    agent::NodeRequest request;
    request.mutable_runtime()->set_volume(volume.value);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().quick));
    return from_agent(response.runtime());
  }
  Outcome<VolumeStats> stats(VolumeId volume) override {
    agent::NodeRequest request;
    request.mutable_stats()->set_volume(volume.value);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().quick));
    return from_agent(response.stats());
  }
  Outcome<std::vector<std::pair<VolumeId, VolumeRuntime>>> runtimes() override {
    agent::NodeRequest request;
    request.mutable_runtimes();
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().quick));
    std::vector<std::pair<VolumeId, VolumeRuntime>> out;
    for (const auto& runtime : response.runtimes().runtimes()) {
      out.emplace_back(VolumeId{runtime.volume()}, from_agent(runtime));
    }
    return out;
  }
  Outcome<CheckResult> check(VolumeId volume) override {
    agent::NodeRequest request;
    request.mutable_check()->set_volume(volume.value);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().long_work));
    return from_agent(response.check());
  }

 private:
  AgentClient& client_;
};

class RemotePools final : public PoolPort {
 public:
  explicit RemotePools(AgentClient& client) : client_(client) {}
  Outcome<PoolInfo> create(PoolId pool, const PoolCreate& options) override {
    agent::NodeRequest request;
    auto* body = request.mutable_create_pool();
    body->set_pool(pool.value);
    body->set_path(options.path);
    body->set_size_bytes(options.size_bytes);
    body->set_pool_class(options.pool_class);
    body->set_overwrite(options.overwrite);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().long_work));
    return from_agent(response.pool());
  }
  Outcome<> remove(PoolId pool) override {
    agent::NodeRequest request;
    request.mutable_remove_pool()->set_pool(pool.value);
    return client_.done(request, client_.options().change);
  }
  Outcome<std::vector<PoolInfo>> list() override {
    agent::NodeRequest request;
    request.mutable_list_pools();
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().quick));
    std::vector<PoolInfo> out;
    for (const auto& pool : response.pools().pools()) out.push_back(from_agent(pool));
    return out;
  }

 private:
  AgentClient& client_;
};

class RemoteMounts final : public MountPort {
 public:
  explicit RemoteMounts(AgentClient& client) : client_(client) {}
  Outcome<MountInfo> mount(const MountRequestInfo& info) override {
    agent::NodeRequest request;
    auto* body = request.mutable_mount();
    body->set_device(info.device);
    body->set_path(info.path);
    body->set_fs(info.fs);
    for (const auto& option : info.options) body->add_options(option);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().long_work));
    const auto& mount = response.mount();
    return MountInfo{mount.device(), mount.path(), mount.fs(), mount.formatted()};
  }
  Outcome<> unmount(const std::string& device, const std::string& path) override {
    agent::NodeRequest request;
    request.mutable_unmount()->set_device(device);
    request.mutable_unmount()->set_path(path);
    return client_.done(request, client_.options().change);
  }
  Outcome<std::vector<MountedAt>> mounts(const std::string& device) override {
    agent::NodeRequest request;
    request.mutable_mounts()->set_device(device);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().quick));
    const auto& paths = response.paths();
    std::vector<MountedAt> out;
    for (int i = 0; i < paths.paths_size(); ++i) {
      out.push_back({paths.paths(i), i < paths.read_only_size() && paths.read_only(i)});
    }
    return out;
  }
  Outcome<Growth> grow_file_system(const std::string& device) override {
    agent::NodeRequest request;
    request.mutable_grow_file_system()->set_device(device);
    OUTCOME_ASSIGN(agent::NodeResponse response,
                   client_.exchange(request, client_.options().long_work));
    return Growth{response.growth().grown(), response.growth().why_not()};
  }

 private:
  AgentClient& client_;
};

class RemoteNode final : public NodeHandle {
 public:
  explicit RemoteNode(RemoteNodeOptions options) : client_(std::move(options)) {}
  NodePorts ports() override { return {replicas_, attach_, volumes_, inspect_, pools_, holds_}; }
  MountPort& mounts() override { return mounts_; }

 private:
  AgentClient client_;
  RemoteReplicas replicas_{client_};
  RemoteAttach attach_{client_};
  RemoteVolumes volumes_{client_};
  RemoteInspect inspect_{client_};
  RemotePools pools_{client_};
  RemoteHolds holds_{client_};
  RemoteMounts mounts_{client_};
};

}  // namespace

std::shared_ptr<NodeHandle> make_remote_node(RemoteNodeOptions options) {
  return std::make_shared<RemoteNode>(std::move(options));
}

}  // namespace cleat::control
