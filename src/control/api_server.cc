#include "control/api_server.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "api/control.grpc.pb.h"
#include "control/agent_server.h"
#include "control/status_codes.h"

namespace cleat::control {

// Who may call: anyone who could open the root-only socket, and whoever brings the token.
class Gate {
 public:
  explicit Gate(std::string token) : token_(std::move(token)) {}

  Outcome<> check(const grpc::ServerContext& context) const {
    if (context.peer().starts_with("unix:")) return {};
    const auto& metadata = context.client_metadata();
    auto found = metadata.find(kTokenMetadata);
    if (found == metadata.end()) {
      return failure(Code::kPermission, "a token is needed: pass the cluster's with --token-file");
    }
    std::string_view value{found->second.data(), found->second.size()};
    constexpr std::string_view kBearer = "Bearer ";
    if (!value.starts_with(kBearer) || !same_token(value.substr(kBearer.size()), token_)) {
      return failure(Code::kPermission, "the token is not this cluster's");
    }
    return {};
  }

 private:
  std::string token_;
};

namespace {

constexpr Duration kBindPause = 100ms;

template <class T>
void store(T& value, T* response) {
  response->Swap(&value);
}

// Runs one call: the gate, the manager's method, and its failure as a status.
template <class Response, class Method>
grpc::Status answer(const Gate& gate, grpc::ServerContext& context, Response* response,
                    Method method) {
  auto allowed = gate.check(context);
  if (!allowed) return to_status(allowed.error(), context);
  auto result = method();
  if (!result) return to_status(result.error(), context);
  if constexpr (!std::is_void_v<typename decltype(result)::value_type>) store(*result, response);
  return grpc::Status::OK;
}

using Context = grpc::ServerContext;

class ClusterHandler final : public v1::Cluster::Service {
 public:
  ClusterHandler(const Gate& gate, Services services)
      : gate_(gate), services_(std::move(services)) {}
  grpc::Status Status(Context* c, const v1::StatusRequest*, v1::StatusResponse* out) override {
    return answer(gate_, *c, out, [&] { return services_.cluster.status(); });
  }
  grpc::Status RebuildMetadata(Context* c, const v1::RebuildMetadataRequest* in,
                               v1::RebuildMetadataResponse* out) override {
    return answer(gate_, *c, out, [&]() -> Outcome<v1::RebuildMetadataResponse> {
      if (services_.adopt_cluster)
        OUTCOME_TRY(services_.adopt_cluster(in->force() && !in->dry_run()));
      return services_.cluster.rebuild(*in);
    });
  }

 private:
  const Gate& gate_;
  Services services_;
};

class NodesHandler final : public v1::Nodes::Service {
 public:
  NodesHandler(const Gate& gate, NodeManager& nodes) : gate_(gate), nodes_(nodes) {}
  grpc::Status List(Context* c, const v1::ListNodesRequest*, v1::ListNodesResponse* out) override {
    return answer(gate_, *c, out, [&] { return nodes_.list(); });
  }
  grpc::Status Inspect(Context* c, const v1::InspectNodeRequest* in, v1::Node* out) override {
    return answer(gate_, *c, out, [&] { return nodes_.inspect(*in); });
  }
  grpc::Status Maintenance(Context* c, const v1::MaintenanceRequest* in, v1::Node* out) override {
    return answer(gate_, *c, out, [&] { return nodes_.maintenance(*in); });
  }
  grpc::Status Decommission(Context* c, const v1::DecommissionRequest* in,
                            v1::DecommissionResponse* out) override {
    return answer(gate_, *c, out, [&] { return nodes_.decommission(*in); });
  }

 private:
  const Gate& gate_;
  NodeManager& nodes_;
};

class PoolsHandler final : public v1::Pools::Service {
 public:
  PoolsHandler(const Gate& gate, PoolManager& pools) : gate_(gate), pools_(pools) {}
  grpc::Status Create(Context* c, const v1::CreatePoolRequest* in, v1::Pool* out) override {
    return answer(gate_, *c, out, [&] { return pools_.create(*in); });
  }
  grpc::Status List(Context* c, const v1::ListPoolsRequest* in,
                    v1::ListPoolsResponse* out) override {
    return answer(gate_, *c, out, [&] { return pools_.list(*in); });
  }
  grpc::Status Inspect(Context* c, const v1::InspectPoolRequest* in, v1::Pool* out) override {
    return answer(gate_, *c, out, [&] { return pools_.inspect(*in); });
  }
  grpc::Status Delete(Context* c, const v1::DeletePoolRequest* in,
                      v1::DeletePoolResponse* out) override {
    return answer(gate_, *c, out, [&] { return pools_.remove(*in); });
  }

