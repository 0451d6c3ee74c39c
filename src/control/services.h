// The managers together, as the API servers call them.
#pragma once

#include "control/alert_book.h"
#include "control/cluster_manager.h"
#include "control/group_snapshots.h"
#include "control/host_manager.h"
#include "control/node_manager.h"
#include "control/snapshot_manager.h"
#include "control/volume_manager.h"

namespace cleat::control {

struct Services {
  ClusterManager& cluster;
  NodeManager& nodes;
  PoolManager& pools;
  VolumeManager& volumes;
  SnapshotManager& snapshots;
  GroupSnapshots& groups;
  HostManager& hosts;
  AlertBook& alerts;
  // After a refused join: with a person's word etcd is given this node's cluster, without it the
  // refusal is the answer. Null where there is none to adopt.
  std::function<Outcome<>(bool by_force)> adopt_cluster;
};

}  // namespace cleat::control
