// What happens to the cluster: processes killed, power lost, links cut, processes paused, disks
// that fail, the metadata away, the volume moved with and without the old primary's consent.
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
    if (!load_stopped_ && !quiet_) group_.spawn(one_fault());
  }
}

io::Task<void> Cluster::one_fault() {
  uint64_t dice = loop_.random().below(100);
  if (dice < 30 && shape_.shared) return fault_killed_sharer();
  if (dice < 15 && shape_.targeted) return one_targeted_fault();
  if (dice < 22 && shape_.disk_errors) return fault_disk();
  if (dice < 42) return fault_kill(shape_.power_loss && loop_.random().chance(0.5));
  if (dice < 62) return fault_cut();
  if (dice < 73) return fault_pause();
  if (dice < 80) return fault_meta();
  if (dice < 95) return fault_move();
  return fault_power_all(false);
}

io::Task<void> Cluster::one_targeted_fault() {
  switch (loop_.random().below(5)) {
    case 0: return fault_isolated_primary();
    case 1: return fault_two_primaries();
    case 2:
    case 3: return fault_power_after_flush();
    default: return fault_interrupted_resync();
  }
}

void Cluster::kill_node(HostIndex host, bool power, bool lose_cache) {
  Node& node = nodes_[host];
  if (!node.process) return;
  note(fmt::format("host {}: {}", host, power ? "loses power" : "process killed"));
  ++fault_counts_[power ? "power" : "kill"];
  dead_.insert(node.process->volume());
  std::vector<std::byte> scratch = node.process->cut();
  fabric_.end_process(host, power);
  uint64_t seed = loop_.random()();
  kernels_[host]->process_killed();
  if (power) {
    kernels_[host]->gone();
    node.scratch.assign(scratch.size(), std::byte{0});
    node.medium->crash(lose_cache ? lose_all() : keep_random(seed));
    lose_power(host);
  } else {
    node.medium->kill_process(keep_random_blocks(seed));
    node.scratch = std::move(scratch);
  }
  group_.spawn(bury(std::move(node.process)));
}

void Cluster::lose_power(HostIndex host) {
  lost_[host] = loop_.now();
  all_lost_ = false;  // what was written since may go with this
  check_losses(stored_record());
}

io::Task<void> Cluster::bury(std::unique_ptr<Process> process) {
  co_await process->unwind();
  graves_.push_back(std::move(process));
}

io::Task<void> Cluster::fault_kill(bool power) {
  HostIndex host = random_host();
  if (!process(host)) co_return;
  kill_node(host, power);
  Duration away = random_time(1, 6000);
  co_await restart_node(host, away);
}

io::Task<void> Cluster::restart_node(HostIndex host, Duration away) {
  co_await loop_.sleep(away);
  co_await start_node(host);
}

io::Task<void> Cluster::fault_power_all(bool lose_cache) {
  if (!shape_.power_loss) co_return;
  for (HostIndex host = 0; host < kHosts; ++host) kill_node(host, true, lose_cache);
  co_await loop_.sleep(500ms);
  for (HostIndex host = 0; host < kHosts; ++host) co_await start_node(host);
}

// A disk that answers some operations with errors, and is replaced in the end: the process opens
// the pool again.
io::Task<void> Cluster::fault_disk() {
  HostIndex host = random_host();
  Process* failing = process(host);
  if (failing == nullptr || failing->pool() == nullptr || disks_failing_ > 0) co_return;
  ++disks_failing_;
  Act act(*this, "disk");
  uint64_t kind = loop_.random().below(3);
  note(fmt::format("host {}: the disk fails {}", host,
                   kind == 0   ? "reads"
                   : kind == 1 ? "writes"
                               : "everything"));
  auto chance = 0.02 * static_cast<double>(loop_.random().between(1, 50));
  auto fails = [kind, chance, random = Random(loop_.random()())](DiskOp op, uint64_t,
                                                                 uint64_t) mutable {
    bool meant = kind == 2 || (kind == 0) == (op == DiskOp::kRead);
    return meant && random.chance(chance);
  };
  failing->disk().faults().fail = std::move(fails);
  Duration lasts = random_time(20, 3000);
  co_await loop_.sleep(lasts);
  --disks_failing_;
  if (process(host) != failing) co_return;
  failing->disk().faults().fail = nullptr;
  kill_node(host, false);
  Duration away = random_time(1, 500);
  co_await restart_node(host, away);
}

