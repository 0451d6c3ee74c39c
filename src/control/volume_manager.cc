#include "control/volume_manager.h"

#include <algorithm>

#include "common/log.h"
#include "control/api_views.h"
#include "control/record_codec.h"
#include "control/typed_store.h"
#include "control/validate.h"

namespace cleat::control {
namespace {

bool has_labels(const google::protobuf::Map<std::string, std::string>& labels,
                const google::protobuf::Map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

bool concerns(const VolumeView& volume, NodeId node) {
  return volume.record.primary == node || volume.attachment_on(node) != nullptr ||
         std::any_of(volume.record.replicas.begin(), volume.record.replicas.end(),
                     [&](const auto& replica) { return replica.node == node; });
}

std::string asked_fs(const v1::CreateVolumeRequest& request) {
  if (request.fs().empty()) return "ext4";
  return request.fs() == "none" ? std::string{} : request.fs();
}

core::VolumeRecord make_record(VolumeId id, uint64_t size_bytes,
                               const std::vector<core::PlacementChoice>& places) {
  core::VolumeRecord record;
  record.id = id;
  record.size_blocks = size_bytes / kBlockSize;
  for (const auto& place : places) {
    auto index = static_cast<core::MemberIndex>(record.replicas.size());
    record.replicas.push_back({index, place.node, place.pool, core::ReplicaState::kInSync, {}});
  }
  return record;
}

}  // namespace

Outcome<meta::VolumeSpec> VolumeManager::make_spec(const v1::CreateVolumeRequest& request,
                                                   const Topology& topology) const {
  meta::VolumeSpec spec;
  spec.set_id(context_.new_id());
  spec.set_name(request.name());
  spec.set_state(meta::VolumeSpec::CREATING);
  spec.set_size_bytes(request.size_bytes());
  spec.set_ha_level(std::max(request.ha(), 1U));
  spec.set_fs(asked_fs(request));
  *spec.mutable_labels() = request.labels();
  spec.set_io_priority(to_text(request.io_priority()));
  spec.set_io_profile(to_text(request.io_profile()));
  spec.set_created_unix_ms(context_.now_unix_ms());
  spec.set_scale(std::max(request.scale(), 1U));
  for (const auto& node : request.nodes()) {
    OUTCOME_ASSIGN(NodeId id, topology.resolve(node));
    spec.add_hint_nodes(id.value);
  }
  for (const auto& node : request.nodes_allowed()) {
    OUTCOME_ASSIGN(NodeId id, topology.resolve(node));
    spec.add_allowed_nodes(id.value);
  }
  *spec.mutable_racks() = request.racks();
  *spec.mutable_zones() = request.zones();
  spec.set_pool_class(request.pool_class());
  spec.set_follow(request.follow());
  spec.set_shared(request.shared());
  return spec;
}

Outcome<v1::Volume> VolumeManager::create(const v1::CreateVolumeRequest& request) {
  OUTCOME_TRY(validate(request));
  OUTCOME_ASSIGN(auto taken, load<meta::Name>(context_.store, context_.keys.name(request.name())));
  if (taken && taken->value.snapshot() != 0) {
    return failure(Code::kAlreadyExists, "the name \"{}\" is taken by a snapshot", request.name());
  }
  if (taken) return create_again(request, VolumeId{taken->value.volume()});

  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  OUTCOME_ASSIGN(meta::VolumeSpec spec, make_spec(request, view.topology));
  core::PlacementRequest where;
  where.count = spec.ha_level();
  where.size_bytes = spec.size_bytes();
  for (uint64_t node : spec.hint_nodes()) where.preferred.push_back(NodeId{node});
  where.only_preferred = request.nodes_only() && !where.preferred.empty();
  if (where.preferred.empty()) where.preferred.push_back(context_.self);
  limit_places(spec, where);
  OUTCOME_ASSIGN(auto places, ops_.find_places(where, view));

  const VolumeId id{spec.id()};
  VolumeView volume;
  volume.record = make_record(id, spec.size_bytes(), places);
  volume.spec = std::move(spec);
  meta::Name name;
  name.set_volume(id.value);
  Txn txn;
  txn.require_absent(context_.keys.name(request.name()))
      .require_absent(context_.keys.spec(id))
      .require_absent(context_.keys.snapshot(SnapshotId{id.value}))
      .put(context_.keys.name(request.name()), name.SerializeAsString())
      .put(context_.keys.spec(id), volume.spec.SerializeAsString())
      .put(context_.keys.record(id), encode_record(volume.record));
  auto written = context_.store.commit(txn);
  if (!written && written.error().code == Code::kConflict) {
    return failure(Code::kConflict, "the name \"{}\" was just taken by another create",
                   request.name());
  }
  OUTCOME_TRY(written);
  volume.spec_revision = volume.record_revision = *written;
  OUTCOME_TRY(finish_create(volume));
  return show(id);
}

Outcome<> VolumeManager::finish_create(const VolumeView& volume) {
  const std::string spec = volume.spec.SerializeAsString();
  for (const auto& replica : volume.record.replicas) {
    OUTCOME_ASSIGN(auto node, context_.nodes.node(replica.node));
    auto made = node->ports().replicas.create(volume.record, replica.index, spec);
    if (made) continue;
    // Nothing is half there for long: what was made is taken back, by the reconciler if not now.
    auto undone = ops_.erase_volume(volume);
    if (!undone) LOG_WARN("create of {}: {}", volume.spec.name(), undone.error().message);
    return failure(made.error().code, "volume {} is not created, a replica failed: {}",
                   volume.spec.name(), made.error().message);
  }
  OUTCOME_TRY(control::update<meta::VolumeSpec>(context_.store, context_.keys.spec(volume.id()),
                                                [](auto& now) {
                                                  if (now.state() != meta::VolumeSpec::CREATING)
                                                    return false;
                                                  now.set_state(meta::VolumeSpec::UP);
                                                  return true;
                                                }));
  return {};
}

Outcome<v1::Volume> VolumeManager::create_again(const v1::CreateVolumeRequest& request,
                                                VolumeId existing) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, existing));
  const bool same = volume.spec.size_bytes() == request.size_bytes() &&
                    volume.spec.ha_level() == std::max(request.ha(), 1U) &&
                    volume.spec.fs() == asked_fs(request) &&
                    volume.spec.shared() == request.shared() &&
                    volume.spec.labels_size() == static_cast<int>(request.labels().size()) &&
                    has_labels(volume.spec.labels(), request.labels());
  if (!same) {
    return failure(
        Code::kAlreadyExists,
        "a volume named \"{}\" exists, with other values ({}, HA {}): choose another name, "
        "or delete it",
        request.name(), format_size(volume.spec.size_bytes()), volume.spec.ha_level());
  }
  if (volume.spec.state() == meta::VolumeSpec::CREATING) OUTCOME_TRY(finish_create(volume));
  return show(existing);
}

