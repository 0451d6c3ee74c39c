#include "control/api_views.h"

#include <algorithm>

namespace cleat::control {
namespace {

constexpr uint32_t kDataPort = 9470;
constexpr uint32_t kControlPort = 9471;
constexpr uint64_t kPoolReserveBytes = 64ULL << 20;

api::ReplicaState to_api(core::ReplicaState state) {
  switch (state) {
    case core::ReplicaState::kInSync: return api::REPLICA_STATE_IN_SYNC;
    case core::ReplicaState::kStale: return api::REPLICA_STATE_STALE;
    case core::ReplicaState::kNew: return api::REPLICA_STATE_NEW;
  }
  return api::REPLICA_STATE_UNSPECIFIED;
}

api::VolumeStatus status_of(const VolumeView& volume, const Topology& topology) {
  uint32_t usable = usable_count(volume, topology);
  if (usable == 0) return api::VOLUME_STATUS_DOWN;
  const bool served = volume.attached() && topology.alive(volume.record.primary);
  if (volume.in_use() && !served) return api::VOLUME_STATUS_DOWN;
  return usable < volume.spec.ha_level() ? api::VOLUME_STATUS_DEGRADED : api::VOLUME_STATUS_UP;
}

api::VolumeState state_of(const VolumeView& volume) {
  switch (volume.spec.state()) {
    case meta::VolumeSpec::CREATING: return api::VOLUME_STATE_CREATING;
    case meta::VolumeSpec::DELETING: return api::VOLUME_STATE_DELETING;
    default: break;
  }
  return volume.in_use() ? api::VOLUME_STATE_ATTACHED : api::VOLUME_STATE_DETACHED;
}

void fill_attachments(const VolumeView& volume, const Topology& topology, api::Volume& out) {
  for (NodeId other : volume.nodes_attached()) {
    auto* to = volume.attached() && other == volume.record.primary ? out.mutable_attachment()
                                                                   : out.add_shared_attachments();
    *to = to_api(*volume.attachment_on(other), topology);
  }
  if (!volume.attached()) return;
  const NodeId node = volume.record.primary;
  out.set_data_local(std::any_of(
      volume.record.replicas.begin(), volume.record.replicas.end(), [&](const auto& replica) {
        return replica.node == node && replica.state == core::ReplicaState::kInSync;
      }));
}

void fill_replica(const core::ReplicaRecord& replica, const Topology& topology, api::Replica& out) {
  out.set_index(replica.index);
  out.set_node(topology.name(replica.node));
  out.set_node_id(Keys::text(replica.node.value));
  out.set_address(topology.address(replica.node));
  out.set_pool_id(Keys::text(replica.pool.value));
  auto pool = topology.pools.find(replica.pool);
  bool failed = pool != topology.pools.end() && pool->second.failed();
  if (pool != topology.pools.end()) {
    out.set_pool_path(pool->second.path());
    out.set_pool_class(pool->second.pool_class());
  }
  out.set_state(to_api(replica.state));
  out.set_reachable(topology.alive(replica.node) && !failed);
}

}  // namespace

uint32_t usable_count(const VolumeView& volume, const Topology& topology) {
  return static_cast<uint32_t>(std::count_if(
      volume.record.replicas.begin(), volume.record.replicas.end(), [&](const auto& replica) {
        return replica.state == core::ReplicaState::kInSync && topology.alive(replica.node);
      }));
}

std::string names_attached(const VolumeView& volume, const Topology& topology) {
  std::string out;
  for (NodeId node : volume.nodes_attached())
    out += (out.empty() ? "" : ", ") + topology.name(node);
  return out;
}

api::Attachment to_api(const meta::Attachment& attachment, const Topology& topology) {
  const NodeId node{attachment.node()};
  api::Attachment out;
  out.set_node(topology.name(node));
  out.set_node_id(Keys::text(node.value));
  out.set_address(topology.address(node));
  out.set_frontend(attachment.frontend() == static_cast<uint32_t>(Frontend::kNbd)
                       ? api::FRONTEND_NBD
                       : api::FRONTEND_FUSE);
  out.set_device(attachment.device());
  out.set_uri(attachment.uri());
  out.set_node_online(topology.alive(node));
  return out;
}

api::Volume to_api(const VolumeView& volume, const Topology& topology) {
  const auto& spec = volume.spec;
  api::Volume out;
  out.set_id(Keys::text(spec.id()));
  out.set_name(spec.name());
  out.set_size_bytes(volume.record.size_blocks * kBlockSize);
  out.set_ha(spec.ha_level());
  out.set_fs(spec.fs().empty() ? "none" : spec.fs());
  *out.mutable_labels() = spec.labels();
  out.set_shared(spec.shared());
  out.set_encrypted(spec.encrypted());
  out.set_io_priority(priority_of(spec.io_priority()));
  out.set_io_profile(profile_of(spec.io_profile()));
  out.set_scale(std::max(spec.scale(), 1U));
  out.set_status(status_of(volume, topology));
  out.set_state(state_of(volume));
  out.set_data_local(true);
  fill_attachments(volume, topology, out);
  for (const auto& replica : volume.record.replicas) {
    fill_replica(replica, topology, *out.add_replicas());
  }
  out.set_snapshot_count(static_cast<uint32_t>(volume.snapshots.size()));
  if (volume.record.parent_volume.value != 0) {
    out.set_parent_volume(Keys::text(volume.record.parent_volume.value));
    out.set_parent_snapshot(Keys::text(volume.record.parent_snapshot.value));
  }
  out.set_epoch(volume.record.epoch.value);
  out.set_created_unix_ms(static_cast<int64_t>(spec.created_unix_ms()));
  out.set_last_attached_unix_ms(static_cast<int64_t>(spec.attached_unix_ms()));
  out.set_clean(volume.record.clean);
  out.set_follow(spec.follow());
  for (uint64_t node : spec.allowed_nodes()) out.add_nodes_allowed(topology.name(NodeId{node}));
  for (uint64_t node : spec.hint_nodes()) out.add_nodes_hint(topology.name(NodeId{node}));
  if (spec.fs_to_grow()) {
    out.set_fs_growth(fmt::format(
        "smaller than the volume: it grows at the next `cleat host mount {}`", spec.name()));
  }
  return out;
}

api::Volume snapshot_to_api(const VolumeView& volume, const meta::Snapshot& snapshot,
                            const Topology& topology) {
  api::Volume out;
  out.set_id(Keys::text(snapshot.id()));
  out.set_name(snapshot.name());
  out.set_size_bytes(volume.record.size_blocks * kBlockSize);
  for (const auto& layer : volume.record.snapshots) {
    if (layer.id.value == snapshot.id()) out.set_size_bytes(layer.size_blocks * kBlockSize);
  }
  out.set_ha(volume.spec.ha_level());
  out.set_fs(volume.spec.fs().empty() ? "none" : volume.spec.fs());
  *out.mutable_labels() = snapshot.labels();
  out.set_io_priority(priority_of(volume.spec.io_priority()));
  out.set_scale(1);
  out.set_status(status_of(volume, topology));
  out.set_state(snapshot.state() == meta::Snapshot::CREATING   ? api::VOLUME_STATE_CREATING
                : snapshot.state() == meta::Snapshot::DELETING ? api::VOLUME_STATE_DELETING
                                                               : api::VOLUME_STATE_DETACHED);
  out.set_data_local(true);
  out.set_snapshot_of(volume.spec.name());
  out.set_snapshot_of_id(Keys::text(snapshot.volume()));
  if (snapshot.group() != 0) out.set_snapshot_group(Keys::text(snapshot.group()));
  out.set_created_unix_ms(static_cast<int64_t>(snapshot.created_unix_ms()));
  out.set_clean(true);
  return out;
}

api::ResyncProgress to_api(const ResyncInfo& resync, const std::string& volume,
                           const Topology& topology) {
  api::ResyncProgress out;
  out.set_volume(volume);
  out.set_to_node(topology.name(resync.node));
  out.set_rebuild(resync.rebuild);
  double total = static_cast<double>(std::max<uint64_t>(resync.total_bytes, 1));
  out.set_percent(std::min(100.0, 100.0 * static_cast<double>(resync.done_bytes) / total));
  out.set_done_bytes(resync.done_bytes);
  out.set_total_bytes(resync.total_bytes);
  out.set_bytes_per_second(resync.bytes_per_second);
  out.set_seconds_left(resync.seconds_left);
  return out;
}

void fill_runtime(api::Volume& out, const VolumeRuntime& runtime, const Topology& topology) {
  out.set_stalled(runtime.stalled);
  if (out.has_attachment() && runtime.attached) {
    out.mutable_attachment()->set_device(runtime.device);
    out.mutable_attachment()->set_uri(runtime.uri);
  }
  for (auto& replica : *out.mutable_replicas()) {
    for (const auto& resync : runtime.resyncs) {
      if (resync.member == replica.index()) {
        *replica.mutable_resync() = to_api(resync, out.name(), topology);
      }
    }
    auto member = static_cast<core::MemberIndex>(replica.index());
    if (std::find(runtime.unreachable.begin(), runtime.unreachable.end(), member) !=
        runtime.unreachable.end()) {
      replica.set_reachable(false);
    }
  }
}

api::Usage to_api(const UsageInfo& usage) {
  api::Usage out;
  out.set_used_bytes(usage.used_bytes);
  out.set_shared_bytes(usage.shared_bytes);
  out.set_snapshot_bytes(usage.snapshot_bytes);
  out.set_reclaimable_bytes(usage.reclaimable_bytes);
  return out;
}

api::Pool to_api(const meta::Pool& pool, const Topology& topology) {
  api::Pool out;
  NodeId node{pool.node()};
  out.set_id(Keys::text(pool.id()));
  out.set_node(topology.name(node));
  out.set_node_id(Keys::text(node.value));
  out.set_path(pool.path());
  out.set_pool_class(pool.pool_class());
  out.set_problem(pool.problem());
  if (!topology.alive(node)) {
    out.set_state(api::POOL_STATE_OFFLINE);
    out.set_problem(fmt::format("node {} is offline", topology.name(node)));
  } else if (pool.failed()) {
    out.set_state(api::POOL_STATE_FAILED);
  } else if (pool.free_bytes() < kPoolReserveBytes) {
    out.set_state(api::POOL_STATE_FULL);
    if (pool.problem().empty()) out.set_problem("the pool is full: writes that need space fail");
  } else {
    out.set_state(api::POOL_STATE_ONLINE);
  }
  out.mutable_capacity()->set_total_bytes(pool.capacity_bytes());
  out.mutable_capacity()->set_used_bytes(pool.used_bytes());
  out.mutable_capacity()->set_free_bytes(pool.free_bytes());
  return out;
}

void add(api::Capacity& sum, const api::Capacity& part) {
  sum.set_total_bytes(sum.total_bytes() + part.total_bytes());
  sum.set_used_bytes(sum.used_bytes() + part.used_bytes());
  sum.set_free_bytes(sum.free_bytes() + part.free_bytes());
  sum.set_provisioned_bytes(sum.provisioned_bytes() + part.provisioned_bytes());
}

api::Node to_api(const NodeView& node, const ClusterView& view) {
  const auto& from = node.node;
  NodeId id{from.id()};
  api::Node out;
  out.set_id(Keys::text(id.value));
  out.set_name(from.name());
  out.set_address(from.address());
  out.set_rack(from.rack());
  out.set_zone(from.zone());
  out.set_version(from.version());
  out.set_kernel(from.kernel());
  out.set_started_unix_ms(static_cast<int64_t>(from.started_unix_ms()));
  out.set_last_seen_unix_ms(static_cast<int64_t>(from.last_seen_unix_ms()));
  out.set_data_port(kDataPort);
  out.set_control_port(from.control_port() != 0 ? from.control_port() : kControlPort);
  out.set_state(from.decommissioning() ? api::NODE_STATE_DECOMMISSIONING
                : !node.alive          ? api::NODE_STATE_OFFLINE
                : from.maintenance()   ? api::NODE_STATE_MAINTENANCE
                                       : api::NODE_STATE_ONLINE);
  out.set_health(node.alive ? api::HEALTH_OK : api::HEALTH_DOWN);
  if (!node.alive) out.set_problem("it does not answer: its lease in etcd ran out");
  for (const auto& [pool_id, pool] : view.topology.pools) {
    if (pool.node() != id.value) continue;
    api::Pool& to = *out.add_pools() = to_api(pool, view.topology);
    add(*out.mutable_capacity(), to.capacity());
    if (pool.failed() && node.alive) {
      out.set_health(api::HEALTH_DEGRADED);
      out.set_problem(fmt::format("pool {} has failed: {}", pool.path(), pool.problem()));
    }
  }
  uint64_t provisioned = 0;
  for (const auto& [volume_id, volume] : view.volumes) {
    if (volume.attachment_on(id) != nullptr) {
      out.set_attached_count(out.attached_count() + 1);
    }
    for (const auto& replica : volume.record.replicas) {
      if (replica.node != id) continue;
      out.set_replica_count(out.replica_count() + 1);
      provisioned += volume.record.size_blocks * kBlockSize;
      for (auto& pool : *out.mutable_pools()) {
        if (pool.id() != Keys::text(replica.pool.value)) continue;
        pool.set_replica_count(pool.replica_count() + 1);
        auto* capacity = pool.mutable_capacity();
        capacity->set_provisioned_bytes(capacity->provisioned_bytes() +
                                        volume.record.size_blocks * kBlockSize);
      }
    }
  }
  out.mutable_capacity()->set_provisioned_bytes(provisioned);
  return out;
}

api::Alert to_api(const meta::Alert& alert) {
  api::Alert out;
  out.set_id(alert.key());
  out.set_severity(static_cast<api::AlertSeverity>(alert.severity()));
  out.set_kind(alert.type());
  out.set_resource(alert.subject());
  out.set_resource_kind(alert.subject_kind());
  out.set_message(alert.message());
  out.set_raised_unix_ms(static_cast<int64_t>(alert.raised_unix_ms()));
  out.set_last_seen_unix_ms(static_cast<int64_t>(alert.last_unix_ms()));
  out.set_count(alert.count());
  out.set_cleared_unix_ms(static_cast<int64_t>(alert.cleared_unix_ms()));
  return out;
}

std::string to_text(api::IoPriority priority) {
  switch (priority) {
    case api::IO_PRIORITY_LOW: return "low";
    case api::IO_PRIORITY_MEDIUM: return "medium";
    case api::IO_PRIORITY_HIGH: return "high";
    default: return {};
  }
}

api::IoPriority priority_of(const std::string& text) {
  if (text == "high") return api::IO_PRIORITY_HIGH;
  if (text == "medium") return api::IO_PRIORITY_MEDIUM;
  return api::IO_PRIORITY_LOW;
}

std::string to_text(api::IoProfile profile) {
  switch (profile) {
    case api::IO_PROFILE_AUTO: return "auto";
    case api::IO_PROFILE_SEQUENTIAL: return "sequential";
    case api::IO_PROFILE_RANDOM: return "random";
    case api::IO_PROFILE_DB: return "db";
    default: return {};
  }
}

api::IoProfile profile_of(const std::string& text) {
  if (text == "sequential") return api::IO_PROFILE_SEQUENTIAL;
  if (text == "random") return api::IO_PROFILE_RANDOM;
  if (text == "db") return api::IO_PROFILE_DB;
  return api::IO_PROFILE_AUTO;
}

}  // namespace cleat::control
