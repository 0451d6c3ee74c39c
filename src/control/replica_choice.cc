#include "control/replica_choice.h"

#include <algorithm>
#include <tuple>

namespace cleat::control {
namespace {

bool is_part(const NodeSet& small, const NodeSet& large) {
  return std::includes(large.begin(), large.end(), small.begin(), small.end());
}

double pool_share(const core::ReplicaRecord& replica, const Topology& topology) {
  auto pool = topology.pools.find(replica.pool);
  return pool == topology.pools.end() ? 0 : used_share(pool->second);
}

// How many other replicas are in the same zone, and in the same rack of it.
std::pair<int, int> company(const core::ReplicaRecord& replica, const VolumeView& volume,
                            const Topology& topology) {
  std::pair<int, int> out{0, 0};
  const NodeView* here = topology.find(replica.node);
  if (here == nullptr) return out;
  for (const auto& other : volume.record.replicas) {
    const NodeView* there = topology.find(other.node);
    if (other.index == replica.index || there == nullptr) continue;
    if (there->node.zone() != here->node.zone()) continue;
    ++out.first;
    if (there->node.rack() == here->node.rack()) ++out.second;
  }
  return out;
}

bool leaves_group_apart(const core::ReplicaRecord& replica, const VolumeView& volume,
                        const std::vector<NodeSet>& group) {
  NodeSet left = nodes_of(volume);
  left.erase(replica.node);
  return keeps_apart(left, group);
}

// The larger, the less the replica is worth.
auto badness(const core::ReplicaRecord& replica, const VolumeView& volume, const Topology& topology,
             const std::vector<NodeSet>& group) {
  return std::tuple(replica.state != core::ReplicaState::kInSync, !topology.alive(replica.node),
                    leaves_group_apart(replica, volume, group),
                    replica.node != volume.record.primary, company(replica, volume, topology),
                    pool_share(replica, topology), replica.index);
}

}  // namespace

NodeSet nodes_of(const VolumeView& volume) {
  NodeSet out;
  for (const auto& replica : volume.record.replicas) out.insert(replica.node);
  return out;
}

std::vector<NodeSet> nodes_of_its_group(const VolumeView& volume, const ClusterView& view) {
  std::vector<NodeSet> out;
  const std::string group = volume.label(kGroupLabel);
  if (group.empty() || volume.label(kApartLabel) != "true") return out;
  for (const auto& [id, other] : view.volumes) {
    if (id == volume.id() || other.label(kGroupLabel) != group) continue;
    if (!other.record.replicas.empty()) out.push_back(nodes_of(other));
  }
  return out;
}

bool keeps_apart(const NodeSet& nodes, const std::vector<NodeSet>& group) {
  return std::none_of(group.begin(), group.end(), [&](const NodeSet& other) {
    return is_part(nodes, other) || is_part(other, nodes);
  });
}

core::MemberIndex worst_replica(const VolumeView& volume,
                                const std::vector<core::ReplicaRecord>& candidates,
                                const Topology& topology, const std::vector<NodeSet>& group) {
  auto worst =
      std::max_element(candidates.begin(), candidates.end(), [&](const auto& a, const auto& b) {
        return badness(a, volume, topology, group) < badness(b, volume, topology, group);
      });
  return worst == candidates.end() ? core::kNoMember : worst->index;
}

}  // namespace cleat::control