Outcome<v1::Volume> VolumeManager::show(VolumeId id) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, id));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  return to_api(volume, topology);
}

Outcome<v1::ListVolumesResponse> VolumeManager::list(const v1::ListVolumesRequest& request) {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  NodeId node;
  if (!request.node().empty()) {
    OUTCOME_ASSIGN(node, view.topology.resolve(request.node()));
  }
  VolumeRef parent;
  if (!request.parent().empty()) {
    OUTCOME_ASSIGN(parent, resolve_volume(context_, request.parent()));
  }
  v1::ListVolumesResponse out;
  auto named = [&](const std::string& name) {
    return request.name().empty() || request.name() == name;
  };
  for (const auto& [id, volume] : view.volumes) {
    if (node.value != 0 && !concerns(volume, node)) continue;
    const bool is_clone = parent.volume.value != 0 && volume.record.parent_volume == parent.volume;
    if (!request.only_snapshots() && (parent.volume.value == 0 || is_clone) &&
        named(volume.spec.name()) && has_labels(volume.spec.labels(), request.labels())) {
      *out.add_volumes() = to_api(volume, view.topology);
    }
    if (!request.with_snapshots() && !request.only_snapshots()) continue;
    if (parent.volume.value != 0 && id != parent.volume) continue;
    for (const auto& snapshot : volume.snapshots) {
      if (named(snapshot.name()) && has_labels(snapshot.labels(), request.labels())) {
        *out.add_volumes() = snapshot_to_api(volume, snapshot, view.topology);
      }
    }
  }
  std::sort(out.mutable_volumes()->pointer_begin(), out.mutable_volumes()->pointer_end(),
            [](const auto* a, const auto* b) { return a->name() < b->name(); });
  return out;
}

void VolumeManager::fill_from_nodes(const VolumeView& volume, const ClusterView& view,
                                    v1::Volume& out) {
  auto serving = ops_.serving_node(volume, view.topology);
  if (serving) {
    auto runtime = (*serving)->ports().inspect.runtime(volume.id());
    if (runtime) fill_runtime(out, *runtime, view.topology);
  }
  for (auto& replica : *out.mutable_replicas()) {
    const core::ReplicaRecord* record =
        volume.record.find(static_cast<core::MemberIndex>(replica.index()));
    if (record == nullptr || !view.topology.alive(record->node)) continue;
    auto node = context_.nodes.node(record->node);
    if (!node) continue;
    auto local = (*node)->ports().replicas.usage({volume.id()});
    if (!local) {
      replica.set_reachable(false);
      continue;
    }
    for (const auto& found : *local) {
      if (found.pool != record->pool) continue;
      *replica.mutable_usage() = to_api(found.usage);
      if (found.usage.used_bytes >= out.usage().used_bytes())
        *out.mutable_usage() = replica.usage();
    }
  }
  if (out.has_attachment()) fill_mounts(volume.record.primary, *out.mutable_attachment());
  for (auto& other : *out.mutable_shared_attachments()) {
    if (auto node = Keys::id_of(other.node_id())) fill_mounts(NodeId{*node}, other);
  }
}

void VolumeManager::fill_mounts(NodeId node, v1::Attachment& out) {
  if (out.device().empty() || !out.node_online()) return;
  auto handle = context_.nodes.node(node);
  if (!handle) return;
  auto places = (*handle)->mounts().mounts(out.device());
  if (!places) return;
  for (auto& mounted : *places) out.add_mount_paths(std::move(mounted.path));
}

