#include "control/snapshot_manager.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <ctime>

#include "common/log.h"
#include "control/api_views.h"
#include "control/record_codec.h"
#include "control/typed_store.h"
#include "control/validate.h"

namespace cleat::control {
namespace {

bool has_layer(const VolumeView& volume, uint64_t snapshot) {
  return std::any_of(volume.record.snapshots.begin(), volume.record.snapshots.end(),
                     [&](const auto& layer) { return layer.id.value == snapshot; });
}

}  // namespace

std::string default_snapshot_name(const std::string& volume, uint64_t now_unix_ms) {
  auto seconds = static_cast<std::time_t>(now_unix_ms / 1000);
  return fmt::format("{}.snap-{:%Y%m%d-%H%M%S}", volume, fmt::gmtime(seconds));
}

Outcome<v1::Volume> SnapshotManager::create(const v1::CreateSnapshotRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  meta::Snapshot snapshot;
  snapshot.set_id(context_.new_id());
  snapshot.set_volume(volume.id().value);
  snapshot.set_created_unix_ms(context_.now_unix_ms());
  snapshot.set_name(request.name().empty()
                        ? default_snapshot_name(volume.spec.name(), snapshot.created_unix_ms())
                        : request.name());
  *snapshot.mutable_labels() = request.labels();
  snapshot.set_state(meta::Snapshot::CREATING);
  OUTCOME_TRY(validate_name(snapshot.name(), "snapshot"));
  OUTCOME_TRY(validate_labels(request.labels()));
  if (volume.snapshots.size() >= context_.limits.snapshots_per_volume) {
    return failure(Code::kLimit,
                   "volume {} has {} snapshots already, which is the limit: delete some",
                   volume.spec.name(), volume.snapshots.size());
  }
  const SnapshotId id{snapshot.id()};
  meta::Name name;
  name.set_volume(volume.id().value);
  name.set_snapshot(id.value);
  // The spec is written again as it is, so that a deletion of the volume under way loses its
  // compare.
  auto reserved = context_.store.commit(
      Txn{}
          .require_absent(context_.keys.name(snapshot.name()))
          .require(context_.keys.spec(volume.id()), volume.spec_revision)
          .put(context_.keys.name(snapshot.name()), name.SerializeAsString())
          .put(context_.keys.snapshot(id), snapshot.SerializeAsString())
          .put(context_.keys.spec(volume.id()), volume.spec.SerializeAsString()));
  if (!reserved && reserved.error().code == Code::kConflict) {
    return existing(volume, snapshot.name());
  }
  OUTCOME_TRY(reserved);
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  core::SnapshotRecord layer{id, snapshot.name(), snapshot.created_unix_ms(),
                             volume.record.size_blocks};
  auto serving = ops_.serving_node(volume, topology);
  Outcome<> frozen = serving ? (*serving)->ports().volumes.snapshot(volume.id(), layer)
                             : Outcome<>(tl::unexpected(serving.error()));
  if (!frozen) {
    if (frozen.error().code != Code::kTimedOut) {
      auto undone = finish(volume, snapshot);
      if (!undone) LOG_INFO("snapshot {}: {}", snapshot.name(), undone.error().message);
    }
    return failure(frozen.error().code, "snapshot {} is not made: {}", snapshot.name(),
                   frozen.error().message);
  }
  OUTCOME_TRY(update<meta::Snapshot>(context_.store, context_.keys.snapshot(id), [&](auto& now) {
    now.set_state(meta::Snapshot::UP);
    snapshot = now;
    return true;
  }));
  OUTCOME_ASSIGN(volume, load_volume(context_, volume.id()));
  return snapshot_to_api(volume, snapshot, topology);
}

// For a repeated call. One that is not made yet may still be undone: nobody is told of it.
Outcome<v1::Volume> SnapshotManager::existing(const VolumeView& volume, const std::string& name) {
  OUTCOME_ASSIGN(auto taken, load<meta::Name>(context_.store, context_.keys.name(name)));
  if (!taken) {
    return failure(Code::kConflict, "volume {} was just changed: try again", volume.spec.name());
  }
  if (taken->value.volume() != volume.id().value || taken->value.snapshot() == 0) {
    return failure(Code::kAlreadyExists, "the name \"{}\" is taken", name);
  }
  const SnapshotId id{taken->value.snapshot()};
  OUTCOME_ASSIGN(auto known, load<meta::Snapshot>(context_.store, context_.keys.snapshot(id)));
  if (!known || known->value.state() != meta::Snapshot::UP) {
    return failure(Code::kConflict, "snapshot {} is being made or deleted: try again", name);
  }
  v1::InspectVolumeRequest request;
  request.set_volume(name);
  return volumes_.inspect(request);
}

Outcome<> SnapshotManager::finish(const VolumeView& stale, const meta::Snapshot& snapshot) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, stale.id()));
  const SnapshotId id{snapshot.id()};
  const bool creating = snapshot.state() == meta::Snapshot::CREATING;
  if (creating && snapshot.group() != 0) {
    OUTCOME_ASSIGN(bool undo, give_up(snapshot));
    if (!undo) return {};
  } else if (creating && has_layer(volume, snapshot.id())) {
    OUTCOME_TRY(update<meta::Snapshot>(context_.store, context_.keys.snapshot(id), [](auto& now) {
      now.set_state(meta::Snapshot::UP);
      return true;
    }));
    return {};
  }
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  OUTCOME_ASSIGN(auto serving, ops_.serving_node(volume, topology));
  auto deleted = serving->ports().volumes.delete_snapshot(volume.id(), id);
  if (!deleted && deleted.error().code != Code::kNotFound) return deleted;
  return forget(snapshot);
}

