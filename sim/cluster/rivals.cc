// Two primaries of one volume: what R4 and R5 are there for. Few blocks, which clients of both use
// again and again; while rivals() lasts nothing else happens to the cluster.
#include <fmt/format.h>

#include <algorithm>

#include "sim/cluster/cluster.h"

namespace cleat::sim {
namespace {

constexpr size_t kFocusBlocks = 8;
constexpr int kFocusOperationsMax = 64;  // under way at one primary: there they may hang
constexpr Duration kFocusInterval = 10ms;

}  // namespace

io::Task<void> Cluster::rivals() {
  Duration before = random_time(300, 5000);
  co_await loop_.sleep(before);
  quiet_ = true;
  TimePoint give_up_at = loop_.now() + 9s;
  while (!calm() && loop_.now() < give_up_at) co_await loop_.sleep(50ms);
  if (calm() && !load_stopped_) {
    bool isolated = loop_.random().chance(0.5);
    auto fault = isolated ? fault_isolated_primary() : fault_two_primaries();
    co_await std::move(fault);
  }
  quiet_ = false;
}

// Every node runs, nothing is under way, and one replica in sync more than the primary's.
bool Cluster::calm() {
  for (HostIndex host = 0; host < kHosts; ++host) {
    if (process(host) == nullptr || process(host)->executor().paused()) return false;
  }
  return acts_.empty() && changing_.empty() && open_volume() != nullptr &&
         in_sync_hosts().size() >= 2;
}

std::vector<HostIndex> Cluster::in_sync_hosts() {
  std::vector<HostIndex> hosts;
  for (const core::ReplicaRecord& replica : stored_record().replicas) {
    if (replica.state != core::ReplicaState::kInSync) continue;
    hosts.push_back(static_cast<HostIndex>(replica.node.value - 1));
  }
  return hosts;
}

io::Task<void> Cluster::move_in_order(HostIndex to) {
  for (HostIndex host = 0; host < kHosts; ++host) {
    if (host != to) co_await detach_from(host);
  }
  auto attached = co_await attach_on(to, true);
  (void)attached;
}

io::Task<void> Cluster::focus_operation(std::shared_ptr<engine::Volume> volume, bool writes,
                                        std::shared_ptr<int> under_way) {
  size_t hot = focus_first_ + loop_.random().below(kFocusBlocks);
  ++*under_way;
  ++operations_inside_;
  auto operation = writes && loop_.random().chance(0.4) ? do_write(*volume, hot, 1, false)
                                                        : do_read(*volume, hot, 1);
  co_await std::move(operation);
  --operations_inside_;
  --*under_way;
}

// Clients of both primaries, until the time is over. Their operations don't wait for each other.
io::Task<void> Cluster::use_both(std::shared_ptr<engine::Volume> old, bool old_writes,
                                 HostIndex successor, TimePoint until) {
  auto at_old = std::make_shared<int>(0);
  auto at_new = std::make_shared<int>(0);
  while (loop_.now() < until && !load_stopped_) {
    bool goes_on = !held_ && !old->ended() && *at_old < kFocusOperationsMax;
    if (goes_on) group_.spawn(focus_operation(old, old_writes, at_old));
    Process* here = process(successor);
    bool attached =
        !held_ && here != nullptr && here->volume() != nullptr && here->shared_volume() != old;
    if (attached && *at_new < kFocusOperationsMax) {
      group_.spawn(focus_operation(here->shared_volume(), true, at_new));
    }
    co_await loop_.sleep(kFocusInterval);
  }
}

io::Task<void> Cluster::succeed(HostIndex successor, Duration after, TimePoint give_up_at) {
  co_await loop_.sleep(after);
  while (loop_.now() < give_up_at && !load_stopped_) {
    auto attached = co_await attach_on(successor, true);
    if (attached) co_return;
    co_await loop_.sleep(100ms);
  }
}

// Writes would hang at a primary that was cut off, and reads behind them: there clients only read
// the blocks of the focus.
bool Cluster::only_read(size_t first, size_t count) const {
  return focus_is_read_ && first < focus_first_ + kFocusBlocks && focus_first_ < first + count;
}

// R5: a primary with a replica of its own is cut off from everything but lives, and is read from
// while another takes over and is written to.
io::Task<void> Cluster::fault_isolated_primary() {
  Act act(*this, "isolated primary");
  std::vector<HostIndex> hosts = in_sync_hosts();
  if (hosts.size() < 2 || focus_is_read_) co_return;
  size_t chosen = loop_.random().below(hosts.size());
  HostIndex primary = hosts[chosen];
  HostIndex open_on = kHosts;
  if (open_volume(&open_on) == nullptr || open_on != primary) co_await move_in_order(primary);
  if (process(primary) == nullptr || process(primary)->volume() == nullptr) co_return;
  std::shared_ptr<engine::Volume> old = process(primary)->shared_volume();
  focus_first_ = loop_.random().below(kHotBlocks / 2);
  focus_is_read_ = true;
  co_await loop_.sleep(100ms);
  cut_off(primary, true);
  auto successor =
      static_cast<HostIndex>((primary + 1 + loop_.random().below(kHosts - 1)) % kHosts);
  Duration lasts = random_time(8000, 11000);
  TimePoint until = loop_.now() + lasts;
  Duration after = random_time(0, 1500);
  group_.spawn(succeed(successor, after, until));
  co_await use_both(old, false, successor, until);
  focus_is_read_ = false;
  join_again(primary);
}

// R4: the old primary reaches every replica but not the metadata, or sleeps with operations under
// way, and goes on writing while its successor does. Mostly one replica leaves the set meanwhile,
// so that the two see different sets.
io::Task<void> Cluster::fault_two_primaries() {
  Act act(*this, "two primaries");
  HostIndex first = kHosts;
  if (open_volume(&first) == nullptr) co_return;
  // A primary without a replica of its own hears of its successor only from the replicas.
  for (HostIndex host = 0; host < kHosts; ++host) {
    if (!has_replica(host)) first = host;
  }
  co_await move_in_order(first);
  Process* sleeper = process(first);
  if (sleeper == nullptr || sleeper->volume() == nullptr) co_return;
  std::shared_ptr<engine::Volume> old = sleeper->shared_volume();
  focus_first_ = loop_.random().below(kHotBlocks / 2);
  bool sleeps = loop_.random().chance(0.4);
  Duration lasts = random_time(6000, 9000);
  TimePoint until = loop_.now() + lasts;
  auto second = static_cast<HostIndex>((first + 1 + loop_.random().below(kHosts - 1)) % kHosts);
  note(fmt::format("host {}: {}", first, sleeps ? "sleeps" : "cut from the metadata"));
  meta_.set_reachable(first, false);
  if (sleeps) sleeper->executor().pause();
  Duration asleep = random_time(500, 5000);
  group_.spawn(succeed(second, {}, until));
  co_await use_both(old, true, second, loop_.now() + asleep);
  if (process(first) == sleeper && sleeper->executor().paused()) sleeper->executor().resume();
  HostIndex other = kHosts - first - second;
  bool cut = loop_.random().chance(0.7);
  if (cut) fabric_.cut(second, other);
  co_await use_both(old, true, second, until);
  if (cut) fabric_.heal(second, other);
  meta_.set_reachable(first, true);
}

}  // namespace cleat::sim
