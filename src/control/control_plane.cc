#include "control/control_plane.h"

#include <openssl/rand.h>

#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "common/check.h"
#include "control/api_server.h"
#include "control/cluster_view.h"
#include "control/etcd_meta_store.h"
#include "control/http_server.h"
#include "control/mounter.h"
#include "control/node_presence.h"
#include "control/reconciler.h"
#include "control/remote_node.h"
#include "control/services.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

constexpr size_t kSecretBytesMin = 16;
constexpr Duration kAdoptWait = 5s;

uint64_t system_unix_ms() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

uint64_t secure_random() {
  uint64_t out = 0;
  CHECK(::RAND_bytes(reinterpret_cast<unsigned char*>(&out), sizeof out) == 1,
        "without randomness ids could repeat");
  return out;
}

class LocalNode final : public NodeHandle {
 public:
  explicit LocalNode(NodePorts ports) : ports_(ports) {}
  NodePorts ports() override { return ports_; }
  MountPort& mounts() override { return mounter_; }

 private:
  NodePorts ports_;
  Mounter mounter_;
};

// The local node's ports, and connections to the others by what etcd says of their addresses.
class Directory final : public NodeDirectory {
 public:
  Directory(MetaStore& store, Keys keys, NodeId self, std::string token)
      : store_(store), keys_(std::move(keys)), self_(self), token_(std::move(token)) {}

  void set_local(std::shared_ptr<NodeHandle> local) {
    std::lock_guard lock(mutex_);
    local_ = std::move(local);
  }
  Outcome<std::shared_ptr<NodeHandle>> node(NodeId id) override {
    {
      std::lock_guard lock(mutex_);
      if (id == self_ && local_) return local_;
    }
    OUTCOME_ASSIGN(meta::Node known, describe(id));
    const std::string endpoint = fmt::format("{}:{}", known.address(), known.control_port());
    std::lock_guard lock(mutex_);
    Remote& remote = remotes_[id];
    if (!remote.handle || remote.endpoint != endpoint) {
      remote = {endpoint,
                make_remote_node(
                    {.node = id, .name = known.name(), .endpoint = endpoint, .token = token_})};
    }
    return remote.handle;
  }
  Outcome<meta::Node> describe(NodeId id) {
    auto found = load<meta::Node>(store_, keys_.node(id));
    std::lock_guard lock(mutex_);
    if (found && *found) return known_[id] = (*found)->value;
    auto remembered = known_.find(id);
    if (remembered != known_.end()) return remembered->second;
    if (!found) return tl::unexpected(found.error());
    return failure(Code::kNotFound, "there is no node {}", id.value);
  }

 private:
  struct Remote {
    std::string endpoint;
    std::shared_ptr<NodeHandle> handle;
  };
  MetaStore& store_;
  Keys keys_;
  NodeId self_;
  std::string token_;
  std::mutex mutex_;
  std::shared_ptr<NodeHandle> local_;
  std::map<NodeId, Remote> remotes_;
  std::map<NodeId, meta::Node> known_;
};

// All that needs the data plane's ports.
struct Serving {
  Serving(const ControlContext& context, NodePorts ports, const NodeIdentity& identity,
          const ControlOptions& options, std::function<MetadataState()> metadata);
  Outcome<> start(Duration reconcile_period);
  void stop();
  // After a refused join. Gives the other nodes, which were refused too, the time to come back.
  Outcome<> adopt(bool by_force);

  const ControlContext& context;
  std::shared_ptr<LocalNode> local;
  AlertBook alerts;
  VolumeManager volumes;
  SnapshotManager snapshots;
  GroupSnapshots groups;
  HostManager hosts;
  NodeManager nodes;
  PoolManager pools;
  NodePresence presence;
  ClusterManager cluster;
  Reconciler reconciler;
  ApiServer api;
  SchedulerExtender scheduler;
  HttpServer http;
};

