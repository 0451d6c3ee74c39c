// Where a volume that follows (VolumeSpec.follow) gets its data to: when it stays attached on a
// node without a replica, one is made there; once that is in sync the volume has one too many, and
// plan_volume() lets the worst of the others go. Nothing of this is remembered: each pass decides
// by what the metadata say, whoever makes it. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/cluster_view.h"

namespace cleat::control {

struct FollowPlan {
  enum class Step {
    kNothing,     // it does not follow, is not attached, or has its data where it is
    kWait,        // for what `words` say
    kAddReplica,  // at `place`
  };
  Step step = Step::kNothing;
  core::PlacementChoice place;
  std::string words;  // what Cleat does, without a period; empty with kNothing
};

class FollowPlanner {
 public:
  // Borrows both.
  FollowPlanner(const ClusterView& view, const ControlLimits& limits, uint64_t now_unix_ms);

  // `used_bytes`: what its data takes, 0 when that is not known.
  FollowPlan plan(const VolumeView& volume, uint64_t used_bytes = 0) const;
  // A replica is being made on the node that the view does not have yet.
  void started(NodeId node) { ++copies_[node]; }

 private:
  FollowPlan plan_place(const VolumeView& volume, uint64_t used_bytes) const;

  const ClusterView& view_;
  const ControlLimits& limits_;
  uint64_t now_unix_ms_;
  std::vector<core::PoolCandidate> pools_;
  std::map<NodeId, uint32_t> copies_;  // replicas that are being built, by node
};

}  // namespace cleat::control
