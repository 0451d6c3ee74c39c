#include "control/volume_plan.h"

#include <algorithm>

namespace cleat::control {
namespace {

uint64_t to_ms(Duration duration) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
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
                       const ControlLimits& limits, uint64_t now_unix_ms) {
  using Step = VolumePlan::Step;
  if (volume.spec.state() != meta::VolumeSpec::UP) return {};
  for (const auto& pending : volume.spec.pending()) {
    if (pending.pending_since_unix_ms() + to_ms(limits.half_done_after) <= now_unix_ms) {
      return {Step::kFinishPending, static_cast<core::MemberIndex>(pending.index())};
    }
  }
  if (!volume.spec.pending().empty()) return {};
  const uint32_t wanted = volume.spec.ha_level();
  uint32_t counting = 0;
  uint32_t good = 0;  // counting and in sync
  bool behind = false;
  const core::ReplicaRecord* bad = nullptr;
  for (const auto& replica : volume.record.replicas) {
    if (is_leaving(replica.node, topology) ||
        is_gone(replica.node, topology, limits, now_unix_ms)) {
      bad = &replica;
      continue;
    }
    ++counting;
    if (replica.state == core::ReplicaState::kInSync) ++good;
    if (replica.state != core::ReplicaState::kInSync && topology.alive(replica.node)) behind = true;
  }
  if (counting < wanted && volume.record.replicas.size() < core::kReplicasMax) {
    return {Step::kAddReplica, core::kNoMember};
  }
  if (bad != nullptr && good >= wanted) return {Step::kRemoveReplica, bad->index};
  if (counting > wanted && good > wanted) {
    // The newest one that the volume is not attached on.
    for (auto it = volume.record.replicas.rbegin(); it != volume.record.replicas.rend(); ++it) {
      if (it->node != volume.record.primary) return {Step::kRemoveReplica, it->index};
    }
  }
  const bool served = volume.record.primary.value != 0 && topology.alive(volume.record.primary);
  if (behind && !served && !volume.attached()) return {Step::kHeal, core::kNoMember};
  return {};
}

}  // namespace cleat::control
