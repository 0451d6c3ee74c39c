// How good a node is for a pod, by where its volumes have their data. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/cluster_view.h"

namespace cleat::control {

// What a pod mounts, as far as Cleat may know it.
struct PodClaims {
  std::string pod;  // its name
  std::string name_space;
  std::vector<std::string> claims;  // names of PersistentVolumeClaims
};

inline constexpr int kPodScoreMax = 10;

class PodPlacement {
 public:
  // Borrows the view. The volumes are found by the labels `pvc` and `namespace` that cleat-csi
  // gives them. Of several with the labels of one claim (one was kept when its claim was deleted,
  // or was cloned with its labels) the newest that is no clone of another counts.
  PodPlacement(const ClusterView& view, double pool_nearly_full, const PodClaims& pod);

  // Why the pod's volumes can't be attached on the node at all; empty when they can.
  std::string obstacle(const std::string& node) const;
  // 0 to kPodScoreMax, the mean of the pod's volumes. For each: 10 where a replica is in sync,
  // 7 where one is being copied to, 5 in the rack of one in sync, 3 in its zone, 1 elsewhere; less
  // by 2 where the pool there is full, by 1 where it is nearly full, failed or missing; 0 where it
  // can't be attached or the node is about to leave the cluster.
  int score(const std::string& node) const;

 private:
  const NodeView* find(const std::string& name) const;
  int score_of(const VolumeView& volume, const NodeView& node) const;
  int pool_penalty(const VolumeView& volume, NodeId node) const;

  const ClusterView& view_;
  double pool_nearly_full_;
  std::vector<const VolumeView*> volumes_;
  std::map<std::string, const NodeView*> nodes_;
};

}  // namespace cleat::control