PresenceOptions presence_options(const ControlOptions& options) {
  PresenceOptions out;
  out.name = options.node;
  out.address = options.address;
  out.rack = options.rack;
  out.zone = options.zone;
  out.data_dir = options.data_dir;
  out.kernel = options.kernel;
  out.control_port = options.control_port;
  return out;
}

Serving::Serving(const ControlContext& shared, NodePorts ports, const NodeIdentity& identity,
                 const ControlOptions& options, std::function<MetadataState()> metadata)
    : context(shared),
      local(std::make_shared<LocalNode>(ports)),
      alerts(context),
      volumes(context),
      snapshots(context, volumes),
      groups(context, volumes, snapshots),
      hosts(context),
      nodes(context),
      pools(context),
      presence(context, alerts, ports, identity, presence_options(options)),
      cluster(context, alerts, options.node,
              [this, metadata = std::move(metadata)] {
                MetadataState state = metadata();
                if (!presence.joined()) state.refused = presence.problem();
                return state;
              }),
      reconciler(context, volumes, snapshots, alerts),
      api({cluster, nodes, pools, volumes, snapshots, groups, hosts, alerts,
           [this](bool by_force) { return adopt(by_force); }},
          context.self, *local,
          {.socket_path = options.run_dir + "/cleatd.sock",
           .address = options.address,
           .port = options.control_port,
           .token = control_token(options.secret)}),
      scheduler(context),
      http({cluster, nodes, pools, volumes, snapshots, groups, hosts, alerts, {}}, ports.inspect,
           scheduler,
           {.address = options.address,
            .port = options.http_port,
            .token = control_token(options.secret)}) {}

Outcome<> Serving::adopt(bool by_force) {
  if (presence.joined()) return {};
  if (!by_force) {
    return failure(Code::kBusy, "this node is not part of the cluster yet: {}", presence.problem());
  }
  OUTCOME_TRY(presence.adopt());
  std::this_thread::sleep_for(kAdoptWait);
  return {};
}

Outcome<> Serving::start(Duration reconcile_period) {
  OUTCOME_TRY(api.start());
  OUTCOME_TRY(http.start());
  presence.start();
  reconciler.start(reconcile_period);
  return {};
}

void Serving::stop() {
  http.stop();
  api.stop();
  reconciler.stop();
  presence.stop();
}

}  // namespace

class ControlPlane::Impl {
 public:
  Impl(ControlOptions options, NodeIdentity identity, std::unique_ptr<EtcdSupervisor> supervisor,
       std::unique_ptr<EtcdMetaStore> store, std::vector<std::string> endpoints)
      : options_(std::move(options)),
        identity_(std::move(identity)),
        supervisor_(std::move(supervisor)),
        store_(std::move(store)),
        endpoints_(std::move(endpoints)),
        keys_(options_.cluster),
        records_(*store_, keys_),
        directory_(*store_, keys_, identity_.node, control_token(options_.secret)),
        context_{*store_,
                 keys_,
                 directory_,
                 identity_.node,
                 options_.cluster,
                 options_.version,
                 options_.now_unix_ms ? options_.now_unix_ms : system_unix_ms,
                 options_.random ? options_.random : secure_random,
                 options_.limits} {
    if (supervisor_) supervisor_->start();
  }

  MetadataState metadata() const {
    MetadataState out;
    out.embedded = supervisor_ != nullptr;
    out.endpoints = endpoints_;
    if (!supervisor_) return out;
    for (const auto& member : supervisor_->members()) {
      out.members.emplace_back(member.name,
                               fmt::format("{}:{}", member.address, options_.etcd_client_port));
    }
    out.problem = supervisor_->problem();
    return out;
  }

  ControlOptions options_;
  NodeIdentity identity_;
  std::unique_ptr<EtcdSupervisor> supervisor_;
  std::unique_ptr<EtcdMetaStore> store_;
  std::vector<std::string> endpoints_;
  Keys keys_;
  RecordStore records_;
  Directory directory_;
  ControlContext context_;
  std::unique_ptr<Serving> serving_;
};

