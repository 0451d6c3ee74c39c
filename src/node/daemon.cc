#include "node/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/log.h"
#include "control/control_plane.h"
#include "io/file_descriptor.h"
#include "node/ports.h"

namespace cleat::node {
namespace {

using control::failure;
using control::Outcome;

constexpr size_t kSecretBytesMin = 16;
constexpr size_t kSecretBytesMax = 4096;

Outcome<std::string> read_secret(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) {
    return failure(
        Code::kNotFound,
        "cannot read the cluster's secret {}: {}; make it once and copy it to every node: "
        "head -c 32 /dev/urandom | base64 > {}; chmod 600 {}",
        path, strerrordesc_np(errno), path, path);
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return failure(Code::kPermission, "the secret {} can be read by others: chmod 600 {}", path,
                   path);
  }
  std::ifstream file(path);
  std::string secret(std::istreambuf_iterator<char>(file), {});
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.size() < kSecretBytesMin || secret.size() > kSecretBytesMax) {
    return failure(Code::kInvalidArgument, "the secret {} has {} bytes: it needs {} to {}", path,
                   secret.size(), kSecretBytesMin, kSecretBytesMax);
  }
  return secret;
}

// One cleatd a node: two would serve the same pools and devices. Held as long as the descriptor.
Outcome<io::FileDescriptor> lock_node(const NodeOptions& options) {
  std::string path = options.run_dir + "/cleatd.lock";
  io::FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid()) {
    return failure(Code::kIoError, "cannot make {}: {}", path, strerrordesc_np(errno));
  }
  // One that was killed may still be ending.
  for (int attempt = 0; attempt < 50; ++attempt) {
    if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
    usleep(100'000);
  }
  return failure(Code::kBusy, "another cleatd runs on this node ({} is locked)", path);
}

Outcome<> make_directories(const NodeOptions& options) {
  for (const std::string& path : {options.data_dir, options.run_dir, options.dev_dir}) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return failure(Code::kIoError, "cannot make {}: {}", path, error.message());
  }
  return {};
}

control::ControlOptions control_options(const NodeOptions& options, const std::string& secret) {
  control::ControlOptions control;
  control.cluster = options.cluster;
  control.node = options.node;
  control.address = options.address;
  control.rack = options.rack;
  control.zone = options.zone;
  control.data_dir = options.data_dir;
  control.run_dir = options.run_dir;
  control.etcd = options.etcd;
  for (const std::string& peer : options.peers) {
    if (!control.peers.empty()) control.peers += ',';
    control.peers += peer;
  }
  control.secret = secret;
  control.version = CLEAT_VERSION;
  utsname kernel{};
  if (uname(&kernel) == 0) control.kernel = kernel.release;
  control.control_port = static_cast<uint16_t>(options.control_port);
  control.http_port = static_cast<uint16_t>(options.http_port);
  control.etcd_client_port = static_cast<uint16_t>(options.etcd_client_port);
  control.etcd_peer_port = static_cast<uint16_t>(options.etcd_peer_port);
  control.limits.replica_delay = options.rebuild_delay;
  control.limits.follow_delay = options.follow_delay;
  return control;
}

// What answers I/O must not wait for memory whose reclaim waits for that I/O.
void lock_memory() {
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return;
  LOG_WARN("mlockall: {}: swapped out memory may stall a device (needs CAP_IPC_LOCK)",
           strerrordesc_np(errno));
}

// Threads made later inherit the mask, so the signals wait for sigwait().
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

void wait_for_end(const sigset_t& signals, const std::function<void()>& reload) {
  for (;;) {
    int received = 0;
    if (sigwait(&signals, &received) != 0) continue;
    if (received != SIGHUP) {
      LOG_INFO("stopping on signal {}", received);
      return;
    }
    reload();
  }
}

}  // namespace

Outcome<> run_daemon(const NodeOptions& options, const std::function<void()>& reload) {
  sigset_t signals = block_signals();
  lock_memory();
  OUTCOME_ASSIGN(std::string secret, read_secret(options.secret_file));
  OUTCOME_TRY(make_directories(options));
  OUTCOME_ASSIGN(io::FileDescriptor lock, lock_node(options));
  OUTCOME_ASSIGN(std::unique_ptr<control::ControlPlane> control,
                 control::ControlPlane::create(control_options(options, secret)));
  auto thread = LoopThread::start();
  if (!thread) return control::failure_from(thread.error(), "cannot start the data loop");
  DataPlane plane(**thread, options, control->node_id(), secret, *control);
  OUTCOME_TRY(plane.open());

  Replicas replicas(plane);
  Attaching attaching(plane);
  Volumes volumes(plane);
  Inspecting inspecting(plane);
  Pools pools(plane);
  Holds holds(plane);
  Outcome<> started = control->start({replicas, attaching, volumes, inspecting, pools, holds});
  if (started) {
    plane.resume_devices();
    LOG_INFO("cleatd {} serves node {} of cluster {} at {}", CLEAT_VERSION, options.node,
             options.cluster, options.address);
    wait_for_end(signals, reload);
  }
  control->stop();
  plane.close();
  return started;
}

}  // namespace cleat::node
