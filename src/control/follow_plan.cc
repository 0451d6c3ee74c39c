#include "control/follow_plan.h"

#include <algorithm>

#include "control/api_views.h"
#include "control/replica_choice.h"
#include "control/volume_ops.h"

namespace cleat::control {
namespace {

using Step = FollowPlan::Step;

FollowPlan wait(std::string words) { return {Step::kWait, {}, std::move(words)}; }

const core::ReplicaRecord* replica_on(const VolumeView& volume, NodeId node) {
  auto found = std::find_if(volume.record.replicas.begin(), volume.record.replicas.end(),
                            [&](const auto& replica) { return replica.node == node; });
  return found == volume.record.replicas.end() ? nullptr : &*found;
}

bool pending_on(const VolumeView& volume, NodeId node) {
  return std::any_of(volume.spec.pending().begin(), volume.spec.pending().end(),
                     [&](const auto& replica) { return replica.node() == node.value; });
}

// No change of the replicas is under way or needed.
bool is_whole(const VolumeView& volume, const Topology& topology) {
  const uint32_t wanted = volume.spec.ha_level();
  return volume.spec.pending().empty() && volume.record.replicas.size() == wanted &&
         usable_count(volume, topology) == wanted;
}

// With one more replica on `node`, another can go so that the group is still kept apart.
bool group_permits(const VolumeView& volume, NodeId node, const std::vector<NodeSet>& group) {
  NodeSet nodes = nodes_of(volume);
  nodes.insert(node);
  return std::any_of(volume.record.replicas.begin(), volume.record.replicas.end(),
                     [&](const auto& replica) {
                       NodeSet left = nodes;
                       left.erase(replica.node);
                       return keeps_apart(left, group);
                     });
}

// The pool with the data in it, and without the part of it that is to stay free.
core::PoolCandidate filled(core::PoolCandidate pool, uint64_t used_bytes, double nearly_full) {
  const auto kept_free =
      static_cast<uint64_t>((1.0 - nearly_full) * static_cast<double>(pool.capacity_bytes));
  pool.free_bytes -= std::min(pool.free_bytes, used_bytes + kept_free);
  return pool;
}

// Why none of the node's pools takes the replica.
std::string refusal(const core::PlacementResult& result) {
  if (result.pools == 0) return "it has no pool";
  if (result.full != 0) return "its pool is nearly full, or would be with the data";
  if (result.overcommitted != 0) return "too much is promised to other volumes there";
  if (result.filtered != 0) {
    return "it is outside of the class, racks, zones or nodes that the volume is limited to";
  }
  return "its pool has failed, or the node is in maintenance or leaves the cluster";
}

}  // namespace

FollowPlanner::FollowPlanner(const ClusterView& view, const ControlLimits& limits,
                             uint64_t now_unix_ms)
    : view_(view), limits_(limits), now_unix_ms_(now_unix_ms), pools_(view.candidates()) {
  for (const auto& [id, volume] : view.volumes) {
    for (const auto& replica : volume.record.replicas) {
      if (replica.state == core::ReplicaState::kNew) ++copies_[replica.node];
    }
  }
}

FollowPlan FollowPlanner::plan(const VolumeView& volume, uint64_t used_bytes) const {
  if (!volume.spec.follow() || !volume.attached()) return {};
  if (volume.spec.state() != meta::VolumeSpec::UP) return {};
  const Topology& topology = view_.topology;
  const NodeId node = volume.record.primary;
  if (!topology.alive(node)) return {};
  const std::string name = topology.name(node);
  const core::ReplicaRecord* here = replica_on(volume, node);
  if (here != nullptr && here->state == core::ReplicaState::kInSync) {
    if (volume.record.replicas.size() <= volume.spec.ha_level()) return {};
    return wait(
        fmt::format("the data is on {}; one of the other replicas goes as soon as {} are in "
                    "sync without it",
                    name, volume.spec.ha_level()));
  }
  if (here != nullptr) return wait(fmt::format("copying to {}", name));
  if (pending_on(volume, node)) return wait(fmt::format("a replica is being made on {}", name));
  if (!is_whole(volume, topology)) {
    return wait(
        fmt::format("a replica is made on {} once {} others are in sync, and no other "
                    "change of them is under way",
                    name, volume.spec.ha_level()));
  }
  const auto delay_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(limits_.follow_delay).count());
  const uint64_t due_ms = volume.spec.attached_unix_ms() + delay_ms;
  if (now_unix_ms_ < due_ms) {
    return wait(fmt::format("a replica is made on {} in {} s, if it stays attached there", name,
                            (due_ms - now_unix_ms_ + 999) / 1000));
  }
  return plan_place(volume, used_bytes);
}

FollowPlan FollowPlanner::plan_place(const VolumeView& volume, uint64_t used_bytes) const {
  const NodeId node = volume.record.primary;
  const std::string name = view_.topology.name(node);
  std::vector<core::PoolCandidate> here;
  for (const core::PoolCandidate& pool : pools_) {
    if (pool.node == node) here.push_back(filled(pool, used_bytes, limits_.pool_nearly_full));
  }
  auto result = core::place(place_of_one_more(volume), here, limits_.placement);
  if (result.choices.empty()) {
    return wait(fmt::format("no replica can be made on {}: {}", name, refusal(result)));
  }
  if (!group_permits(volume, node, nodes_of_its_group(volume, view_))) {
    return wait(
        fmt::format("no replica can be made on {}: the volume would not be kept apart from "
                    "its group (fg)",
                    name));
  }
  auto copies = copies_.find(node);
  if (copies != copies_.end() && copies->second >= limits_.follow_copies_max) {
    return wait(fmt::format("a replica is made on {} after the {} that are being copied there",
                            name, copies->second));
  }
  return {Step::kAddReplica, result.choices.front(),
          fmt::format("a replica is about to be made on {}", name)};
}

}  // namespace cleat::control
