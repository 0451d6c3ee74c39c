#include "sim/cluster/cluster.h"

#include <fmt/format.h>

namespace cleat::sim {
namespace {

constexpr uint64_t kMediumBytes = 512 * kMiB;
constexpr uint64_t kPoolBytes = 256 * kMiB;
constexpr size_t kScratchBytes = 4 * kMiB;
constexpr uint64_t kClients = 6;

}  // namespace

Cluster::Cluster(const RunOptions& options)
    : options_(options),
      loop_(options.seed),
      fabric_(loop_, kHosts),
      meta_(kHosts),
      history_(kHotBlocks),
      with_power_loss_(options.seed % 2 == 0) {
  // Runs of neighbours in a few zones, so that regions, zones and extents are shared and crossed.
  uint64_t at = loop_.random().below(64);
  while (hot_blocks_.size() < kHotBlocks) {
    for (int run = 0; run < 4 && hot_blocks_.size() < kHotBlocks; ++run)
      hot_blocks_.push_back(at++);
    at += loop_.random().below(120);
  }
}

Cluster::~Cluster() = default;

void Cluster::build() {
  core::VolumeRecord record;
  record.id = kVolume;
  record.size_blocks = kBlocks;
  uint64_t replicas = loop_.random().chance(0.7) ? 2 : 3;
  for (HostIndex host = 0; host < kHosts; ++host) {
    Node& node = nodes_[host];
    node.medium = std::make_shared<Medium>(kMediumBytes);
    node.scratch.assign(kScratchBytes, std::byte{0});
    SimulatedDisk disk(loop_, node.medium);
    store::FormatOptions format;
    format.identity = store::PoolIdentity{7, node_of(host), pool_of(host)};
    format.capacity_bytes = kPoolBytes;
    format.journal_bytes = 1 * kMiB;
    auto formatted = loop_.wait(store::Pool::format(disk, format));
    CHECK(formatted, "a fresh simulated disk can be formatted");
    loop_.wait(start_node(host));
    if (host >= replicas) continue;
    auto created = loop_.wait(node.process->pool()->create(kVolume, kBlocks));
    CHECK(created, "an empty pool has room");
    node.process->service().add(**created);
    record.replicas.push_back({static_cast<core::MemberIndex>(host), node_of(host), pool_of(host),
                               core::ReplicaState::kInSync, Generation{}});
  }
  meta_.put(record);
}

io::Task<void> Cluster::start_node(HostIndex host) {
  Node& node = nodes_[host];
  if (node.process) co_return;
  ProcessContext context{loop_, fabric_, meta_, options_.bug, kHosts};
  fabric_.start_process(host);
  node.process = std::make_unique<Process>(context, host, node.medium, node.scratch);
  Process* started = node.process.get();
  auto result = co_await started->start();
  if (!result && process(host) == started) {
    wrong(fmt::format("host {} does not start: {}", host, to_string(result.error())));
  }
  note(fmt::format("host {}: started", host));
}

void Cluster::wrong(std::string text) {
  note("WRONG: " + text);
  if (failure_.empty()) failure_ = std::move(text);
}

bool Cluster::drive(const bool& done) {
  while (!done) {
    if (loop_.steps() >= kStepsMax || !loop_.step()) return false;
  }
  return true;
}

void Cluster::faults_and_load() {
  for (uint64_t i = 0; i < kClients; ++i) group_.spawn(client(i));
  group_.spawn(nemesis());
  group_.spawn(keep_attached());
  TimePoint end = loop_.now() + options_.duration;
  while (loop_.now() < end && loop_.steps() < kStepsMax && loop_.step()) {
  }
  load_stopped_ = true;
}

RunResult Cluster::run() {
  build();
  auto attached = loop_.wait(attach_on(0, false));
  if (!attached)
    wrong(fmt::format("a healthy cluster does not attach: {}", to_string(attached.error())));
  faults_and_load();
  bool done = false;
  loop_.spawn(heal_and_check(done));
  result_.hung = !drive(done);
  if (result_.hung) wrong(fmt::format("it does not end: {} steps", loop_.steps()));
  std::string history = history_.check();
  if (!history.empty()) wrong(history);
  if (!result_.hung) {
    // Timers and messages that nobody waits for any more run out.
    for (HostIndex host = 0; host < kHosts; ++host) fabric_.end_process(host, false);
    loop_.run();
  }
  result_.failure = failure_;
  result_.steps = loop_.steps();
  for (const auto& [name, count] : fault_counts_) {
    result_.faults += fmt::format("{}{} {}", result_.faults.empty() ? "" : ", ", name, count);
  }
  return result_;
}

RunResult run_seed(const RunOptions& options) {
  auto cluster = std::make_unique<Cluster>(options);
  RunResult result = cluster->run();
  // What hangs refers to the cluster: it can't be taken down.
  if (result.hung) (void)cluster.release();
  return result;
}

}  // namespace cleat::sim
