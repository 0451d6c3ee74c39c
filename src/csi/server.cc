#include "csi/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "common/log.h"
#include "csi/kube_api.h"
#include "csi/node_loss.h"
#include "csi/services.h"

namespace cleat::csi {
namespace {

constexpr Duration kProbeTimeout = 3s;
constexpr Duration kNodeWatchPeriod = 1s;

CleatdOptions cleatd_options(const CsiOptions& options, const std::string& token,
                             Duration timeout) {
  return {options.cleatd, token, timeout};
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
  NodeLoss loss(cleatd_, kube, limits);
  std::mutex mutex;
  std::condition_variable_any ended;
  std::unique_lock lock(mutex);
  while (!stopped.stop_requested()) {
    const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
    auto done = loss.step(TimePoint(std::chrono::duration_cast<Duration>(since_start)));
    if (!done) LOG_WARN("watching for lost nodes: {}", done.error().message);
    ended.wait_for(lock, stopped, kNodeWatchPeriod, [] { return false; });
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
