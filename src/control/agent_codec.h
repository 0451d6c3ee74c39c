// Between the plain values of node_types.h and their messages on the way to another cleatd.
#pragma once

#include "api/agent.pb.h"
#include "control/mount_port.h"
#include "control/node_types.h"

namespace cleat::control {

namespace agent = ::cleat::agent::v1;

agent::Usage to_agent(const UsageInfo& usage);
UsageInfo from_agent(const agent::Usage& usage);
agent::LocalReplica to_agent(const LocalReplica& replica);
LocalReplica from_agent(const agent::LocalReplica& replica);
agent::ReplicaUsage to_agent(const ReplicaUsage& replica);
ReplicaUsage from_agent(const agent::ReplicaUsage& replica);
agent::AttachedVolume to_agent(const AttachedVolume& volume);
AttachedVolume from_agent(const agent::AttachedVolume& volume);
agent::Runtime to_agent(VolumeId volume, const VolumeRuntime& runtime);
VolumeRuntime from_agent(const agent::Runtime& runtime);
agent::Stats to_agent(const VolumeStats& stats);
VolumeStats from_agent(const agent::Stats& stats);
agent::CheckResult to_agent(const CheckResult& check);
CheckResult from_agent(const agent::CheckResult& check);
agent::Pool to_agent(const PoolInfo& pool);
PoolInfo from_agent(const agent::Pool& pool);
meta::SnapshotRecord to_agent(const core::SnapshotRecord& snapshot);
core::SnapshotRecord from_agent(const meta::SnapshotRecord& snapshot);

}  // namespace cleat::control
