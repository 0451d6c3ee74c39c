// control's ports on this node's data plane: each call goes to the loop and waits for it.
//
// Threading: any control thread. Ownership: borrows the data plane.
#pragma once

#include "control/node_port.h"
#include "node/data_plane.h"

namespace cleat::node {

class Replicas final : public control::ReplicaPort {
 public:
  explicit Replicas(DataPlane& plane) : plane_(plane) {}
  control::Outcome<> create(const core::VolumeRecord& record, core::MemberIndex member,
                            const std::string& spec) override;
  control::Outcome<> remove(VolumeId volume, PoolId pool) override;
  control::Outcome<> set_spec(VolumeId volume, const std::string& spec) override;
  control::Outcome<std::vector<control::LocalReplica>> list() override;
  control::Outcome<std::vector<control::ReplicaUsage>> usage(
      const std::vector<VolumeId>& volumes) override;

 private:
  DataPlane& plane_;
};

class Attaching final : public control::AttachPort {
 public:
  explicit Attaching(DataPlane& plane) : plane_(plane) {}
  control::Outcome<control::AttachedVolume> attach(VolumeId volume,
                                                   const control::AttachOptions& options) override;
  control::Outcome<> detach(VolumeId volume, bool force) override;
  control::Outcome<> heal(VolumeId volume) override;
  control::Outcome<std::vector<control::AttachedVolume>> attached() override;
  control::Outcome<> expel(VolumeId volume, NodeId node) override;
  control::Outcome<> refresh_size(VolumeId volume) override;

 private:
  DataPlane& plane_;
};

class Volumes final : public control::VolumePort {
 public:
  explicit Volumes(DataPlane& plane) : plane_(plane) {}
  control::Outcome<> snapshot(VolumeId volume, const core::SnapshotRecord& snapshot) override;
  control::Outcome<> delete_snapshot(VolumeId volume, SnapshotId snapshot) override;
  control::Outcome<> restore(VolumeId volume, SnapshotId snapshot) override;
  control::Outcome<> resize(VolumeId volume, uint64_t size_blocks) override;
  control::Outcome<> add_replica(VolumeId volume, const core::ReplicaRecord& replica) override;
  control::Outcome<> remove_replica(VolumeId volume, core::MemberIndex member,
                                    uint32_t in_sync_left_min) override;

 private:
  DataPlane& plane_;
};

class Holds final : public control::HoldPort {
 public:
  explicit Holds(DataPlane& plane) : plane_(plane) {}
  control::Outcome<> hold(VolumeId volume, uint64_t hold, Duration hold_max) override;
  control::Outcome<> release(VolumeId volume, uint64_t hold) override;

 private:
  DataPlane& plane_;
};

class Inspecting final : public control::InspectPort {
 public:
  explicit Inspecting(DataPlane& plane) : plane_(plane) {}
  control::Outcome<control::VolumeRuntime> runtime(VolumeId volume) override;
  control::Outcome<control::VolumeStats> stats(VolumeId volume) override;
  control::Outcome<std::vector<std::pair<VolumeId, control::VolumeRuntime>>> runtimes() override;
  control::Outcome<control::CheckResult> check(VolumeId volume) override;

 private:
  DataPlane& plane_;
};

class Pools final : public control::PoolPort {
 public:
  explicit Pools(DataPlane& plane) : plane_(plane) {}
  control::Outcome<control::PoolInfo> create(PoolId pool,
                                             const control::PoolCreate& options) override;
  control::Outcome<> remove(PoolId pool) override;
  control::Outcome<std::vector<control::PoolInfo>> list() override;

 private:
  DataPlane& plane_;
};

}  // namespace cleat::node