Outcome<v1::Volume> VolumeManager::inspect(const v1::InspectVolumeRequest& request) {
  OUTCOME_ASSIGN(VolumeRef ref, resolve_volume(context_, request.volume()));
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  auto found = view.volumes.find(ref.volume);
  if (found == view.volumes.end()) {
    return failure(Code::kNotFound, "volume \"{}\" was deleted or its metadata can't be read",
                   request.volume());
  }
  const VolumeView& volume = found->second;
  auto add_clones = [&](v1::Volume& out, SnapshotId snapshot) {
    for (const auto* clone : view.clones_of(ref.volume, snapshot))
      out.add_clones(clone->spec.name());
  };
  if (ref.snapshot.value != 0) {
    for (const auto& snapshot : volume.snapshots) {
      if (snapshot.id() != ref.snapshot.value) continue;
      v1::Volume out = snapshot_to_api(volume, snapshot, view.topology);
      add_clones(out, ref.snapshot);
      return out;
    }
    return failure(Code::kNotFound, "snapshot \"{}\" was deleted", request.volume());
  }
  v1::Volume out = to_api(volume, view.topology);
  add_clones(out, {});
  for (const auto& snapshot : volume.snapshots) {
    *out.add_snapshots() = snapshot_to_api(volume, snapshot, view.topology);
  }
  auto parent = view.volumes.find(volume.record.parent_volume);
  if (parent != view.volumes.end()) {
    out.set_parent_volume(parent->second.spec.name());
    for (const auto& snapshot : parent->second.snapshots) {
      if (snapshot.id() == volume.record.parent_snapshot.value)
        out.set_parent_snapshot(snapshot.name());
    }
  }
  fill_from_nodes(volume, view, out);
  if (volume.spec.follow()) {
    const FollowPlanner planner(view, context_.limits, context_.now_unix_ms());
    out.set_following(ops_.plan_follow(volume, view.topology, planner).words);
  }
  return out;
}

Outcome<> VolumeManager::remove(const v1::DeleteVolumeRequest& request) {
  constexpr int kTries = 3;  // a heal that begins or ends meanwhile is no reason to fail
  for (int i = 1;; ++i) {
    auto done = remove_once(request);
    if (done || done.error().code != Code::kConflict || i == kTries) return done;
  }
}

Outcome<> VolumeManager::remove_once(const v1::DeleteVolumeRequest& request) {
  auto found = load_volume(context_, request.volume());
  if (!found && found.error().code == Code::kNotFound && request.allow_missing()) return {};
  OUTCOME_ASSIGN(VolumeView volume, std::move(found));
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  OUTCOME_TRY(may_delete(volume, view, request.with_snapshots()));
  if (volume.record.primary.value != 0) {
    OUTCOME_TRY(stop_healing(volume, view.topology));
    OUTCOME_ASSIGN(volume, load_volume(context_, volume.id()));
  }
  return ops_.erase_volume(volume);
}

Outcome<> VolumeManager::may_delete(const VolumeView& volume, const ClusterView& view,
                                    bool with_snapshots) const {
  const std::string& name = volume.spec.name();
  auto them = [](size_t count) { return count == 1 ? "it" : "them"; };
  auto plural = [](size_t count) { return count == 1 ? "" : "s"; };
  if (volume.in_use()) {
    return failure(Code::kBusy,
                   "volume {} is attached on {}: detach it first (`cleat host detach {}`)", name,
                   names_attached(volume, view.topology), name);
  }
  if (volume.spec.sticky()) return failure(Code::kBusy, "volume {} is protected (sticky)", name);
  auto clones = view.clones_of(volume.id());
  if (!clones.empty()) {
    return failure(Code::kBusy, "volume {} has {} clone{} ({}): delete {} first", name,
                   clones.size(), plural(clones.size()), clones.front()->spec.name(),
                   them(clones.size()));
  }
  const size_t snapshots = volume.snapshots.size();
  if (snapshots != 0 && !with_snapshots) {
    return failure(
        Code::kBusy,
        "volume {} has {} snapshot{} ({}): delete {} first, or delete it with its snapshots", name,
        snapshots, plural(snapshots), volume.snapshots.front().name(), them(snapshots));
  }
  return {};
}

// The record names a primary and nobody asked for a device: it is open to heal, which ends here.
Outcome<> VolumeManager::stop_healing(const VolumeView& volume, const Topology& topology) {
  const NodeId primary = volume.record.primary;
  if (!topology.alive(primary)) return {};
  OUTCOME_ASSIGN(auto node, context_.nodes.node(primary));
  auto runtime = node->ports().inspect.runtime(volume.id());
  if (runtime && runtime->attached) {
    return failure(Code::kBusy, "volume {} is attached on {}: detach it first", volume.spec.name(),
                   topology.name(primary));
  }
  if (!runtime && runtime.error().code == Code::kNotFound) return {};
  return node->ports().attach.detach(volume.id(), true);
}

}  // namespace cleat::control
