#include "control/agent_codec.h"

#include "control/record_codec.h"

namespace cleat::control {

agent::Usage to_agent(const UsageInfo& usage) {
  agent::Usage out;
  out.set_used_bytes(usage.used_bytes);
  out.set_shared_bytes(usage.shared_bytes);
  out.set_snapshot_bytes(usage.snapshot_bytes);
  out.set_reclaimable_bytes(usage.reclaimable_bytes);
  return out;
}

UsageInfo from_agent(const agent::Usage& usage) {
  return {usage.used_bytes(), usage.shared_bytes(), usage.snapshot_bytes(),
          usage.reclaimable_bytes()};
}

agent::LocalReplica to_agent(const LocalReplica& replica) {
  agent::LocalReplica out;
  out.set_volume(replica.volume.value);
  out.set_pool(replica.pool.value);
  out.set_size_blocks(replica.size_blocks);
  out.set_epoch(replica.epoch.value);
  out.set_catalog(replica.catalog);
  return out;
}

LocalReplica from_agent(const agent::LocalReplica& replica) {
  return {VolumeId{replica.volume()}, PoolId{replica.pool()}, replica.size_blocks(),
          Epoch{replica.epoch()}, replica.catalog()};
}

agent::ReplicaUsage to_agent(const ReplicaUsage& replica) {
  agent::ReplicaUsage out;
  out.set_volume(replica.volume.value);
  out.set_pool(replica.pool.value);
  out.set_size_blocks(replica.size_blocks);
  *out.mutable_usage() = to_agent(replica.usage);
  return out;
}

ReplicaUsage from_agent(const agent::ReplicaUsage& replica) {
  return {VolumeId{replica.volume()}, PoolId{replica.pool()}, replica.size_blocks(),
          from_agent(replica.usage())};
}

agent::AttachedVolume to_agent(const AttachedVolume& volume) {
  agent::AttachedVolume out;
  out.set_volume(volume.volume.value);
  out.set_frontend(static_cast<uint32_t>(volume.frontend));
  out.set_device(volume.device);
  out.set_uri(volume.uri);
  return out;
}

AttachedVolume from_agent(const agent::AttachedVolume& volume) {
  return {
      VolumeId{volume.volume()},
      volume.frontend() == static_cast<uint32_t>(Frontend::kNbd) ? Frontend::kNbd : Frontend::kFuse,
      volume.device(), volume.uri()};
}

agent::Runtime to_agent(VolumeId volume, const VolumeRuntime& runtime) {
  agent::Runtime out;
  out.set_volume(volume.value);
  out.set_open(runtime.open);
  out.set_attached(runtime.attached);
  out.set_device(runtime.device);
  out.set_uri(runtime.uri);
  out.set_epoch(runtime.epoch.value);
  for (auto member : runtime.in_sync) out.add_in_sync(member);
  for (auto member : runtime.unreachable) out.add_unreachable(member);
  for (const auto& resync : runtime.resyncs) {
    auto* entry = out.add_resyncs();
    entry->set_member(resync.member);
    entry->set_node(resync.node.value);
    entry->set_rebuild(resync.rebuild);
    entry->set_done_bytes(resync.done_bytes);
    entry->set_total_bytes(resync.total_bytes);
    entry->set_bytes_per_second(resync.bytes_per_second);
    entry->set_seconds_left(resync.seconds_left);
  }
  out.set_stalled(runtime.stalled);
  return out;
}

VolumeRuntime from_agent(const agent::Runtime& runtime) {
  VolumeRuntime out;
  out.open = runtime.open();
  out.attached = runtime.attached();
  out.device = runtime.device();
  out.uri = runtime.uri();
  out.epoch = Epoch{runtime.epoch()};
  for (auto member : runtime.in_sync())
    out.in_sync.push_back(static_cast<core::MemberIndex>(member));
  for (auto member : runtime.unreachable()) {
    out.unreachable.push_back(static_cast<core::MemberIndex>(member));
  }
  for (const auto& resync : runtime.resyncs()) {
    out.resyncs.push_back({static_cast<core::MemberIndex>(resync.member()), NodeId{resync.node()},
                           resync.rebuild(), resync.done_bytes(), resync.total_bytes(),
                           resync.bytes_per_second(), resync.seconds_left()});
  }
  out.stalled = runtime.stalled();
  return out;
}

agent::Stats to_agent(const VolumeStats& stats) {
  agent::Stats out;
  out.set_reads(stats.reads);
  out.set_read_bytes(stats.read_bytes);
  out.set_read_ns(stats.read_ns);
  out.set_writes(stats.writes);
  out.set_written_bytes(stats.written_bytes);
  out.set_write_ns(stats.write_ns);
  out.set_flushes(stats.flushes);
  out.set_flush_ns(stats.flush_ns);
  out.set_discards(stats.discards);
  out.set_discarded_bytes(stats.discarded_bytes);
  out.set_in_flight(stats.in_flight);
  out.set_read_repairs(stats.read_repairs);
  out.set_io_errors(stats.io_errors);
  return out;
}

VolumeStats from_agent(const agent::Stats& stats) {
  VolumeStats out;
  out.reads = stats.reads();
  out.read_bytes = stats.read_bytes();
  out.read_ns = stats.read_ns();
  out.writes = stats.writes();
  out.written_bytes = stats.written_bytes();
  out.write_ns = stats.write_ns();
  out.flushes = stats.flushes();
  out.flush_ns = stats.flush_ns();
  out.discards = stats.discards();
  out.discarded_bytes = stats.discarded_bytes();
  out.in_flight = stats.in_flight();
  out.read_repairs = stats.read_repairs();
  out.io_errors = stats.io_errors();
  return out;
}

agent::CheckResult to_agent(const CheckResult& check) {
  agent::CheckResult out;
  out.set_equal(check.equal);
  out.set_compared_bytes(check.compared_bytes);
  for (const auto& digest : check.replicas) {
    auto* entry = out.add_replicas();
    *entry->mutable_replica() =
        to_proto(core::ReplicaRecord{digest.member, digest.node, PoolId{}, digest.state, {}});
    entry->set_digest(digest.digest);
    entry->set_problem(digest.problem);
  }
  for (const auto& snapshot : check.snapshots) *out.add_snapshots() = to_agent(snapshot);
  return out;
}

CheckResult from_agent(const agent::CheckResult& check) {
  CheckResult out;
  out.equal = check.equal();
  out.compared_bytes = check.compared_bytes();
  for (const auto& digest : check.replicas()) {
    auto replica = from_proto(digest.replica());
    core::ReplicaRecord known = replica ? *replica : core::ReplicaRecord{};
    out.replicas.push_back(
        {known.index, known.node, known.state, digest.digest(), digest.problem()});
  }
  for (const auto& snapshot : check.snapshots()) out.snapshots.push_back(from_agent(snapshot));
  return out;
}

agent::Pool to_agent(const PoolInfo& pool) {
  agent::Pool out;
  out.set_pool(pool.pool.value);
  out.set_path(pool.path);
  out.set_pool_class(pool.pool_class);
  out.set_capacity_bytes(pool.capacity_bytes);
  out.set_used_bytes(pool.used_bytes);
  out.set_free_bytes(pool.free_bytes);
  out.set_failed(pool.failed);
  out.set_problem(pool.problem);
  return out;
}

PoolInfo from_agent(const agent::Pool& pool) {
  return {PoolId{pool.pool()}, pool.path(),       pool.pool_class(), pool.capacity_bytes(),
          pool.used_bytes(),   pool.free_bytes(), pool.failed(),     pool.problem()};
}

meta::SnapshotRecord to_agent(const core::SnapshotRecord& snapshot) {
  meta::SnapshotRecord out;
  out.set_id(snapshot.id.value);
  out.set_name(snapshot.name);
  out.set_created_unix_ms(snapshot.created_unix_ms);
  out.set_size_blocks(snapshot.size_blocks);
  return out;
}

core::SnapshotRecord from_agent(const meta::SnapshotRecord& snapshot) {
  return {SnapshotId{snapshot.id()}, snapshot.name(), snapshot.created_unix_ms(),
          snapshot.size_blocks()};
}

}  // namespace cleat::control
