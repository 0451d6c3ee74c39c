#include "control/etcd_supervisor.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "api/etcd.grpc.pb.h"
#include "common/log.h"
#include "control/etcd_client.h"
#include "host/child_process.h"

namespace cleat::control {
namespace {

namespace pb = etcdserverpb;
using SteadyClock = std::chrono::steady_clock;
constexpr size_t kMembersMax = 3;
constexpr Duration kWatchPeriod = 200ms;
constexpr Duration kHealthyAfter = 10s;  // a run this long resets the backoff
constexpr Duration kStopGrace = 3s;
// A busy 2-core machine stalls for hundreds of ms now and then: etcd's own 100 and 1000 elect too
// often.
constexpr const char* kHeartbeatMs = "250";
constexpr const char* kElectionMs = "2500";
constexpr size_t kLogBytesMax = 16U << 20;
constexpr const char* kQuotaBytes = "2147483648";

std::vector<EtcdPeer> choose_members(const EtcdSupervisorOptions& options) {
  if (options.peers.empty()) return {{options.node, options.address}};
  size_t count = options.peers.size() >= kMembersMax ? kMembersMax : 1;
  return {options.peers.begin(), options.peers.begin() + static_cast<ptrdiff_t>(count)};
}

Outcome<> validate(const EtcdSupervisorOptions& options) {
  for (size_t i = 0; i < options.peers.size(); ++i) {
    const EtcdPeer& peer = options.peers[i];
    for (size_t j = 0; j < i; ++j) {
      if (options.peers[j].name == peer.name) {
        return failure(Code::kInvalidArgument, "`peers` lists the node {} twice", peer.name);
      }
    }
    if (peer.name == options.node && peer.address != options.address) {
      return failure(Code::kInvalidArgument,
                     "`peers` gives this node ({}) the address {}, but its own `address` is {}",
                     peer.name, peer.address, options.address);
    }
  }
  return {};
}

}  // namespace

Outcome<std::vector<EtcdPeer>> parse_peers(std::string_view text) {
  std::vector<EtcdPeer> out;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (part.empty()) continue;
    size_t equal = part.find('=');
    if (equal == std::string_view::npos || equal == 0 || equal + 1 == part.size()) {
      return failure(Code::kInvalidArgument, "`peers`: \"{}\" is not NAME=ADDRESS", part);
    }
    out.push_back({std::string{part.substr(0, equal)}, std::string{part.substr(equal + 1)}});
  }
  return out;
}

Outcome<std::unique_ptr<EtcdSupervisor>> EtcdSupervisor::create(EtcdSupervisorOptions options) {
  OUTCOME_TRY(validate(options));
  auto out = std::unique_ptr<EtcdSupervisor>(new EtcdSupervisor(std::move(options)));
  if (out->runs_member() && !host::find_program(out->options_.binary)) {
    return failure(Code::kNotFound,
                   "the embedded etcd needs the program `{}`, which is not installed: install the "
                   "package etcd-server, or name an external etcd with the option `etcd`",
                   out->options_.binary);
  }
  return out;
}

EtcdSupervisor::EtcdSupervisor(EtcdSupervisorOptions options)
    : options_(std::move(options)), members_(choose_members(options_)) {
  for (size_t i = 0; i < members_.size(); ++i) {
    endpoints_.push_back(fmt::format("{}:{}", members_[i].address, options_.client_port));
    if (members_[i].name == options_.node) self_ = static_cast<int>(i);
  }
  // The own member first: it answers without the network.
  if (self_ > 0) std::swap(endpoints_[0], endpoints_[static_cast<size_t>(self_)]);
}

EtcdSupervisor::~EtcdSupervisor() { stop(); }

