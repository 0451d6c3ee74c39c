// What a volume needs next to have its HA level again. Pure: the reconciler and the tests call it.
#pragma once

#include "control/cluster_view.h"
#include "control/replica_choice.h"

namespace cleat::control {

struct VolumePlan {
  enum class Step {
    kNothing,
    kAddReplica,     // fewer replicas that count than the HA level
    kRemoveReplica,  // `member`: on a node that is gone or leaves, or one too many; only while
                     // as many others as the HA level are in sync
    kHeal,           // detached, with replicas that wait for resync
    kFinishPending,  // `member` of spec.pending was left by a crash
  };
  Step step = Step::kNothing;
  core::MemberIndex member = core::kNoMember;
  bool operator==(const VolumePlan&) const = default;
};

// A replica counts unless its node leaves the cluster, or has been offline for longer than the
// delay without being in maintenance. One step at a time, and a removal only when as many others as
// the HA level are in sync on nodes that are alive. Of one too many, the worst goes
// (replica_choice.h), and never the one where the volume is attached; of a volume that follows and
// is detached, never the newest, which is where it was attached last. `group`: what it is kept
// apart from.
VolumePlan plan_volume(const VolumeView& volume, const Topology& topology,
                       const ControlLimits& limits, uint64_t now_unix_ms,
                       const std::vector<NodeSet>& group = {});
// Offline for longer than the delay, or unknown.
bool is_gone(NodeId node, const Topology& topology, const ControlLimits& limits,
             uint64_t now_unix_ms);
bool is_leaving(NodeId node, const Topology& topology);

}  // namespace cleat::control
