#include "sim/cluster/cluster.h"

#include <fmt/format.h>

namespace cleat::sim {
namespace {

constexpr uint64_t kMediumBytes = 512 * kMiB;
constexpr size_t kScratchBytes = 4 * kMiB;
constexpr uint64_t kClients = 8;
constexpr size_t kHotBlocksBeyond = 8;  // in what the volume grows to

// The resync by which a primary lets the member in; nothing when none is known.
std::optional<TimePoint> resync_began(Process* primary, core::MemberIndex member) {
  if (primary == nullptr || primary->volume() == nullptr) return std::nullopt;
  const engine::ResyncProgress resync = primary->volume()->status().resync;
  if (resync.member != member) return std::nullopt;
  return resync.started;
}

}  // namespace

RunShape::RunShape(const RunOptions& options) {
  const uint64_t seed = options.seed;
  Random random(seed ^ 0x5eed'0f'5ba9eULL);
  power_loss = seed % 2 == 0;
  snapshots = random.chance(0.8);
  restores = snapshots && random.chance(0.6);
  replica_changes = random.chance(0.4);
  growth = random.chance(0.4);
  disk_errors = random.chance(0.3);
  targeted = random.chance(0.5);
  rivals = random.chance(0.4);
  room_bytes = random.chance(0.2) ? random.between(3, 9) * kMiB : 181 * kMiB;
  wait_max = random.chance(0.3) ? Duration(3s) : Duration(60s);
  shared = options.shared || Random(seed ^ 0x54a3ed).chance(0.2);
  // Those use the primary itself, past the order among sharers.
  if (shared) rivals = targeted = restores = false;
}

Cluster::Cluster(const RunOptions& options)
    : options_(options),
      shape_(options),
      loop_(options.seed),
      fabric_(loop_, kHosts),
      meta_(kHosts),
      history_(kHotBlocks) {
  for (auto& kernel : kernels_) kernel = std::make_unique<KernelDevice>(loop_, options.bug);
  // Runs of neighbours in a few zones, so that regions, zones and extents are shared and crossed.
  uint64_t at = loop_.random().below(64);
  while (hot_blocks_.size() < kHotBlocks) {
    if (hot_blocks_.size() == kHotBlocks - kHotBlocksBeyond)
      at = kBlocks + loop_.random().below(64);
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
    if (host < replicas) create_replica(host, record);
  }
  meta_.put(record);
  meta_.observer = [this](const core::VolumeRecord& next) { record_changes(next); };
}

void Cluster::create_replica(HostIndex host, core::VolumeRecord& record) {
  auto created = loop_.wait(process(host)->pool()->create(kVolume, kBlocks));
  CHECK(created, "an empty pool has room");
  process(host)->service().add(**created);
  record.replicas.push_back({static_cast<core::MemberIndex>(host), node_of(host), pool_of(host),
                             core::ReplicaState::kInSync, Generation{}});
}

bool Cluster::has_replica(HostIndex host) {
  for (const core::ReplicaRecord& replica : stored_record().replicas) {
    if (replica.node == node_of(host)) return true;
  }
  return false;
}

// What was lost with the power is back in a replica that was copied to since, or made equal to
// others when the volume was opened. One that loses its power when all is copied, and only the
// metadata is waited for, still comes in sync: it leaves when the primary finds out.
void Cluster::record_changes(const core::VolumeRecord& next) {
  const core::VolumeRecord& before = stored_record();
  if (next.epoch != before.epoch) raised_at_ = loop_.now();
  Process* primary = nullptr;  // of a detached volume there is none
  if (next.primary != NodeId{}) primary = process(static_cast<HostIndex>(next.primary.value - 1));
  for (const core::ReplicaRecord& replica : next.replicas) {
    if (replica.state != core::ReplicaState::kInSync) continue;
    std::optional<TimePoint>& lost = lost_[replica.node.value - 1];
    const bool opened = next.opened != before.opened && lost < raised_at_;
    const core::ReplicaRecord* was = before.find(replica.index);
    const bool joins = was == nullptr || was->state != core::ReplicaState::kInSync;
    if (opened || (joins && lost < resync_began(primary, replica.index))) lost.reset();
  }
  check_losses(next);
}

// Acknowledged writes may be gone only when every replica in sync has lost what it had not flushed:
// the power went everywhere, or whoever kept it was away when the volume was opened.
void Cluster::check_losses(const core::VolumeRecord& record) {
  for (const core::ReplicaRecord& replica : record.replicas) {
    bool in_sync = replica.state == core::ReplicaState::kInSync;
    if (!in_sync || lost_[replica.node.value - 1]) continue;
    all_lost_ = false;
    return;
  }
  if (all_lost_) return;
  all_lost_ = true;
  note("what was not flushed may be gone");
  history_.begin_segment(loop_.now());
}

io::Task<void> Cluster::start_node(HostIndex host) {
  Node& node = nodes_[host];
  if (node.process) co_return;
  ProcessContext context{loop_,  fabric_,           meta_,           options_.bug,
                         kHosts, shape_.room_bytes, shape_.wait_max, shape_.shared};
  fabric_.start_process(host);
  node.process = std::make_unique<Process>(context, host, node.medium, node.scratch);
  Process* started = node.process.get();
  auto result = co_await started->start();
  if (!result && process(host) == started) {
    wrong(fmt::format("host {} does not start: {}", host, to_string(result.error())));
  }
  note(fmt::format("host {}: started", host));
}

std::shared_ptr<engine::Volume> Cluster::open_volume(HostIndex* host) {
  for (HostIndex at = 0; at < kHosts; ++at) {
    Process* here = process(at);
    if (here == nullptr || here->volume() == nullptr || here->volume()->ended()) continue;
    if (host != nullptr) *host = at;
    return here->shared_volume();
  }
  return nullptr;
}

Duration Cluster::random_time(uint64_t low_ms, uint64_t high_ms) {
  return std::chrono::milliseconds(static_cast<int64_t>(loop_.random().between(low_ms, high_ms)));
}

void Cluster::note(std::string text) {
  if (!options_.trace) return;
  double at = std::chrono::duration<double>(loop_.now().time_since_epoch()).count();
  fmt::print("{:10.6f} {}\n", at, text);
}

void Cluster::wrong(std::string text) {
  note("WRONG: " + text);
  if (failure_.empty()) failure_ = std::move(text);
}

bool Cluster::drive(const bool& done) {
  while (!done) {
    if (loop_.steps() >= kStepsMax || loop_.now() >= deadline_ || !loop_.step()) return false;
  }
  return true;
}

void Cluster::faults_and_load() {
  for (uint64_t i = 0; i < kClients; ++i) group_.spawn(client(i));
  group_.spawn(nemesis());
  group_.spawn(keep_attached());
  if (shape_.shared) {
    for (HostIndex host = 0; host < kHosts; ++host) group_.spawn(keep_shared(host));
  }
  group_.spawn(changes());
  if (shape_.rivals) group_.spawn(rivals());
  TimePoint end = loop_.now() + options_.duration;
  while (loop_.now() < end && loop_.steps() < kStepsMax && loop_.step()) {
  }
  load_stopped_ = true;
  for (HostIndex host = 0; host < kHosts; ++host) {
    kernels_[host]->gone();
    if (process(host) != nullptr) group_.spawn(end_share(*process(host)));
  }
}

RunResult Cluster::run() {
  build();
  auto attached = loop_.wait(attach_on(0, false));
  if (!attached)
    wrong(fmt::format("a healthy cluster does not attach: {}", to_string(attached.error())));
  faults_and_load();
  bool done = false;
  deadline_ = loop_.now() + kHealingMax;
  loop_.spawn(heal_and_check(done));
  result_.hung = !drive(done);
  if (result_.hung) {
    std::string acts;
    for (const std::string& act : acts_) acts += ", " + act;
    wrong(fmt::format(
        "no progress: {}; {} steps, {:.0f} s of virtual time; under way: {} clients{}", stage_,
        loop_.steps(), std::chrono::duration<double>(loop_.now().time_since_epoch()).count(),
        operations_inside_, acts));
  }
  std::string history = history_.check();
  if (!history.empty()) wrong(history);
  if (!result_.hung) {
    // Timers and messages that nobody waits for any more run out.
    for (HostIndex host = 0; host < kHosts; ++host) fabric_.end_process(host, false);
    loop_.run();
  }
  result_.failure = failure_;
  result_.steps = loop_.steps();
  result_.counts = fault_counts_;
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