void EtcdSupervisor::start() {
  if (runs_member() && !thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void EtcdSupervisor::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string EtcdSupervisor::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

pid_t EtcdSupervisor::pid() const {
  std::lock_guard lock(mutex_);
  return pid_;
}

std::string EtcdSupervisor::peer_url(const EtcdPeer& peer) const {
  return fmt::format("http://{}:{}", peer.address, options_.peer_port);
}

std::string EtcdSupervisor::client_url(const EtcdPeer& peer) const {
  return fmt::format("http://{}:{}", peer.address, options_.client_port);
}

bool EtcdSupervisor::has_data() const {
  return std::filesystem::exists(etcd_dir() + "/member/wal");
}

// What a member without data joins. Only the first one may begin a cluster, alone; the others add
// themselves to it. So two halves can't begin two clusters, whatever starts when and sees whom.
Outcome<std::string> EtcdSupervisor::initial_cluster(bool& existing) {
  existing = false;
  const EtcdPeer& self = members_[static_cast<size_t>(self_)];
  const std::string alone = fmt::format("{}={}", self.name, peer_url(self));
  if (has_data() || members_.size() == 1) return alone;
  EtcdOptions others{.endpoints = {}, .attempt_timeout = 1s, .call_timeout = 2s};
  for (const auto& member : members_) {
    if (member.name != options_.node) {
      others.endpoints.push_back(fmt::format("{}:{}", member.address, options_.client_port));
    }
  }
  OUTCOME_ASSIGN(std::unique_ptr<EtcdClient> client, EtcdClient::create(others));
  pb::MemberListResponse list;
  auto asked = client->call("list members", [&](const auto& channel, auto& context) {
    return pb::Cluster::NewStub(channel)->MemberList(&context, {}, &list);
  });
  if (!asked && self_ == 0) return alone;
  if (!asked) {
    return failure(Code::kUnreachable,
                   "waiting for the first member, {} at {}, to begin the cluster", members_[0].name,
                   members_[0].address);
  }
  const std::string own = peer_url(members_[static_cast<size_t>(self_)]);
  auto is_own = [&](const pb::Member& member) {
    return std::find(member.peerurls().begin(), member.peerurls().end(), own) !=
           member.peerurls().end();
  };
  auto found = std::find_if(list.members().begin(), list.members().end(), is_own);
  auto members = list.members();
  if (found == list.members().end()) {
    pb::MemberAddRequest request;
    request.add_peerurls(own);
    pb::MemberAddResponse response;
    OUTCOME_TRY(client->call("add this member", [&](const auto& channel, auto& context) {
      return pb::Cluster::NewStub(channel)->MemberAdd(&context, request, &response);
    }));
    members = response.members();
  } else if (found->clienturls_size() > 0) {
    return failure(
        Code::kCorrupt,
        "the etcd cluster knows this node as member {:x}, but {}/etcd holds no data: if the "
        "data are lost for good, run `etcdctl member remove {:x}` against another member "
        "and restart cleatd",
        found->id(), options_.data_dir, found->id());
  }
  // A member that was added and has not started yet has no name in the list.
  auto name_of = [&](const pb::Member& member) {
    for (const auto& peer : members_) {
      for (const auto& url : member.peerurls()) {
        if (url == peer_url(peer)) return peer.name;
      }
    }
    return member.name();
  };
  existing = true;
  std::string joined;
  for (const auto& member : members) {
    const std::string name = name_of(member);
    for (const auto& url : member.peerurls()) {
      joined += fmt::format("{}{}={}", joined.empty() ? "" : ",", name, url);
    }
  }
  return joined;
}

Outcome<std::vector<std::string>> EtcdSupervisor::command_line() {
  bool existing = false;
  OUTCOME_ASSIGN(std::string cluster, initial_cluster(existing));
  const EtcdPeer& self = members_[static_cast<size_t>(self_)];
  std::vector<std::string> argv = {
      options_.binary, "--name", self.name, "--data-dir", etcd_dir(), "--listen-client-urls",
      client_url(self), "--advertise-client-urls", client_url(self), "--listen-peer-urls",
      peer_url(self), "--initial-advertise-peer-urls", peer_url(self), "--initial-cluster", cluster,
      "--initial-cluster-state", existing ? "existing" : "new", "--initial-cluster-token",
      "cleat-" + options_.cluster, "--heartbeat-interval", kHeartbeatMs, "--election-timeout",
      kElectionMs,
      // A member that was cut off comes back without an election.
      "--pre-vote", "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "30m",
      "--quota-backend-bytes", kQuotaBytes, "--strict-reconfig-check=false", "--logger", "zap",
      "--log-level", "warn"};
  return argv;
}

std::string EtcdSupervisor::last_log_error() const {
  std::ifstream log(log_file());
  std::string line;
  std::string last;
  while (std::getline(log, line)) {
    if (line.find("\"level\":\"fatal\"") != std::string::npos ||
        line.find("\"level\":\"error\"") != std::string::npos || line.find("flag") == 0) {
      last = line;
    }
  }
  constexpr size_t kShown = 300;
  return last.substr(0, kShown);
}

void EtcdSupervisor::set_problem(std::string problem) {
  std::lock_guard lock(mutex_);
  if (!problem.empty() && problem != problem_) LOG_WARN("embedded etcd: {}", problem);
  problem_ = std::move(problem);
}

bool EtcdSupervisor::pause(Duration time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [this] { return stopping_; });
  return !stopping_;
}

Outcome<EtcdProcess> EtcdSupervisor::find_or_start() {
  if (auto found = EtcdProcess::find(etcd_dir())) {
    LOG_INFO("embedded etcd: member {} is running (pid {})", options_.node, found->pid());
    return *found;
  }
  OUTCOME_ASSIGN(std::vector<std::string> argv, command_line());
  std::error_code ignored;
  if (std::filesystem::file_size(log_file(), ignored) > kLogBytesMax) {
    std::filesystem::rename(log_file(), log_file() + ".old", ignored);
  }
  OUTCOME_ASSIGN(EtcdProcess started, EtcdProcess::start(argv, log_file()));
  LOG_INFO("embedded etcd: member {} started (pid {})", options_.node, started.pid());
  return started;
}

// One life of the member. False when it should count as a failed start.
bool EtcdSupervisor::run_once() {
  auto member = find_or_start();
  if (!member) {
    set_problem(member.error().message);
    return false;
  }
  const auto begin = SteadyClock::now();
  {
    std::lock_guard lock(mutex_);
    pid_ = member->pid();
    problem_.clear();
  }
  std::optional<std::string> ended;
  while (!(ended = member->ended()) && pause(kWatchPeriod)) {
  }
  {
    std::lock_guard lock(mutex_);
    pid_ = 0;
  }
  if (!ended) {
    member->stop(kStopGrace);
    return true;
  }
  set_problem(
      fmt::format("the member ended with {}: {} (log: {})", *ended, last_log_error(), log_file()));
  return SteadyClock::now() - begin > kHealthyAfter;
}

void EtcdSupervisor::run() {
  std::error_code error;
  std::filesystem::create_directories(etcd_dir(), error);
  std::filesystem::permissions(etcd_dir(), std::filesystem::perms::owner_all, error);
  if (error)
    set_problem(fmt::format("{}/etcd can't be made: {}", options_.data_dir, error.message()));
  Duration backoff = options_.backoff_min;
  do {
    backoff = run_once() ? options_.backoff_min : std::min(backoff * 2, options_.backoff_max);
  } while (pause(backoff));
}

}  // namespace cleat::control