// One of a group alone is worth nothing: it goes, unless the group is made after all. Marked first,
// so that whoever still makes the group finds out.
Outcome<bool> SnapshotManager::give_up(const meta::Snapshot& snapshot) {
  OUTCOME_ASSIGN(
      meta::Snapshot now,
      update<meta::Snapshot>(context_.store, context_.keys.snapshot(SnapshotId{snapshot.id()}),
                             [](auto& value) {
                               if (value.state() != meta::Snapshot::CREATING) return false;
                               value.set_state(meta::Snapshot::DELETING);
                               return true;
                             }));
  return now.state() == meta::Snapshot::DELETING;
}

Outcome<> SnapshotManager::forget(const meta::Snapshot& snapshot) {
  OUTCOME_TRY(context_.store.commit(Txn{}
                                        .erase(context_.keys.snapshot(SnapshotId{snapshot.id()}))
                                        .erase(context_.keys.name(snapshot.name()))));
  return {};
}

Outcome<v1::ListSnapshotsResponse> SnapshotManager::list(const v1::ListSnapshotsRequest& request) {
  v1::ListVolumesRequest all;
  all.set_only_snapshots(true);
  all.set_parent(request.volume());
  OUTCOME_ASSIGN(auto found, volumes_.list(all));
  v1::ListSnapshotsResponse out;
  out.mutable_snapshots()->Swap(found.mutable_volumes());
  return out;
}

Outcome<> SnapshotManager::remove(const v1::DeleteSnapshotRequest& request) {
  auto ref = resolve_volume(context_, request.snapshot());
  if (!ref && ref.error().code == Code::kNotFound && request.allow_missing()) return {};
  OUTCOME_TRY(ref);
  if (ref->snapshot.value == 0) {
    return failure(Code::kInvalidArgument, "\"{}\" is a volume, not a snapshot",
                   request.snapshot());
  }
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  auto clones = view.clones_of(ref->volume, ref->snapshot);
  if (!clones.empty()) {
    return failure(Code::kBusy, "snapshot {} is the base of the clone {}{}: delete that first",
                   request.snapshot(), clones.front()->spec.name(),
                   clones.size() > 1 ? fmt::format(" and {} more", clones.size() - 1) : "");
  }
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, ref->volume));
  auto marked =
      update<meta::Snapshot>(context_.store, context_.keys.snapshot(ref->snapshot), [](auto& now) {
        now.set_state(meta::Snapshot::DELETING);
        return true;
      });
  if (!marked && marked.error().code == Code::kNotFound && request.allow_missing()) return {};
  OUTCOME_TRY(marked);
  return finish(volume, *marked);
}

Outcome<VolumeRef> SnapshotManager::clone_base(const std::string& source) {
  OUTCOME_ASSIGN(VolumeRef ref, resolve_volume(context_, source));
  if (ref.snapshot.value != 0) return ref;
  v1::CreateSnapshotRequest request;
  request.set_volume(source);
  OUTCOME_ASSIGN(v1::Volume snapshot, create(request));
  ref.snapshot = SnapshotId{Keys::id_of(snapshot.id()).value_or(0)};
  return ref;
}

