// What happens to the cluster: processes killed, power lost, links cut, processes paused, the
// metadata away, the volume moved with and without the old primary's consent, snapshots taken.
#include <fmt/format.h>

#include <algorithm>

#include "sim/cluster/cluster.h"

namespace cleat::sim {
namespace {

// What a process had under way when it was killed: the kernel still does each block or does not,
// but tears none. Only a loss of power does that.
CrashPolicy keep_random_blocks(uint64_t seed) {
  return [seed](size_t write, size_t sector) {
    uint64_t block = sector / (kBlockSize / kSectorSize);
    return Random(seed + write * 1'000'003 + block).chance(0.5);
  };
}

}  // namespace

io::Task<void> Cluster::nemesis() {
  Random& random = loop_.random();
  while (!load_stopped_) {
    auto pause = std::chrono::milliseconds(static_cast<int64_t>(random.between(50, 1500)));
    co_await loop_.sleep(pause);
    if (!load_stopped_) group_.spawn(one_fault());
  }
}

io::Task<void> Cluster::one_fault() {
  uint64_t dice = loop_.random().below(100);
  if (dice < 22) return fault_kill(with_power_loss_ && loop_.random().chance(0.5));
  if (dice < 45) return fault_cut();
  if (dice < 55) return fault_pause();
  if (dice < 65) return fault_meta();
  if (dice < 85) return fault_move();
  if (dice < 95) return fault_snapshot();
  return fault_power_all();
}

void Cluster::note(std::string text) {
  if (!options_.trace) return;
  double at = std::chrono::duration<double>(loop_.now().time_since_epoch()).count();
  fmt::print("{:10.6f} {}\n", at, text);
}

void Cluster::kill_node(HostIndex host, bool power) {
  Node& node = nodes_[host];
  if (!node.process) return;
  note(fmt::format("host {}: {}", host, power ? "loses power" : "process killed"));
  ++fault_counts_[power ? "power" : "kill"];
  std::vector<std::byte> scratch = node.process->cut();
  fabric_.end_process(host, power);
  uint64_t seed = loop_.random()();
  if (power) {
    node.medium->crash(keep_random(seed));
    node.scratch.assign(scratch.size(), std::byte{0});
    history_.begin_segment(loop_.now());
  } else {
    node.medium->kill_process(keep_random_blocks(seed));
    node.scratch = std::move(scratch);
  }
  group_.spawn(bury(std::move(node.process)));
}

io::Task<void> Cluster::bury(std::unique_ptr<Process> process) {
  co_await process->unwind();
  graves_.push_back(std::move(process));
}

io::Task<void> Cluster::fault_kill(bool power) {
  auto host = static_cast<HostIndex>(loop_.random().below(kHosts));
  if (!process(host)) co_return;
  kill_node(host, power);
  auto away = std::chrono::milliseconds(static_cast<int64_t>(loop_.random().between(1, 6000)));
  co_await loop_.sleep(away);
  co_await start_node(host);
}

io::Task<void> Cluster::fault_power_all() {
  if (!with_power_loss_) co_return;
  for (HostIndex host = 0; host < kHosts; ++host) kill_node(host, true);
  co_await loop_.sleep(500ms);
  for (HostIndex host = 0; host < kHosts; ++host) co_await start_node(host);
}

io::Task<void> Cluster::fault_cut() {
  auto host = static_cast<HostIndex>(loop_.random().below(kHosts));
  bool from_meta = loop_.random().chance(0.4);
  bool all_links = loop_.random().chance(0.5);
  auto only = static_cast<HostIndex>(loop_.random().below(kHosts));
  note(fmt::format("host {}: cut from {}{}", host, all_links ? "all" : fmt::format("{}", only),
                   from_meta ? " and the metadata" : ""));
  ++fault_counts_["cut"];
  for (HostIndex other = 0; other < kHosts; ++other) {
    if (other != host && (all_links || other == only)) fabric_.cut(host, other);
  }
  if (from_meta) meta_.set_reachable(host, false);
  auto lasts = std::chrono::milliseconds(static_cast<int64_t>(loop_.random().between(10, 8000)));
  co_await loop_.sleep(lasts);
  for (HostIndex other = 0; other < kHosts; ++other) {
    if (other != host) fabric_.heal(host, other);
  }
  meta_.set_reachable(host, true);
  note(fmt::format("host {}: healed", host));
}

io::Task<void> Cluster::fault_pause() {
  auto host = static_cast<HostIndex>(loop_.random().below(kHosts));
  Process* paused = process(host);
  if (!paused || paused->executor().paused()) co_return;
  note(fmt::format("host {}: paused", host));
  ++fault_counts_["pause"];
  paused->executor().pause();
  auto lasts = std::chrono::milliseconds(static_cast<int64_t>(loop_.random().between(10, 5000)));
  co_await loop_.sleep(lasts);
  if (process(host) == paused) paused->executor().resume();
  note(fmt::format("host {}: goes on", host));
}

io::Task<void> Cluster::fault_meta() {
  note("metadata away");
  ++fault_counts_["metadata"];
  for (HostIndex host = 0; host < kHosts; ++host) meta_.set_reachable(host, false);
  auto lasts = std::chrono::milliseconds(static_cast<int64_t>(loop_.random().between(100, 6000)));
  co_await loop_.sleep(lasts);
  for (HostIndex host = 0; host < kHosts; ++host) meta_.set_reachable(host, true);
  note("metadata back");
}

io::Task<Result<void>> Cluster::attach_on(HostIndex host, bool take_over) {
  Process* here = process(host);
  if (here == nullptr || here->volume() != nullptr || here->attaching) co_return Result<void>{};
  here->attaching = true;
  ++result_.attaches;
  engine::AttachRequest request;
  request.take_over = take_over;
  // In this simulation a node's earlier process is always dead when a new one runs.
  request.earlier_process = true;
  auto attached = co_await here->attach(kVolume, request);
  here->attaching = false;
  if (options_.trace) {
    note(fmt::format("host {}: attach: {}", host, attached ? "done" : to_string(attached.error())));
  }
  co_return attached;
}

// Moves the volume: in order when its primary answers, by force else.
io::Task<void> Cluster::fault_move() {
  auto to = static_cast<HostIndex>(loop_.random().below(kHosts));
  bool orderly = loop_.random().chance(0.4);
  ++fault_counts_[orderly ? "move" : "takeover"];
  note(fmt::format("volume moves to host {}{}", to, orderly ? "" : " by force"));
  if (orderly) {
    for (HostIndex host = 0; host < kHosts; ++host) {
      Process* old = process(host);
      if (host == to || old == nullptr || old->volume() == nullptr || old->attaching) continue;
      old->attaching = true;
      auto detached = co_await old->detach();
      old->attaching = false;
      note(fmt::format("host {}: detach: {}", host,
                       detached ? "done" : to_string(detached.error())));
    }
  }
  auto attached = co_await attach_on(to, true);
  (void)attached;
}

io::Task<void> Cluster::fault_snapshot() {
  for (HostIndex host = 0; host < kHosts; ++host) {
    Process* here = process(host);
    if (here == nullptr || here->volume() == nullptr) continue;
    std::shared_ptr<engine::Volume> volume = here->shared_volume();
    ++fault_counts_["snapshot"];
    bool remove = !snapshots_.empty() && loop_.random().chance(0.5);
    if (remove) {
      SnapshotId victim = snapshots_[loop_.random().below(snapshots_.size())];
      auto deleted = co_await volume->delete_snapshot(victim);
      if (deleted) std::erase(snapshots_, victim);
    } else {
      core::SnapshotRecord snapshot;
      snapshot.id = SnapshotId(next_snapshot_++);
      snapshot.name = fmt::format("snapshot-{}", snapshot.id.value);
      auto taken = co_await volume->snapshot(snapshot);
      if (taken) snapshots_.push_back(snapshot.id);
    }
    co_return;
  }
}

// Somebody always wants the volume: when nobody has it open, or only fenced ones, it is attached
// again.
io::Task<void> Cluster::keep_attached() {
  while (!load_stopped_) {
    co_await loop_.sleep(300ms);
    bool open = false;
    for (HostIndex host = 0; host < kHosts; ++host) {
      Process* here = process(host);
      if (here == nullptr || here->volume() == nullptr) continue;
      if (here->volume()->ended() && !here->attaching) {
        here->attaching = true;
        auto closed = co_await here->detach();
        (void)closed;
        here->attaching = false;
        continue;
      }
      open = true;
    }
    if (open) continue;
    auto host = static_cast<HostIndex>(loop_.random().below(kHosts));
    auto attached = co_await attach_on(host, true);
    (void)attached;
  }
}

}  // namespace cleat::sim
