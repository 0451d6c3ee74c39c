#include "node/ports.h"

#include "control/record_codec.h"

namespace cleat::node {

using control::failure;
using control::failure_from;
using control::Outcome;

namespace {

control::ResyncInfo to_info(const engine::ResyncProgress& progress, TimePoint now,
                            const core::VolumeRecord& record) {
  control::ResyncInfo info;
  info.member = progress.member;
  const core::ReplicaRecord* replica = record.find(progress.member);
  if (replica != nullptr) info.node = replica->node;
  info.rebuild = progress.rebuild;
  info.done_bytes = progress.done_bytes;
  info.total_bytes = progress.total_bytes;
  double seconds = std::chrono::duration<double>(now - progress.started).count();
  if (seconds > 0) {
    info.bytes_per_second = static_cast<uint64_t>(static_cast<double>(info.done_bytes) / seconds);
  }
  if (info.bytes_per_second > 0) {
    info.seconds_left = (info.total_bytes - info.done_bytes) / info.bytes_per_second;
  }
  return info;
}

control::VolumeRuntime runtime_of(engine::Volume& volume, const control::AttachedVolume* device) {
  control::VolumeRuntime runtime;
  engine::VolumeStatus status = volume.status();
  runtime.open = true;
  runtime.attached = device != nullptr;
  if (device != nullptr) {
    runtime.device = device->device;
    runtime.uri = device->uri;
  }
  runtime.epoch = volume.record().epoch;
  for (core::MemberIndex member : status.in_sync) runtime.in_sync.push_back(member);
  for (core::MemberIndex member : status.unreachable) runtime.unreachable.push_back(member);
  if (status.resync.member != core::kNoMember) {
    runtime.resyncs.push_back(to_info(status.resync, status.now, volume.record()));
  }
  runtime.stalled = status.stalled;
  return runtime;
}

}  // namespace

Outcome<> Replicas::create(const core::VolumeRecord& record, core::MemberIndex member,
                           const std::string& spec) {
  std::string catalog = control::catalog_record(spec, record);
  return plane_.thread().call<Outcome<>>([this, &record, member, &catalog] {
    return plane_.pools().create_replica(record, member, catalog);
  });
}

Outcome<> Replicas::set_spec(VolumeId volume, const std::string& spec) {
  return plane_.thread().call<Outcome<>>(
      [this, volume, &spec] { return plane_.pools().set_spec(volume, spec); });
}

Outcome<> Replicas::remove(VolumeId volume, PoolId pool) {
  bool open =
      plane_.thread().ask([this, volume] { return plane_.attachments().find(volume) != nullptr; });
  if (open) {
    return failure(Code::kBusy, "volume {} is open on this node: detach it first", volume.value);
  }
  return plane_.thread().call<Outcome<>>(
      [this, volume, pool] { return plane_.pools().remove_replica(volume, pool); });
}

Outcome<std::vector<control::LocalReplica>> Replicas::list() {
  return plane_.thread().ask([this] { return plane_.pools().replicas(); });
}

Outcome<std::vector<control::ReplicaUsage>> Replicas::usage(const std::vector<VolumeId>& volumes) {
  return plane_.thread().call<std::vector<control::ReplicaUsage>>(
      [this, &volumes] { return plane_.pools().usage(volumes); });
}

Outcome<control::AttachedVolume> Attaching::attach(VolumeId volume,
                                                   const control::AttachOptions& options) {
  return plane_.thread().call<Outcome<control::AttachedVolume>>(
      [this, volume, &options] { return plane_.attachments().attach(volume, options); });
}

Outcome<> Attaching::detach(VolumeId volume, bool force) {
  return plane_.thread().call<Outcome<>>(
      [this, volume, force] { return plane_.attachments().detach(volume, force); });
}

Outcome<> Attaching::heal(VolumeId volume) {
  return plane_.thread().call<Outcome<>>(
      [this, volume] { return plane_.attachments().heal(volume); });
}

Outcome<std::vector<control::AttachedVolume>> Attaching::attached() {
  return plane_.thread().ask([this] { return plane_.attachments().attached(); });
}

Outcome<> Attaching::expel(VolumeId volume, NodeId node) {
  return plane_.thread().call<Outcome<>>(
      [this, volume, node] { return plane_.attachments().expel(volume, node); });
}

Outcome<> Attaching::refresh_size(VolumeId volume) {
  return plane_.thread().call<Outcome<>>(
      [this, volume] { return plane_.attachments().resized(volume); });
}

Outcome<> Volumes::snapshot(VolumeId volume, const core::SnapshotRecord& snapshot) {
  Attachments::Change change = [&snapshot](engine::Volume& open) {
    return open.snapshot(snapshot);
  };
  return plane_.thread().call<Outcome<>>(
      [this, volume, &change] { return plane_.attachments().with_volume(volume, change); });
}

Outcome<> Volumes::delete_snapshot(VolumeId volume, SnapshotId snapshot) {
  Attachments::Change change = [snapshot](engine::Volume& open) {
    return open.delete_snapshot(snapshot);
  };
  return plane_.thread().call<Outcome<>>(
      [this, volume, &change] { return plane_.attachments().with_volume(volume, change); });
}

Outcome<> Volumes::restore(VolumeId volume, SnapshotId snapshot) {
  Attachments::Change change = [snapshot](engine::Volume& open) { return open.restore(snapshot); };
  return plane_.thread().call<Outcome<>>([this, volume, &change] {
    return plane_.attachments().with_detached_volume(volume, change);
  });
}

Outcome<> Volumes::resize(VolumeId volume, uint64_t size_blocks) {
  Attachments::Change change = [size_blocks](engine::Volume& open) {
    return open.resize(size_blocks);
  };
  OUTCOME_TRY(plane_.thread().call<Outcome<>>(
      [this, volume, &change] { return plane_.attachments().with_volume(volume, change); }));
  return plane_.thread().call<Outcome<>>(
      [this, volume] { return plane_.attachments().resized(volume); });
}

Outcome<> Volumes::add_replica(VolumeId volume, const core::ReplicaRecord& replica) {
  Attachments::Change change = [&replica](engine::Volume& open) {
    return open.add_replica(replica);
  };
  return plane_.thread().call<Outcome<>>(
      [this, volume, &change] { return plane_.attachments().with_volume(volume, change, true); });
}

Outcome<> Volumes::remove_replica(VolumeId volume, core::MemberIndex member,
                                  uint32_t in_sync_left_min) {
  Attachments::Change change = [member, in_sync_left_min](engine::Volume& open) {
    return open.remove_replica(member, in_sync_left_min);
  };
  return plane_.thread().call<Outcome<>>(
      [this, volume, &change] { return plane_.attachments().with_volume(volume, change); });
}

Outcome<> Holds::hold(VolumeId volume, uint64_t hold, Duration hold_max) {
  return plane_.thread().call<Outcome<>>([this, volume, hold, hold_max] {
    return plane_.attachments().hold_writes(volume, hold, hold_max);
  });
}

Outcome<> Holds::release(VolumeId volume, uint64_t hold) {
  return plane_.thread().ask(
      [this, volume, hold] { return plane_.attachments().release_writes(volume, hold); });
}

Outcome<control::VolumeRuntime> Inspecting::runtime(VolumeId volume) {
  return plane_.thread().ask([this, volume]() -> Outcome<control::VolumeRuntime> {
    if (plane_.attachments().is_attaching(volume)) {
      return failure(Code::kBusy, "volume {} is being attached here", volume.value);
    }
    engine::Volume* open = plane_.attachments().find(volume);
    if (open == nullptr)
      return failure(Code::kNotFound, "volume {} is not open here", volume.value);
    return runtime_of(*open, plane_.attachments().device(volume));
  });
}

Outcome<control::VolumeStats> Inspecting::stats(VolumeId volume) {
  return plane_.thread().ask([this, volume]() -> Outcome<control::VolumeStats> {
    engine::Volume* open = plane_.attachments().find(volume);
    if (open == nullptr)
      return failure(Code::kNotFound, "volume {} is not open here", volume.value);
    const engine::VolumeCounters& counted = open->counters();
    control::VolumeStats stats;
    stats.reads = counted.reads;
    stats.read_bytes = counted.read_bytes;
    stats.read_ns = counted.read_ns;
    stats.writes = counted.writes;
    stats.written_bytes = counted.written_bytes;
    stats.write_ns = counted.write_ns;
    stats.flushes = counted.flushes;
    stats.flush_ns = counted.flush_ns;
    stats.discards = counted.discards;
    stats.discarded_bytes = counted.discarded_bytes;
    stats.in_flight = open->status().in_flight;
    stats.read_repairs = counted.read_repairs;
    stats.io_errors = counted.io_errors;
    return stats;
  });
}

Outcome<std::vector<std::pair<VolumeId, control::VolumeRuntime>>> Inspecting::runtimes() {
  return plane_.thread().ask([this] {
    std::vector<std::pair<VolumeId, control::VolumeRuntime>> all;
    for (VolumeId id : plane_.attachments().open_volumes()) {
      engine::Volume* open = plane_.attachments().find(id);
      all.emplace_back(id, runtime_of(*open, plane_.attachments().device(id)));
    }
    return all;
  });
}

namespace {

io::Task<Result<void>> run_check(engine::Volume& volume, control::CheckResult& result) {
  CO_TRY_ASSIGN(engine::CheckReport report, co_await volume.check());
  result.equal = report.equal;
  result.compared_bytes = report.compared_bytes;
  for (const engine::ReplicaDigest& digest : report.replicas) {
    control::ReplicaDigest replica;
    replica.member = digest.member;
    const core::ReplicaRecord* record = volume.record().find(digest.member);
    if (record != nullptr) {
      replica.node = record->node;
      replica.state = record->state;
    }
    replica.problem = digest.problem;
    if (digest.problem.empty()) replica.digest = fmt::format("{:016x}", digest.digest);
    result.replicas.push_back(std::move(replica));
  }
  co_return Result<void>{};
}

}  // namespace

Outcome<control::CheckResult> Inspecting::check(VolumeId volume) {
  control::CheckResult result;
  Attachments::Change change = [&result](engine::Volume& open) { return run_check(open, result); };
  OUTCOME_TRY(plane_.thread().call<Outcome<>>(
      [this, volume, &change] { return plane_.attachments().with_volume(volume, change); }));
  return result;
}

Outcome<control::PoolInfo> Pools::create(PoolId pool, const control::PoolCreate& options) {
  return plane_.thread().call<Outcome<control::PoolInfo>>(
      [this, pool, &options] { return plane_.pools().create(pool, options); });
}

Outcome<> Pools::remove(PoolId pool) {
  return plane_.thread().call<Outcome<>>([this, pool] { return plane_.pools().remove(pool); });
}

Outcome<std::vector<control::PoolInfo>> Pools::list() {
  return plane_.thread().ask([this] { return plane_.pools().list(); });
}

}  // namespace cleat::node
