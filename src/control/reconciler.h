// The background work of the cluster, on one node at a time (Election): new replicas for those on
// nodes that are gone, moves off nodes that leave, ends of half-done work, tombstones, alerts.
//
// Threading: run_once() by one thread at a time; start() makes that thread.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "control/alert_book.h"
#include "control/election.h"
#include "control/shared_attachments.h"
#include "control/snapshot_manager.h"
#include "control/volume_manager.h"
#include "control/volume_plan.h"

namespace cleat::control {

class Reconciler {
 public:
  Reconciler(const ControlContext& context, VolumeManager& volumes, SnapshotManager& snapshots,
             AlertBook& alerts)
      : context_(context),
        ops_(context),
        shared_(context),
        volumes_(volumes),
        snapshots_(snapshots),
        alerts_(alerts),
        election_(context, kWork) {}
  ~Reconciler() { stop(); }

  void start(Duration period);
  void stop();

  // One pass over everything, if this node holds the election. Errors of single volumes are logged
  // and tried again in the next pass. kUnreachable: the store can't be read.
  Outcome<> run_once();

 private:
  void note_offline_nodes(const ClusterView& view);
  bool look_after_shared(const ClusterView& view);
  bool replace_lost(const ClusterView& view);
  std::optional<std::set<VolumeId>> volumes_served(NodeId id);
  void watch_nodes();
  void step(const VolumeView& volume, const ClusterView& view, FollowPlanner& planner);
  Outcome<> act(const VolumeView& volume, const ClusterView& view, FollowPlanner& planner);
  Outcome<> let_go(const VolumeView& volume, const ClusterView& view, const VolumePlan& plan);
  Outcome<> follow(const VolumeView& volume, const ClusterView& view, FollowPlanner& planner);
  Outcome<> finish_pending(const VolumeView& volume, const Topology& topology,
                           core::MemberIndex member);
  void finish_snapshots(const VolumeView& volume);
  void finish_tombstones();
  void retire_nodes(const ClusterView& view);
  Outcome<> forget_node(const NodeView& node, const ClusterView& view);

  static constexpr const char* kWork = "reconciler";
  const ControlContext& context_;
  VolumeOps ops_;
  SharedAttachments shared_;
  VolumeManager& volumes_;
  SnapshotManager& snapshots_;
  AlertBook& alerts_;
  Election election_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<VolumeId, uint64_t> device_lost_unix_ms_;  // of a primary that is online; since when
  bool stopping_ = false;
  bool hurry_ = false;    // a node's lease is gone
  bool lacking_ = false;  // a shared volume still has no primary, though it could
  std::unique_ptr<Watch> nodes_gone_;
  std::unique_ptr<Watch> holder_gone_;
  std::thread thread_;
};

}  // namespace cleat::control
