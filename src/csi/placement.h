// Where the replicas of a new volume go, as far as cleat-csi has a say: near the pod, and away from
// the other volumes of its group. The rest is cleatd's placement. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "csi/capabilities.h"
#include "csi/cleatd.h"
#include "csi/parameters.h"

namespace cleat::csi {

// Nodes of the cluster that match the segments. kInvalidArgument: a key that is none of ours.
Outcome<std::vector<std::string>> nodes_in(const spec::Topology& topology,
                                           const std::vector<api::Node>& nodes);

// The node whose pod is to use the volume: the only one of the first preferred topology; empty when
// that is no single node. A volume can be used from every node, so that a requirement is met when
// it names any node of the cluster: kNoSpace when it names none.
Outcome<std::string> wanted_node(const spec::TopologyRequirement& requirement,
                                 const std::vector<api::Node>& nodes);

struct Places {
  std::vector<std::string> nodes;  // in this order
  bool only = false;               // and to no others
};

// `group`: for each other volume of the group the nodes of its replicas. Without fg, nodes that
// have fewest of them go first. With fg, no two volumes of the group have their replicas on the
// same set of nodes, or one on a part of the other's: so the loss of nodes that takes one down
// leaves the other up. Some choices that allow it, best first; empty when there is none.
std::vector<Places> choose_places(const Parameters& parameters, const std::string& wanted,
                                  const std::vector<api::Pool>& pools,
                                  const std::vector<api::Node>& nodes,
                                  const std::vector<std::vector<std::string>>& group);

// The size of the largest volume that can be made with these parameters.
uint64_t capacity_for(const Parameters& parameters, const std::vector<api::Pool>& pools,
                      const std::vector<api::Node>& nodes);

}  // namespace cleat::csi
