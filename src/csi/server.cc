#include "csi/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <random>

#include "common/log.h"
#include "csi/kube_api.h"
#include "csi/lease.h"
#include "csi/node_loss.h"
#include "csi/services.h"

namespace cleat::csi {
namespace {

constexpr Duration kProbeTimeout = 3s;  // below --probe-timeout in deploy/kubernetes
constexpr Duration kNodeWatchPeriod = 1s;
constexpr Duration kLeaseCallMax = 2s;  // a longer call would find the lease run out

CleatdOptions cleatd_options(const CsiOptions& options, const std::string& token,
                             Duration timeout) {
  return {options.cleatd, token, timeout};
}

TimePoint since_start() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return TimePoint(std::chrono::duration_cast<Duration>(time));
}

// The host name of a pod is its own name; a process that is started again is another holder.
std::string holder_identity() {
  char host[256] = "";
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  std::random_device random;
  return fmt::format("{}_{:08x}{:08x}", host, random(), random());
}

void pause_for(Duration time, const std::stop_token& stopped) {
  std::mutex mutex;
  std::condition_variable_any ended;
  std::unique_lock lock(mutex);
  ended.wait_for(lock, stopped, time, [] { return false; });
}

// In a thread of its own, so that long work doesn't cost the lease. What lasts, step() logs.
void keep_lease(Lease& lease, const std::stop_token& stopped) {
  while (!stopped.stop_requested()) {
    auto done = lease.step();
    if (!done) LOG_DEBUG("lease: {}", done.error().message);
    pause_for(lease.pause(), stopped);
  }
  lease.release();
}

}  // namespace

Outcome<std::string> socket_path(const std::string& endpoint) {
  std::string path = endpoint;
  if (path.starts_with("unix:")) path = path.substr(5);
  while (path.starts_with("//")) path = path.substr(1);
  if (path.starts_with('/') && path.size() > 1) return path;
  return failure(Code::kInvalidArgument,
                 "endpoint \"{}\" is not a unix socket: give it as unix:///csi/csi.sock", endpoint);
}

Server::Server(const CsiOptions& options, std::string token, MountPort& mounts,
               FileSystemPort& file_systems)
    : options_(options),
      cleatd_(cleatd_options(options, token, options.timeout)),
      quick_(cleatd_options(options, token, kProbeTimeout)),
      node_{cleatd_, mounts, file_systems, node_calls_, options.node_name, options.volumes_max} {
  services_.push_back(make_identity(quick_, options_));
  if (options_.serves_controller()) {
    services_.push_back(make_controller(cleatd_, controller_calls_, options_));
    services_.push_back(make_group_controller(cleatd_, controller_calls_));
  }
  if (options_.serves_node()) services_.push_back(make_node(node_));
}

Server::~Server() { stop(0s); }

Outcome<> Server::start() {
  OUTCOME_ASSIGN(std::string path, socket_path(options_.endpoint));
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (error) return failure(Code::kIoError, "cannot make {}: {}", path, error.message());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return failure(Code::kIoError, "cannot take {} over: {}", path, ::strerror(errno));
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  for (const auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return failure(Code::kIoError, "cannot serve on {}", path);
  if (::chmod(path.c_str(), 0600) != 0) {
    return failure(Code::kIoError, "cannot close {} to others: {}", path, ::strerror(errno));
  }
  if (options_.watches_nodes()) {
    node_watch_ = std::jthread([this](const std::stop_token& stopped) { watch_nodes(stopped); });
  }
  return {};
}

void Server::watch_nodes(const std::stop_token& stopped) {
  KubeApi kube({options_.kube_api, options_.kube_ca_file, options_.kube_token_file});
  NodeLossOptions limits;
  limits.lost_after = options_.node_loss_after;
  limits.taint_with_others = options_.taint_with_others;
  NodeLoss loss(cleatd_, controller_calls_, kube, limits);
  KubeApi lease_kube({options_.kube_api, options_.kube_ca_file, options_.kube_token_file,
                      kLeaseCallMax, options_.kube_namespace_file});
  Lease lease(lease_kube, {options_.node_loss_lease, holder_identity()}, since_start);
  // Ends before what it uses, and after the work.
  std::jthread keeper([&](const std::stop_token& ended) { keep_lease(lease, ended); });
  while (!stopped.stop_requested()) {
    auto done = loss.step(since_start(), !lease.held());
    if (!done) LOG_WARN("watching for lost nodes: {}", done.error().message);
    lease.worked(done.has_value());
    pause_for(kNodeWatchPeriod, stopped);
  }
}

void Server::stop(Duration grace) {
  node_watch_ = std::jthread();  // asked to stop, and waited for
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() +
                    std::chrono::duration_cast<std::chrono::microseconds>(grace));
  server_.reset();
}

}  // namespace cleat::csi