 private:
  const Gate& gate_;
  PoolManager& pools_;
};

class VolumesHandler final : public v1::Volumes::Service {
 public:
  VolumesHandler(const Gate& gate, VolumeManager& volumes, SnapshotManager& snapshots,
                 const Services& services)
      : gate_(gate), volumes_(volumes), snapshots_(snapshots), services_(services) {}
  grpc::Status Create(Context* c, const v1::CreateVolumeRequest* in, v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.create(*in); });
  }
  grpc::Status List(Context* c, const v1::ListVolumesRequest* in,
                    v1::ListVolumesResponse* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.list(*in); });
  }
  grpc::Status Inspect(Context* c, const v1::InspectVolumeRequest* in, v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.inspect(*in); });
  }
  grpc::Status Delete(Context* c, const v1::DeleteVolumeRequest* in,
                      v1::DeleteVolumeResponse* out) override {
    return answer(gate_, *c, out, [&] { return remove(*in); });
  }
  grpc::Status Resize(Context* c, const v1::ResizeVolumeRequest* in, v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.resize(*in); });
  }
  grpc::Status Update(Context* c, const v1::UpdateVolumeRequest* in, v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.update(*in); });
  }
  grpc::Status HaUpdate(Context* c, const v1::HaUpdateRequest* in, v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.ha_update(*in); });
  }
  grpc::Status Clone(Context* c, const v1::CloneVolumeRequest* in, v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return snapshots_.clone(*in); });
  }
  grpc::Status Restore(Context* c, const v1::RestoreVolumeRequest* in, v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return snapshots_.restore(*in); });
  }
  grpc::Status Stats(Context* c, const v1::VolumeStatsRequest* in,
                     v1::VolumeStatsResponse* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.stats(*in); });
  }
  grpc::Status Check(Context* c, const v1::CheckVolumeRequest* in,
                     v1::CheckVolumeResponse* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.check(*in); });
  }
  grpc::Status Salvage(Context* c, const v1::SalvageVolumeRequest* in, v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return volumes_.salvage(*in); });
  }
  grpc::Status SnapshotCreate(Context* c, const v1::CreateSnapshotRequest* in,
                              v1::Volume* out) override {
    return answer(gate_, *c, out, [&] { return snapshots_.create(*in); });
  }
  grpc::Status SnapshotGroup(Context* c, const v1::SnapshotGroupRequest* in,
                             v1::SnapshotGroupResponse* out) override {
    return answer(gate_, *c, out, [&] { return services_.groups.create(*in); });
  }
  grpc::Status SnapshotList(Context* c, const v1::ListSnapshotsRequest* in,
                            v1::ListSnapshotsResponse* out) override {
    return answer(gate_, *c, out, [&] { return snapshots_.list(*in); });
  }
  grpc::Status SnapshotDelete(Context* c, const v1::DeleteSnapshotRequest* in,
                              v1::DeleteSnapshotResponse* out) override {
    return answer(gate_, *c, out, [&] { return snapshots_.remove(*in); });
  }

 private:
  // A snapshot's name deletes the snapshot.
  Outcome<> remove(const v1::DeleteVolumeRequest& request) {
    auto done = volumes_.remove(request);
    if (done || done.error().code != Code::kInvalidArgument) return done;
    v1::DeleteSnapshotRequest snapshot;
    snapshot.set_snapshot(request.volume());
    snapshot.set_allow_missing(request.allow_missing());
    return snapshots_.remove(snapshot);
  }
  const Gate& gate_;
  VolumeManager& volumes_;
  SnapshotManager& snapshots_;
  Services services_;
};

class HostsHandler final : public v1::Hosts::Service {
 public:
  HostsHandler(const Gate& gate, HostManager& hosts) : gate_(gate), hosts_(hosts) {}
  grpc::Status Attach(Context* c, const v1::AttachRequest* in, v1::AttachResponse* out) override {
    return answer(gate_, *c, out, [&] { return hosts_.attach(*in); });
  }
  grpc::Status Detach(Context* c, const v1::DetachRequest* in, v1::DetachResponse* out) override {
    return answer(gate_, *c, out, [&] { return hosts_.detach(*in); });
  }
  grpc::Status Mount(Context* c, const v1::MountRequest* in, v1::MountResponse* out) override {
    return answer(gate_, *c, out, [&] { return hosts_.mount(*in); });
  }
  grpc::Status Unmount(Context* c, const v1::UnmountRequest* in,
                       v1::UnmountResponse* out) override {
    return answer(gate_, *c, out, [&] { return hosts_.unmount(*in); });
  }

 private:
  const Gate& gate_;
  HostManager& hosts_;
};

