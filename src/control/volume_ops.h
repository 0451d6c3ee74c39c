// The steps that several operations on a volume share: who serves it, how a replica comes and goes,
// how a volume ends. Each is safe to repeat after a crash at any point: what it leaves behind is
// written down before (spec.pending, tombstones) and the reconciler finishes it.
//
// Threading: any thread.
#pragma once

#include "control/cluster_view.h"
#include "control/follow_plan.h"

namespace cleat::control {

// Where replicas of the volume may be at all: class, racks, zones, nodes.
void limit_places(const meta::VolumeSpec& spec, core::PlacementRequest& request);
// For one more replica of the volume: its size, its limits, the nodes that have one.
core::PlacementRequest place_of_one_more(const VolumeView& volume);

class VolumeOps {
 public:
  explicit VolumeOps(const ControlContext& context) : context_(context) {}

  // Where VolumePort and check() are called: the primary's node, else one with an in-sync replica,
  // this one first. kUnreachable says which nodes would be needed.
  Outcome<std::shared_ptr<NodeHandle>> serving_node(const VolumeView& volume,
                                                    const Topology& topology);
  Outcome<NodeId> serving_node_id(const VolumeView& volume, const Topology& topology) const;

  // A new replica at `place`: created there, then added to the record by the serving node.
  Outcome<> add_replica(const VolumeView& volume, const Topology& topology,
                        core::PlacementChoice place);
  // What is left of add_replica(), once the replica is written down as pending. Safe to repeat.
  Outcome<> make_pending(const VolumeView& volume, const Topology& topology,
                         const core::ReplicaRecord& replica);
  // kConflict when fewer than `in_sync_left_min`, or none, would be left in sync.
  Outcome<> remove_replica(const VolumeView& volume, const Topology& topology,
                           core::MemberIndex member, uint32_t in_sync_left_min = 1);

  // Written into the spec: the replica is out of the record, and its node is still to remove it.
  static void disown(meta::VolumeSpec& spec, const core::ReplicaRecord& replica);

  // Takes volume, names and snapshots out of the metadata in one transaction that only happens if
  // nobody attached, cloned or changed it meanwhile; then removes what replicas can be reached.
  Outcome<> erase_volume(const VolumeView& volume);
  // Removes the replicas a tombstone lists; the tombstone goes when none is left.
  Outcome<> bury(const meta::Tombstone& tombstone);

  // One place for one more replica of the volume. kNoSpace says why there is none.
  Outcome<core::PlacementChoice> find_place(const VolumeView& volume, const ClusterView& view,
                                            std::optional<NodeId> wanted = std::nullopt) const;
  Outcome<std::vector<core::PlacementChoice>> find_places(const core::PlacementRequest& request,
                                                          const ClusterView& view) const;
  // What the data of the volume takes on a node with an in-sync replica; kUnreachable when none
  // answers.
  Outcome<uint64_t> used_bytes(const VolumeView& volume, const Topology& topology) const;
  // The planner's word; before a replica is made, with what the data takes.
  FollowPlan plan_follow(const VolumeView& volume, const Topology& topology,
                         const FollowPlanner& planner) const;

 private:
  Outcome<> forget_pending(VolumeId volume, core::MemberIndex member);
  const ControlContext& context_;
};

}  // namespace cleat::control
