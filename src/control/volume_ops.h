// The steps that several operations on a volume share: who serves it, how a replica comes and goes,
// how a volume ends. Each is safe to repeat after a crash at any point: what it leaves behind is
// written down before (spec.pending, tombstones) and the reconciler finishes it.
//
// Threading: any thread.
#pragma once

#include "control/cluster_view.h"

namespace cleat::control {

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
  // kConflict when it is the last one in sync.
  Outcome<> remove_replica(const VolumeView& volume, const Topology& topology,
                           core::MemberIndex member);

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

 private:
  Outcome<> forget_pending(VolumeId volume, core::MemberIndex member);
  const ControlContext& context_;
};

}  // namespace cleat::control
