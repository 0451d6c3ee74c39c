// What a volume needs next to have its HA level again. Pure: the reconciler and the tests call it.
#pragma once

#include "control/cluster_view.h"

namespace cleat::control {

struct VolumePlan {
  enum class Step {
    kNothing,
    kAddReplica,     // fewer replicas that count than the HA level
    kRemoveReplica,  // `member`: on a node that is gone or leaves, or one too many
    kHeal,           // detached, with replicas that wait for resync
    kFinishPending,  // `member` of spec.pending was left by a crash
  };
  Step step = Step::kNothing;
  core::MemberIndex member = core::kNoMember;
  bool operator==(const VolumePlan&) const = default;
};

// A replica counts unless its node leaves the cluster, or has been offline for longer than the
// delay without being in maintenance. One step at a time, and a removal only when enough others are
// in sync.
VolumePlan plan_volume(const VolumeView& volume, const Topology& topology,
                       const ControlLimits& limits, uint64_t now_unix_ms);
// Offline for longer than the delay, or unknown.
bool is_gone(NodeId node, const Topology& topology, const ControlLimits& limits,
             uint64_t now_unix_ms);
bool is_leaving(NodeId node, const Topology& topology);

}  // namespace cleat::control