void Cluster::cut_off(HostIndex host, bool from_meta) {
  note(fmt::format("host {}: cut off{}", host, from_meta ? ", from the metadata too" : ""));
  for (HostIndex other = 0; other < kHosts; ++other) {
    if (other != host) fabric_.cut(host, other);
  }
  if (from_meta) meta_.set_reachable(host, false);
}

void Cluster::join_again(HostIndex host) {
  for (HostIndex other = 0; other < kHosts; ++other) {
    if (other != host) fabric_.heal(host, other);
  }
  meta_.set_reachable(host, true);
  note(fmt::format("host {}: healed", host));
}

io::Task<void> Cluster::fault_cut() {
  HostIndex host = random_host();
  bool from_meta = loop_.random().chance(0.4);
  Act act(*this, "cut");
  if (loop_.random().chance(0.5)) {
    cut_off(host, from_meta);
  } else {
    HostIndex other = random_host();
    note(fmt::format("host {}: cut from {}", host, other));
    if (other != host) fabric_.cut(host, other);
    if (from_meta) meta_.set_reachable(host, false);
  }
  // Sharers are expelled after 10 s.
  Duration lasts = random_time(10, shape_.shared ? 15'000 : 8000);
  co_await loop_.sleep(lasts);
  join_again(host);
}

io::Task<void> Cluster::fault_pause() {
  auto host = random_host();
  Process* paused = process(host);
  if (!paused || paused->executor().paused()) co_return;
  note(fmt::format("host {}: paused", host));
  Act act(*this, "pause");
  paused->executor().pause();
  auto lasts = std::chrono::milliseconds(static_cast<int64_t>(loop_.random().between(10, 5000)));
  co_await loop_.sleep(lasts);
  if (process(host) == paused) paused->executor().resume();
  note(fmt::format("host {}: goes on", host));
}

io::Task<void> Cluster::fault_meta() {
  note("metadata away");
  Act act(*this, "metadata");
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
  auto place = acts_.insert(fmt::format("attach on host {}", host));
  auto attached = co_await here->attach(kVolume, request);
  acts_.erase(place);
  if (!here->is_cut()) dead_.erase(here->volume());
  here->attaching = false;
  if (options_.trace) {
    note(fmt::format("host {}: attach: {}", host, attached ? "done" : to_string(attached.error())));
  }
  co_return attached;
}

io::Task<void> Cluster::detach_from(HostIndex host) {
  Process* old = process(host);
  if (old == nullptr || old->volume() == nullptr || old->attaching) co_return;
  old->attaching = true;
  auto place = acts_.insert(fmt::format("detach from host {}", host));
  auto detached = co_await old->detach();
  acts_.erase(place);
  old->attaching = false;
  note(fmt::format("host {}: detach: {}", host, detached ? "done" : to_string(detached.error())));
}

// Moves the volume: in order when its primary answers, by force else.
io::Task<void> Cluster::fault_move() {
  HostIndex to = random_host();
  bool orderly = loop_.random().chance(0.4);
  Act act(*this, orderly ? "move" : "takeover");
  note(fmt::format("volume moves to host {}{}", to, orderly ? "" : " by force"));
  for (HostIndex host = 0; orderly && host < kHosts; ++host) {
    if (host != to) co_await detach_from(host);
  }
  auto attached = co_await attach_on(to, true);
  (void)attached;
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
        co_await detach_from(host);
        continue;
      }
      open = true;
    }
    if (open) continue;
    auto attached = co_await attach_on(random_host(), true);
    (void)attached;
  }
}

}  // namespace cleat::sim