class AlertsHandler final : public v1::Alerts::Service {
 public:
  AlertsHandler(const Gate& gate, AlertBook& alerts) : gate_(gate), alerts_(alerts) {}
  grpc::Status List(Context* c, const v1::ListAlertsRequest* in,
                    v1::ListAlertsResponse* out) override {
    return answer(gate_, *c, out, [&] { return alerts_.list(*in); });
  }
  grpc::Status Clear(Context* c, const v1::ClearAlertsRequest* in,
                     v1::ClearAlertsResponse* out) override {
    return answer(gate_, *c, out, [&] { return alerts_.clear(*in); });
  }

 private:
  const Gate& gate_;
  AlertBook& alerts_;
};

// The agent's calls pass the gate too.
class AgentHandler final : public cleat::agent::v1::Agent::Service {
 public:
  AgentHandler(const Gate& gate, NodeId self, NodeHandle& local)
      : gate_(gate), server_(self, local) {}
  grpc::Status Do(Context* c, const cleat::agent::v1::NodeRequest* in,
                  cleat::agent::v1::NodeResponse* out) override {
    auto allowed = gate_.check(*c);
    if (!allowed) return to_status(allowed.error(), *c);
    return server_.Do(c, in, out);
  }

 private:
  const Gate& gate_;
  AgentServer server_;
};

}  // namespace

std::string control_token(std::string_view cluster_secret) {
  constexpr std::string_view kPurpose = "cleat control token v1";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  ::HMAC(EVP_sha256(), cluster_secret.data(), static_cast<int>(cluster_secret.size()),
         reinterpret_cast<const unsigned char*>(kPurpose.data()), kPurpose.size(), digest.data(),
         &size);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

bool same_token(std::string_view a, std::string_view b) {
  return a.size() == b.size() && !a.empty() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

ApiServer::ApiServer(Services services, NodeId self, NodeHandle& local, ApiServerOptions options)
    : services_(std::move(services)), self_(self), local_(local), options_(std::move(options)) {
  gate_ = std::make_unique<Gate>(options_.token);
  const Gate& gate = *gate_;
  handlers_.push_back(std::make_unique<ClusterHandler>(gate, services_));
  handlers_.push_back(std::make_unique<NodesHandler>(gate, services_.nodes));
  handlers_.push_back(std::make_unique<PoolsHandler>(gate, services_.pools));
  handlers_.push_back(
      std::make_unique<VolumesHandler>(gate, services_.volumes, services_.snapshots, services_));
  handlers_.push_back(std::make_unique<HostsHandler>(gate, services_.hosts));
  handlers_.push_back(std::make_unique<AlertsHandler>(gate, services_.alerts));
  handlers_.push_back(std::make_unique<AgentHandler>(gate, self_, local_));
}

ApiServer::~ApiServer() { stop(); }

Outcome<> ApiServer::build() {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                             0);  // else two cleatd share one port unnoticed
  if (!options_.socket_path.empty()) {
    ::unlink(options_.socket_path.c_str());
    builder.AddListeningPort("unix:" + options_.socket_path, grpc::InsecureServerCredentials());
  }
  port_ = -1;
  if (!options_.address.empty()) {
    builder.AddListeningPort(fmt::format("{}:{}", options_.address, options_.port),
                             grpc::InsecureServerCredentials(), &port_);
  }
  for (auto& handler : handlers_) builder.RegisterService(handler.get());
  // Until the chmod below the socket must not be open to others.
  const mode_t before = ::umask(0177);
  server_ = builder.BuildAndStart();
  ::umask(before);
  if (!server_ || (!options_.address.empty() && port_ <= 0)) {
    server_.reset();
    return failure(Code::kIoError, "cannot listen on {}:{} and {}: is another cleatd running?",
                   options_.address, options_.port, options_.socket_path);
  }
  if (!options_.socket_path.empty() && ::chmod(options_.socket_path.c_str(), 0600) != 0) {
    return failure(Code::kIoError, "cannot restrict {} to root: {}", options_.socket_path,
                   ::strerror(errno));
  }
  return {};
}

Outcome<> ApiServer::start() {
  if (!options_.address.empty() && options_.token.empty()) {
    return failure(Code::kInvalidArgument, "the control API on {} needs a token", options_.address);
  }
  if (!options_.socket_path.empty()) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(options_.socket_path).parent_path(),
                                        error);
  }
  const auto deadline = std::chrono::steady_clock::now() + options_.bind_timeout;
  while (true) {
    auto built = build();
    if (built || std::chrono::steady_clock::now() >= deadline) return built;
    std::this_thread::sleep_for(kBindPause);
  }
}

void ApiServer::stop() {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds{2});
  server_.reset();
  if (!options_.socket_path.empty()) ::unlink(options_.socket_path.c_str());
}

}  // namespace cleat::control