namespace {

Outcome<> validate(const ControlOptions& options) {
  if (options.node.empty() || options.address.empty()) {
    return failure(Code::kInvalidArgument, "`node` and `address` must be given");
  }
  if (options.cluster.empty() || options.cluster.find('/') != std::string::npos) {
    return failure(Code::kInvalidArgument, "the cluster name \"{}\" is empty or has a slash in it",
                   options.cluster);
  }
  if (options.secret.size() < kSecretBytesMin) {
    return failure(Code::kInvalidArgument, "the cluster secret has {} bytes, {} are the least",
                   options.secret.size(), kSecretBytesMin);
  }
  return {};
}

Outcome<std::unique_ptr<EtcdSupervisor>> make_supervisor(const ControlOptions& options) {
  if (options.etcd != "embedded") return nullptr;
  EtcdSupervisorOptions out;
  out.cluster = options.cluster;
  out.node = options.node;
  out.address = options.address;
  OUTCOME_ASSIGN(out.peers, parse_peers(options.peers));
  out.data_dir = options.data_dir;
  out.client_port = options.etcd_client_port;
  out.peer_port = options.etcd_peer_port;
  return EtcdSupervisor::create(std::move(out));
}

}  // namespace

Outcome<std::unique_ptr<ControlPlane>> ControlPlane::create(ControlOptions options) {
  OUTCOME_TRY(validate(options));
  auto random = options.random ? options.random : secure_random;
  OUTCOME_ASSIGN(NodeIdentity identity, NodeIdentity::load_or_make(options.data_dir, random));
  OUTCOME_ASSIGN(std::unique_ptr<EtcdSupervisor> supervisor, make_supervisor(options));
  std::vector<std::string> endpoints;
  if (supervisor) {
    endpoints = supervisor->endpoints();
  } else {
    OUTCOME_ASSIGN(endpoints, parse_etcd_endpoints(options.etcd));
  }
  OUTCOME_ASSIGN(std::unique_ptr<EtcdMetaStore> store,
                 EtcdMetaStore::create({.endpoints = endpoints}));
  return std::unique_ptr<ControlPlane>(new ControlPlane(
      std::make_unique<Impl>(std::move(options), std::move(identity), std::move(supervisor),
                             std::move(store), std::move(endpoints))));
}

ControlPlane::ControlPlane(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlPlane::~ControlPlane() { stop(); }

NodeId ControlPlane::node_id() const { return impl_->identity_.node; }

std::string ControlPlane::cluster_uuid() const { return impl_->identity_.cluster_uuid; }

RecordStore& ControlPlane::records() { return impl_->records_; }

MetaStore& ControlPlane::store() { return *impl_->store_; }

bool ControlPlane::joined() const { return impl_->serving_ && impl_->serving_->presence.joined(); }

Outcome<PeerAddress> ControlPlane::peer(NodeId node) {
  OUTCOME_ASSIGN(meta::Node known, impl_->directory_.describe(node));
  return PeerAddress{node, known.name(), known.address(), known.last_seen_unix_ms() == 0};
}

Outcome<> ControlPlane::start(NodePorts ports) {
  Impl& impl = *impl_;
  impl.serving_ = std::make_unique<Serving>(impl.context_, ports, impl.identity_, impl.options_,
                                            [&impl] { return impl.metadata(); });
  impl.directory_.set_local(impl.serving_->local);
  return impl.serving_->start(impl.options_.reconcile_period);
}

void ControlPlane::stop() {
  if (impl_->serving_) impl_->serving_->stop();
  impl_->directory_.set_local(nullptr);
  impl_->serving_.reset();
  if (impl_->supervisor_) impl_->supervisor_->stop();
}

}  // namespace cleat::control
