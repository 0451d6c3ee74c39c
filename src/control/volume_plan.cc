#include "control/volume_plan.h"

#include <algorithm>

namespace cleat::control {
namespace {

uint64_t to_ms(Duration duration) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// What the replicas of a volume are worth now.
struct Census {
  std::vector<core::ReplicaRecord> counting;
  uint32_t good = 0;                        // of those: in sync, on a node that is alive
  bool behind = false;                      // one on a node that is alive is not in sync
  core::MemberIndex bad = core::kNoMember;  // one that does not count
};

Census count_replicas(const VolumeView& volume, const Topology& topology,
                      const ControlLimits& limits, uint64_t now_unix_ms) {
  Census out;
  for (const auto& replica : volume.record.replicas) {
    if (is_leaving(replica.node, topology) ||
        is_gone(replica.node, topology, limits, now_unix_ms)) {
      out.bad = replica.index;
      continue;
    }
    out.counting.push_back(replica);
    if (!topology.alive(replica.node)) continue;
    if (replica.state == core::ReplicaState::kInSync) {
      ++out.good;
    } else {
      out.behind = true;
    }
  }
  return out;
}

// Where the data is to stay: where the volume is attached, or was, if it follows.
bool is_home(const core::ReplicaRecord& replica, const VolumeView& volume) {
  if (replica.node == volume.record.primary) return true;
  return volume.spec.follow() && !volume.attached() &&
         replica.index == volume.record.replicas.back().index;
}

// One too many may go when it is not at home, and enough others are in sync.
std::vector<core::ReplicaRecord> may_go(const VolumeView& volume, const Topology& topology,
                                        const Census& census) {
  std::vector<core::ReplicaRecord> out;
  for (const auto& replica : census.counting) {
    const bool good = replica.state == core::ReplicaState::kInSync && topology.alive(replica.node);
    const uint32_t others = census.good - (good ? 1U : 0U);
    if (!is_home(replica, volume) && others >= volume.spec.ha_level()) out.push_back(replica);
  }
  return out;
}

}  // namespace

bool is_gone(NodeId node, const Topology& topology, const ControlLimits& limits,
             uint64_t now_unix_ms) {
  const NodeView* view = topology.find(node);
  if (view == nullptr) return true;
  if (view->alive || view->node.maintenance()) return false;
  const uint64_t since = view->node.last_seen_unix_ms();
  return since != 0 && since + to_ms(limits.replica_delay) <= now_unix_ms;
}

bool is_leaving(NodeId node, const Topology& topology) {
  const NodeView* view = topology.find(node);
  return view == nullptr || view->node.decommissioning();
}

VolumePlan plan_volume(const VolumeView& volume, const Topology& topology,
                       const ControlLimits& limits, uint64_t now_unix_ms,
                       const std::vector<NodeSet>& group) {
  using Step = VolumePlan::Step;
  if (volume.spec.state() != meta::VolumeSpec::UP) return {};
  for (const auto& pending : volume.spec.pending()) {
    if (pending.pending_since_unix_ms() + to_ms(limits.half_done_after) <= now_unix_ms) {
      return {Step::kFinishPending, static_cast<core::MemberIndex>(pending.index())};
    }
  }
  if (!volume.spec.pending().empty()) return {};
  const Census census = count_replicas(volume, topology, limits, now_unix_ms);
  const uint32_t wanted = volume.spec.ha_level();
  if (census.counting.size() < wanted && volume.record.replicas.size() < core::kReplicasMax) {
    return {Step::kAddReplica, core::kNoMember};
  }
  if (census.bad != core::kNoMember && census.good >= wanted) {
    return {Step::kRemoveReplica, census.bad};
  }
  if (census.counting.size() > wanted) {
    const auto open = may_go(volume, topology, census);
    const core::MemberIndex worst = worst_replica(volume, open, topology, group);
    if (worst != core::kNoMember) return {Step::kRemoveReplica, worst};
  }
  const bool served = volume.record.primary.value != 0 && topology.alive(volume.record.primary);
  if (census.behind && !served && !volume.in_use()) return {Step::kHeal, core::kNoMember};
  return {};
}

}  // namespace cleat::control
