#include "control/pod_placement.h"

#include <algorithm>

#include "control/api_views.h"

namespace cleat::control {
namespace {

constexpr const char* kClaimLabel = "pvc";
constexpr const char* kNamespaceLabel = "namespace";

constexpr int kHere = kPodScoreMax;
constexpr int kHereSoon = 7;
constexpr int kSameRack = 5;
constexpr int kSameZone = 3;
constexpr int kElsewhere = 1;

constexpr int kFullPenalty = 2;
constexpr int kUnwellPenalty = 1;

const VolumeView* volume_of(const ClusterView& view, const std::string& name_space,
                            const std::string& claim) {
  std::vector<const VolumeView*> found;
  for (const auto& [id, volume] : view.volumes) {
    if (volume.label(kClaimLabel) == claim && volume.label(kNamespaceLabel) == name_space) {
      found.push_back(&volume);
    }
  }
  auto is_copy = [&](const VolumeView* volume) {
    return std::any_of(found.begin(), found.end(), [&](const VolumeView* other) {
      return other->id() == volume->record.parent_volume;
    });
  };
  auto rank = [&](const VolumeView* volume) {
    return std::pair(!is_copy(volume), volume->spec.created_unix_ms());
  };
  auto best = std::max_element(found.begin(), found.end(),
                               [&](const auto* a, const auto* b) { return rank(a) < rank(b); });
  return best == found.end() ? nullptr : *best;
}

// Of a node without a name for its rack or zone nothing is known.
bool same_zone(const meta::Node& a, const meta::Node& b) {
  return !a.zone().empty() && a.zone() == b.zone();
}
bool same_rack(const meta::Node& a, const meta::Node& b) {
  return !a.rack().empty() && a.rack() == b.rack() && a.zone() == b.zone();
}

}  // namespace

PodPlacement::PodPlacement(const ClusterView& view, double pool_nearly_full, const PodClaims& pod)
    : view_(view), pool_nearly_full_(pool_nearly_full) {
  for (const std::string& claim : pod.claims) {
    const VolumeView* volume = volume_of(view, pod.name_space, claim);
    if (volume != nullptr) volumes_.push_back(volume);
  }
  for (const auto& [id, node] : view.topology.nodes) nodes_[node.node.name()] = &node;
}

const NodeView* PodPlacement::find(const std::string& name) const {
  auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : found->second;
}

std::string PodPlacement::obstacle(const std::string& name) const {
  if (volumes_.empty()) return {};
  const NodeView* node = find(name);
  if (node == nullptr) {
    return "Cleat knows no node of this name: its cleatd never joined, or its option `node` is "
           "another name";
  }
  if (!node->alive) return "Cleat does not run there now";
  if (!node->node.maintenance()) return {};
  const NodeId id{node->node.id()};
  for (const VolumeView* volume : volumes_) {
    if (volume->record.primary == id || volume->attachment_on(id) != nullptr) continue;
    return fmt::format("it is in Cleat's maintenance, and volume {} is not attached there yet",
                       volume->spec.name());
  }
  return {};
}

int PodPlacement::score(const std::string& name) const {
  const NodeView* node = find(name);
  if (volumes_.empty() || node == nullptr || !obstacle(name).empty()) return 0;
  if (node->node.decommissioning()) return 0;
  int sum = 0;
  for (const VolumeView* volume : volumes_) sum += score_of(*volume, *node);
  const int count = static_cast<int>(volumes_.size());
  return (sum + count / 2) / count;
}

int PodPlacement::score_of(const VolumeView& volume, const NodeView& node) const {
  const NodeId id{node.node.id()};
  int best = kElsewhere;
  for (const auto& replica : volume.record.replicas) {
    const bool in_sync = replica.state == core::ReplicaState::kInSync;
    auto pool = view_.topology.pools.find(replica.pool);
    if (pool == view_.topology.pools.end() || pool->second.failed()) continue;
    if (replica.node == id) best = std::max(best, in_sync ? kHere : kHereSoon);
    const NodeView* other = view_.topology.find(replica.node);
    if (!in_sync || other == nullptr || !other->alive) continue;
    if (same_zone(other->node, node.node)) best = std::max(best, kSameZone);
    if (same_rack(other->node, node.node)) best = std::max(best, kSameRack);
  }
  return std::max(0, best - pool_penalty(volume, id));
}

// Of the pool that has the replica; where there is none, of the node's best, in which one could be
// made.
int PodPlacement::pool_penalty(const VolumeView& volume, NodeId node) const {
  PoolId held;
  for (const auto& replica : volume.record.replicas) {
    if (replica.node == node) held = replica.pool;
  }
  int least = held.value == 0 ? kUnwellPenalty : kFullPenalty;
  for (const auto& [id, pool] : view_.topology.pools) {
    if (NodeId{pool.node()} != node || (held.value != 0 && id != held)) continue;
    const auto state = to_api(pool, view_.topology).state();
    const int penalty = state == api::POOL_STATE_FULL ? kFullPenalty
                        : state != api::POOL_STATE_ONLINE || used_share(pool) >= pool_nearly_full_
                            ? kUnwellPenalty
                            : 0;
    least = std::min(least, penalty);
  }
  return least;
}

}  // namespace cleat::control
