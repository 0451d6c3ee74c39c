// Which replica a volume gives up when it has one too many. Pure.
#pragma once

#include <set>
#include <vector>

#include "control/cluster_view.h"

namespace cleat::control {

// Labels of a volume that is kept apart from the others of its group (fg=true): no two have their
// replicas on the same nodes, nor one on a part of the other's.
inline constexpr const char* kGroupLabel = "group";
inline constexpr const char* kApartLabel = "fg";

using NodeSet = std::set<NodeId>;

NodeSet nodes_of(const VolumeView& volume);
// For each other volume that this one is kept apart from: the nodes of its replicas.
std::vector<NodeSet> nodes_of_its_group(const VolumeView& volume, const ClusterView& view);
bool keeps_apart(const NodeSet& nodes, const std::vector<NodeSet>& group);

// Of `candidates`, which are replicas of the volume: one that is not in sync, else offline, else
// whose loss keeps the group apart, else not where the volume is attached, else that shares its
// zone, then its rack, with most others, else in the fullest pool, else the newest. kNoMember:
// there is no candidate.
core::MemberIndex worst_replica(const VolumeView& volume,
                                const std::vector<core::ReplicaRecord>& candidates,
                                const Topology& topology, const std::vector<NodeSet>& group);

}  // namespace cleat::control
