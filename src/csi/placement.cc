#include "csi/placement.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "csi/names.h"

namespace cleat::csi {
namespace {

using Nodes = std::vector<std::string>;

bool contains(const Nodes& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool allows(const Nodes& list, const std::string& name) {
  return list.empty() || contains(list, name);
}

// Room on the best pool of each node that the parameters allow; nodes without room are left out.
std::map<std::string, uint64_t> room_by_node(const Parameters& parameters,
                                             const std::vector<api::Pool>& pools,
                                             const std::vector<api::Node>& nodes) {
  std::map<std::string, uint64_t> room;
  for (const api::Pool& pool : pools) {
    auto node = std::find_if(nodes.begin(), nodes.end(),
                             [&](const api::Node& each) { return each.name() == pool.node(); });
    const bool fits = node != nodes.end() && allows(parameters.nodes, node->name()) &&
                      allows(parameters.racks, node->rack()) &&
                      allows(parameters.zones, node->zone()) && pool.placeable_bytes() > 0;
    if (fits) room[pool.node()] = std::max(room[pool.node()], pool.placeable_bytes());
  }
  return room;
}

bool one_holds_the_other(const Nodes& a, const Nodes& b) {
  const Nodes& small = a.size() <= b.size() ? a : b;
  const Nodes& large = a.size() <= b.size() ? b : a;
  return std::all_of(small.begin(), small.end(),
                     [&](const std::string& node) { return contains(large, node); });
}

constexpr size_t kSetsMax = 16;  // more tries than that find no room either

// Sets of `count` nodes that the group allows, those with nodes at the front of the list first.
void combine(const Nodes& from, size_t count, size_t begin, const std::vector<Nodes>& group,
             Nodes& taken, std::vector<Nodes>& out) {
  if (out.size() >= kSetsMax) return;
  if (taken.size() == count) {
    const bool apart = std::none_of(group.begin(), group.end(), [&](const Nodes& other) {
      return one_holds_the_other(taken, other);
    });
    if (apart) out.push_back(taken);
    return;
  }
  for (size_t i = begin; i < from.size(); ++i) {
    taken.push_back(from[i]);
    combine(from, count, i + 1, group, taken, out);
    taken.pop_back();
  }
}

}  // namespace

Outcome<Nodes> nodes_in(const spec::Topology& topology, const std::vector<api::Node>& nodes) {
  Nodes out;
  for (const auto& [key, value] : topology.segments()) {
    if (key != kTopologyNode && key != kTopologyRack && key != kTopologyZone) {
      return failure(Code::kInvalidArgument, "topology key {} is not known: known are {}, {}, {}",
                     key, kTopologyNode, kTopologyRack, kTopologyZone);
    }
  }
  auto matches = [&](const char* key, const std::string& value) {
    auto wanted = topology.segments().find(key);
    return wanted == topology.segments().end() || wanted->second == value;
  };
  for (const api::Node& node : nodes) {
    if (matches(kTopologyNode, node.name()) && matches(kTopologyRack, node.rack()) &&
        matches(kTopologyZone, node.zone())) {
      out.push_back(node.name());
    }
  }
  return out;
}

Outcome<std::string> wanted_node(const spec::TopologyRequirement& requirement,
                                 const std::vector<api::Node>& nodes) {
  bool possible = requirement.requisite().empty();
  for (const auto& topology : requirement.requisite()) {
    OUTCOME_ASSIGN(Nodes found, nodes_in(topology, nodes));
    possible = possible || !found.empty();
  }
  if (!possible) {
    return failure(Code::kNoSpace,
                   "none of the topologies that are asked for has a node of this cluster");
  }
  const auto& order =
      requirement.preferred().empty() ? requirement.requisite() : requirement.preferred();
  if (order.empty()) return std::string{};
  OUTCOME_ASSIGN(Nodes first, nodes_in(order[0], nodes));
  return first.size() == 1 ? first.front() : std::string{};
}

std::vector<Places> choose_places(const Parameters& parameters, const std::string& wanted,
                                  const std::vector<api::Pool>& pools,
                                  const std::vector<api::Node>& nodes,
                                  const std::vector<Nodes>& group) {
  // The class' nodes are a limit, as they are to Portworx; the pod's node goes first among them.
  Places plain{parameters.nodes, !parameters.nodes.empty()};
  if (allows(parameters.nodes, wanted) && !wanted.empty()) {
    std::erase(plain.nodes, wanted);
    plain.nodes.insert(plain.nodes.begin(), wanted);
  }
  if (parameters.group.empty()) return {plain};
  const auto room = room_by_node(parameters, pools, nodes);
  std::map<std::string, size_t> crowd;
  for (const Nodes& set : group) {
    for (const std::string& node : set) ++crowd[node];
  }
  Nodes order;
  for (const auto& [node, bytes] : room) {
    order.push_back(node);
    crowd.try_emplace(node, 0);
  }
  std::sort(order.begin(), order.end(), [&](const std::string& a, const std::string& b) {
    return std::tuple(a != wanted, crowd.at(a), ~room.at(a), a) <
           std::tuple(b != wanted, crowd.at(b), ~room.at(b), b);
  });
  if (!parameters.group_enforced) return {Places{order, plain.only}};
  std::vector<Nodes> sets;
  Nodes taken;
  combine(order, parameters.ha, 0, group, taken, sets);
  std::vector<Places> out;
  for (Nodes& set : sets) out.push_back({std::move(set), true});
  return out;
}

uint64_t capacity_for(const Parameters& parameters, const std::vector<api::Pool>& pools,
                      const std::vector<api::Node>& nodes) {
  std::vector<uint64_t> room;
  for (const auto& [node, bytes] : room_by_node(parameters, pools, nodes)) room.push_back(bytes);
  if (room.size() < parameters.ha) return 0;
  std::sort(room.begin(), room.end(), std::greater<>());
  return room[parameters.ha - 1];
}

}  // namespace cleat::csi