Outcome<v1::Volume> SnapshotManager::clone(const v1::CloneVolumeRequest& request) {
  OUTCOME_TRY(validate_name(request.name(), "volume"));
  OUTCOME_TRY(validate_labels(request.labels()));
  OUTCOME_ASSIGN(auto taken, load<meta::Name>(context_.store, context_.keys.name(request.name())));
  if (taken) return failure(Code::kAlreadyExists, "the name \"{}\" is taken", request.name());
  OUTCOME_ASSIGN(VolumeRef base, clone_base(request.source()));
  OUTCOME_ASSIGN(VolumeView parent, load_volume(context_, base.volume));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  const core::SnapshotRecord* layer = nullptr;
  for (const auto& snapshot : parent.record.snapshots) {
    if (snapshot.id == base.snapshot) layer = &snapshot;
  }
  if (layer == nullptr) {
    return failure(Code::kBusy, "snapshot {} is being made or deleted", request.source());
  }
  VolumeView clone;
  clone.spec = parent.spec;
  clone.spec.set_id(context_.new_id());
  clone.spec.set_name(request.name());
  clone.spec.set_state(meta::VolumeSpec::CREATING);
  clone.spec.set_created_unix_ms(context_.now_unix_ms());
  clone.spec.set_size_bytes(layer->size_blocks * kBlockSize);
  clone.spec.set_parent_volume(base.volume.value);
  clone.spec.set_parent_snapshot(base.snapshot.value);
  clone.spec.clear_attachment();
  clone.spec.clear_shared_attachments();
  clone.spec.clear_attached_unix_ms();
  clone.spec.clear_pending();
  clone.spec.clear_disowned();
  clone.spec.clear_sticky();
  for (const auto& [key, value] : request.labels()) (*clone.spec.mutable_labels())[key] = value;
  clone.record.id = VolumeId{clone.spec.id()};
  clone.record.size_blocks = layer->size_blocks;
  clone.record.parent_volume = base.volume;
  clone.record.parent_snapshot = base.snapshot;
  // Where the snapshot is, and can be reached: the reconciler adds what is missing to the HA level.
  for (const auto& replica : parent.record.replicas) {
    if (replica.state != core::ReplicaState::kInSync || !topology.alive(replica.node)) continue;
    auto index = static_cast<core::MemberIndex>(clone.record.replicas.size());
    clone.record.replicas.push_back(
        {index, replica.node, replica.pool, core::ReplicaState::kInSync, {}});
  }
  if (clone.record.replicas.empty()) {
    return failure(Code::kUnreachable, "no in-sync replica of {} is online", parent.spec.name());
  }
  meta::Name name;
  name.set_volume(clone.spec.id());
  auto written = context_.store.commit(
      Txn{}
          .require_absent(context_.keys.name(request.name()))
          .require(context_.keys.spec(base.volume), parent.spec_revision)
          .put(context_.keys.spec(base.volume), parent.spec.SerializeAsString())
          .put(context_.keys.name(request.name()), name.SerializeAsString())
          .put(context_.keys.spec(clone.id()), clone.spec.SerializeAsString())
          .put(context_.keys.record(clone.id()), encode_record(clone.record)));
  OUTCOME_TRY(written);
  clone.spec_revision = clone.record_revision = *written;
  OUTCOME_TRY(volumes_.finish_create(clone));
  return volumes_.show(clone.id());
}

Outcome<v1::Volume> SnapshotManager::restore(const v1::RestoreVolumeRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  OUTCOME_ASSIGN(VolumeRef snapshot, resolve_volume(context_, request.snapshot()));
  if (snapshot.snapshot.value == 0 || snapshot.volume != volume.id()) {
    return failure(Code::kInvalidArgument, "\"{}\" is not a snapshot of {}", request.snapshot(),
                   volume.spec.name());
  }
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  if (volume.in_use()) {
    return failure(Code::kBusy, "volume {} is attached on {}: unmount and detach it to restore it",
                   volume.spec.name(), names_attached(volume, topology));
  }
  OUTCOME_ASSIGN(auto serving, ops_.serving_node(volume, topology));
  OUTCOME_TRY(serving->ports().volumes.restore(volume.id(), snapshot.snapshot));
  return volumes_.show(volume.id());
}

}  // namespace cleat::control
