// Faults in an order that a certain rule is there for: chance alone comes to it too seldom.
#include <algorithm>

#include "sim/cluster/cluster.h"

namespace cleat::sim {

// R1: every node loses its power, and all that was not flushed, right after a flush.
io::Task<void> Cluster::fault_power_after_flush() {
  std::shared_ptr<engine::Volume> volume = open_volume();
  if (volume == nullptr || !shape_.power_loss) co_return;
  Act act(*this, "power after flush");
  co_await do_flush(*volume);
  volume.reset();
  co_await fault_power_all(true);
  // Whoever is first may be the only one that has what was flushed.
  auto attached = co_await attach_on(random_host(), true);
  (void)attached;
}

// R8: whatever happens in the middle of a resync.
io::Task<void> Cluster::fault_interrupted_resync() {
  HostIndex primary = 0;
  if (open_volume(&primary) == nullptr) co_return;
  auto victim = static_cast<HostIndex>((primary + 1 + loop_.random().below(kHosts - 1)) % kHosts);
  if (!has_replica(victim)) co_return;
  Act act(*this, "interrupted resync");
  kill_node(victim, shape_.power_loss && loop_.random().chance(0.5));
  Duration away = random_time(50, 1500);
  co_await loop_.sleep(away);
  co_await start_node(victim);
  TimePoint give_up_at = loop_.now() + 4s;
  while (loop_.now() < give_up_at) {
    std::shared_ptr<engine::Volume> volume = open_volume(&primary);
    if (volume && volume->status().resync.member != core::kNoMember) break;
    volume.reset();
    co_await loop_.sleep(200us);
  }
  Duration into = std::chrono::microseconds(static_cast<int64_t>(loop_.random().below(20'000)));
  co_await loop_.sleep(into);
  uint64_t dice = loop_.random().below(3);
  if (dice == 0) {
    fabric_.cut(primary, victim);
    Duration lasts = random_time(100, 4000);
    co_await loop_.sleep(lasts);
    fabric_.heal(primary, victim);
    co_return;
  }
  HostIndex dies = dice == 1 ? primary : victim;
  kill_node(dies, shape_.power_loss && loop_.random().chance(0.5));
  Duration again = random_time(50, 1500);
  co_await restart_node(dies, again);
}

}  // namespace cleat::sim
