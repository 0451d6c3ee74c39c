// VolumeManager: changes of an existing volume, and questions to the nodes.
#include <algorithm>

#include "common/log.h"
#include "control/api_views.h"
#include "control/record_codec.h"
#include "control/replica_choice.h"
#include "control/typed_store.h"
#include "control/validate.h"
#include "control/volume_manager.h"

namespace cleat::control {

// Why the file system of a volume that grew did not follow; empty when it did, or is not ours.
std::string VolumeManager::grow_file_system(const VolumeView& volume) {
  if (volume.spec.fs().empty()) return {};
  std::string why_not = "the volume is not mounted";
  for (NodeId id : volume.nodes_attached()) {
    const std::string& device = volume.attachment_on(id)->device();
    if (device.empty()) continue;
    auto node = context_.nodes.node(id);
    if (!node) return node.error().message;
    auto growth = (*node)->mounts().grow_file_system(device);
    if (growth && growth->grown) return {};
    why_not = growth ? growth->why_not : growth.error().message;
  }
  return why_not;
}

Outcome<v1::Volume> VolumeManager::resize(const v1::ResizeVolumeRequest& request) {
  OUTCOME_TRY(validate_size(request.size_bytes()));
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  const uint64_t blocks = request.size_bytes() / kBlockSize;
  if (blocks < volume.record.size_blocks) {
    return failure(Code::kInvalidArgument, "volume {} has {}, and can't be made smaller ({})",
                   volume.spec.name(), format_size(volume.record.size_blocks * kBlockSize),
                   format_size(request.size_bytes()));
  }
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  if (blocks > volume.record.size_blocks) {
    OUTCOME_ASSIGN(auto serving, ops_.serving_node(volume, topology));
    OUTCOME_TRY(serving->ports().volumes.resize(volume.id(), blocks));
  }
  OUTCOME_TRY(refresh_devices(volume, topology));
  const std::string why_not = grow_file_system(volume);
  OUTCOME_TRY(control::update<meta::VolumeSpec>(
      context_.store, context_.keys.spec(volume.id()), [&](auto& spec) {
        spec.set_size_bytes(std::max<uint64_t>(spec.size_bytes(), request.size_bytes()));
        if (blocks > volume.record.size_blocks || why_not.empty()) {
          spec.set_fs_to_grow(!why_not.empty());
        }
        return true;
      }));
  OUTCOME_ASSIGN(v1::Volume out, show(volume.id()));
  if (!out.fs_growth().empty() && !why_not.empty()) {
    out.set_fs_growth(fmt::format("{} ({})", out.fs_growth(), why_not));
  }
  return out;
}

// The primary's own has grown with the volume, unless that failed and this is the repetition. A
// node that is away learns it from the primary.
Outcome<> VolumeManager::refresh_devices(const VolumeView& volume, const Topology& topology) {
  for (NodeId id : volume.nodes_attached()) {
    if (!topology.alive(id)) continue;
    OUTCOME_ASSIGN(auto node, context_.nodes.node(id));
    auto done = node->ports().attach.refresh_size(volume.id());
    if (done) continue;
    return failure(done.error().code,
                   "volume {} has grown, but its device on {} has not ({}): repeat this",
                   volume.spec.name(), topology.name(id), done.error().message);
  }
  return {};
}

// A device that is there already is not of the other kind, so there may be none, nor one on the
// way.
Outcome<> VolumeManager::set_shared(const VolumeView& volume, bool shared) {
  if (volume.spec.shared() == shared) return {};
  const std::string& name = volume.spec.name();
  if (volume.in_use()) {
    OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
    return failure(Code::kBusy,
                   "volume {} is attached on {}, and {}: detach it first (`cleat host detach {}`)",
                   name, names_attached(volume, topology),
                   shared ? "its device can't be shared any more" : "its device is a shared one",
                   name);
  }
  if (volume.spec.has_attachment()) {
    return failure(
        Code::kBusy,
        "volume {} is being attached: try again, or end that with `cleat host detach {}`", name,
        name);
  }
  meta::VolumeSpec spec = volume.spec;
  spec.set_shared(shared);
  return commit_spec(context_, volume, spec);
}

Outcome<> VolumeManager::rename(const VolumeView& volume, const std::string& name) {
  OUTCOME_TRY(validate_name(name, "volume"));
  if (name == volume.spec.name()) return {};
  if (volume.in_use()) {
    return failure(Code::kBusy,
                   "volume {} is attached, and its device has its name: detach it to rename",
                   volume.spec.name());
  }
  meta::VolumeSpec spec = volume.spec;
  spec.set_name(name);
  meta::Name entry;
  entry.set_volume(volume.id().value);
  Txn txn;
  txn.require(context_.keys.spec(volume.id()), volume.spec_revision)
      .require_absent(context_.keys.name(name))
      .erase(context_.keys.name(volume.spec.name()))
      .put(context_.keys.name(name), entry.SerializeAsString())
      .put(context_.keys.spec(volume.id()), spec.SerializeAsString());
  auto done = context_.store.commit(txn);
  if (!done && done.error().code == Code::kConflict) {
    return failure(Code::kAlreadyExists, "the name \"{}\" is taken, or the volume was just changed",
                   name);
  }
  OUTCOME_TRY(done);
  return {};
}

Outcome<v1::Volume> VolumeManager::update(const v1::UpdateVolumeRequest& request) {
  OUTCOME_TRY(validate_labels(request.labels()));
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  if (!request.name().empty()) OUTCOME_TRY(rename(volume, request.name()));
  if (request.has_shared()) {
    OUTCOME_ASSIGN(volume, load_volume(context_, volume.id()));
    OUTCOME_TRY(set_shared(volume, request.shared()));
  }
  OUTCOME_TRY(control::update<meta::VolumeSpec>(
      context_.store, context_.keys.spec(volume.id()), [&](auto& spec) {
        for (const auto& [key, value] : request.labels()) (*spec.mutable_labels())[key] = value;
        for (const auto& key : request.remove_labels()) spec.mutable_labels()->erase(key);
        if (request.io_priority() != v1::IO_PRIORITY_UNSPECIFIED) {
          spec.set_io_priority(to_text(request.io_priority()));
        }
        if (request.io_profile() != v1::IO_PROFILE_UNSPECIFIED) {
          spec.set_io_profile(to_text(request.io_profile()));
        }
        if (request.scale() != 0) spec.set_scale(request.scale());
        if (request.has_follow()) spec.set_follow(request.follow());
        return true;
      }));
  return show(volume.id());
}

Outcome<> VolumeManager::ha_up(const VolumeView& volume, uint32_t ha, const std::string& node) {
  VolumeView now = volume;
  auto have = [&] {
    return static_cast<uint32_t>(now.record.replicas.size() +
                                 static_cast<size_t>(now.spec.pending_size()));
  };
  while (have() < ha) {
    OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
    std::optional<NodeId> wanted;
    if (!node.empty() && have() + 1 == ha) {
      OUTCOME_ASSIGN(wanted, view.topology.resolve(node));
    }
    OUTCOME_ASSIGN(core::PlacementChoice place, ops_.find_place(now, view, wanted));
    OUTCOME_TRY(ops_.add_replica(now, view.topology, place));
    OUTCOME_ASSIGN(now, load_volume(context_, volume.id()));
  }
  return {};
}

Outcome<> VolumeManager::ha_down(const VolumeView& volume, uint32_t ha, const std::string& node) {
  VolumeView now = volume;
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  const Topology& topology = view.topology;
  const auto apart = nodes_of_its_group(volume, view);
  while (now.record.replicas.size() > ha) {
    core::MemberIndex member = worst_replica(now, now.record.replicas, topology, apart);
    if (!node.empty()) {
      OUTCOME_ASSIGN(NodeId wanted, topology.resolve(node));
      auto found = std::find_if(now.record.replicas.begin(), now.record.replicas.end(),
                                [&](const auto& replica) { return replica.node == wanted; });
      if (found == now.record.replicas.end() &&
          now.record.replicas.size() == volume.record.replicas.size()) {
        return failure(Code::kNotFound, "volume {} has no replica on {}", volume.spec.name(), node);
      }
      if (found != now.record.replicas.end()) member = found->index;
    }
    OUTCOME_TRY(ops_.remove_replica(now, topology, member));
    OUTCOME_ASSIGN(now, load_volume(context_, volume.id()));
  }
  return {};
}

Outcome<> VolumeManager::ha_cancel(const VolumeView& volume) {
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  uint32_t removed = 0;
  VolumeView now = volume;
  for (const auto& replica : volume.record.replicas) {
    if (replica.state != core::ReplicaState::kNew) continue;
    OUTCOME_TRY(ops_.remove_replica(now, topology, replica.index));
    OUTCOME_ASSIGN(now, load_volume(context_, volume.id()));
    ++removed;
  }
  if (removed == 0) {
    return failure(Code::kBusy, "volume {} has no replica that is being built: nothing to cancel",
                   volume.spec.name());
  }
  return {};
}

Outcome<v1::Volume> VolumeManager::ha_update(const v1::HaUpdateRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  uint32_t ha = request.ha();
  if (request.cancel()) ha = std::max(volume.in_sync_count(), 1U);
  OUTCOME_TRY(validate_ha(ha));
  const uint32_t before = volume.spec.ha_level();
  auto set_level = [&](uint32_t level) {
    return control::update<meta::VolumeSpec>(context_.store, context_.keys.spec(volume.id()),
                                             [&](auto& spec) {
                                               if (spec.ha_level() == level) return false;
                                               spec.set_ha_level(level);
                                               return true;
                                             });
  };
  // The level first: what fails after it, the reconciler brings about. A refusal takes it back.
  OUTCOME_TRY(set_level(ha));
  OUTCOME_ASSIGN(volume, load_volume(context_, volume.id()));
  Outcome<> done;
  if (request.cancel()) {
    done = ha_cancel(volume);
  } else if (ha > before || volume.record.replicas.size() < ha) {
    done = ha_up(volume, ha, request.node());
  } else {
    done = ha_down(volume, ha, request.node());
  }
  if (!done) {
    auto reset = set_level(before);
    if (!reset) LOG_WARN("volume {}: {}", volume.spec.name(), reset.error().message);
    return tl::unexpected(done.error());
  }
  v1::InspectVolumeRequest show_it;
  show_it.set_volume(Keys::text(volume.id().value));
  return inspect(show_it);
}

Outcome<v1::VolumeStatsResponse> VolumeManager::stats(const v1::VolumeStatsRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  if (!volume.attached()) {
    return failure(Code::kBusy, "volume {} is not attached, so nothing is counted",
                   volume.spec.name());
  }
  OUTCOME_ASSIGN(auto node, context_.nodes.node(volume.record.primary));
  OUTCOME_ASSIGN(VolumeStats stats, node->ports().inspect.stats(volume.id()));
  v1::VolumeStatsResponse out;
  out.set_at_unix_ms(static_cast<int64_t>(context_.now_unix_ms()));
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

Outcome<v1::CheckVolumeResponse> VolumeManager::check(const v1::CheckVolumeRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  OUTCOME_ASSIGN(auto serving, ops_.serving_node(volume, topology));
  OUTCOME_ASSIGN(CheckResult result, serving->ports().inspect.check(volume.id()));
  v1::CheckVolumeResponse out;
  out.set_equal(result.equal);
  out.set_compared_bytes(result.compared_bytes);
  for (const auto& digest : result.replicas) {
    auto* to = out.add_replicas();
    to->set_node(topology.name(digest.node));
    const core::ReplicaRecord* replica = volume.record.find(digest.member);
    if (replica != nullptr) to->set_pool_id(Keys::text(replica->pool.value));
    to->set_state(static_cast<v1::ReplicaState>(digest.state));
    to->set_digest(digest.digest);
    to->set_problem(digest.problem);
  }
  for (const auto& snapshot : result.snapshots) out.add_snapshots(snapshot.name);
  return out;
}

// R10: the chosen replica becomes the only one. The others leave the record, so their nodes delete
// them, and the reconciler makes new ones: what they hold may differ anywhere, and no dirty map
// says where.
Outcome<v1::Volume> VolumeManager::salvage(const v1::SalvageVolumeRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  const std::string& name = volume.spec.name();
  if (!request.accept_data_loss()) {
    return failure(Code::kBusy,
                   "salvage of {} may lose acknowledged writes: say so with "
                   "--accept-data-loss",
                   name);
  }
  if (usable_count(volume, topology) > 0) {
    return failure(Code::kBusy,
                   "volume {} has an in-sync replica on a node that is online: there is "
                   "nothing to salvage, attach it",
                   name);
  }
  const core::ReplicaRecord* best = nullptr;
  for (const auto& replica : volume.record.replicas) {
    if (!topology.alive(replica.node) || replica.state == core::ReplicaState::kNew) continue;
    const bool asked_for = !request.node().empty() && topology.name(replica.node) == request.node();
    if (!request.node().empty() && !asked_for) continue;
    if (best == nullptr || replica.left_at > best->left_at) best = &replica;
  }
  if (best == nullptr) {
    return failure(Code::kUnreachable, "no node with a usable replica of {} is online{}", name,
                   request.node().empty() ? "" : " under that name");
  }
  core::VolumeRecord record = volume.record;
  record.epoch = record.epoch.next();  // whoever still serves it is fenced (R4)
  record.primary = NodeId{};
  record.clean = false;
  record.replicas = {*best};
  record.replicas.front().state = core::ReplicaState::kInSync;
  record.replicas.front().left_at = {};
  meta::VolumeSpec spec = volume.spec;
  for (const auto& replica : volume.record.replicas) {
    if (replica.index != best->index) VolumeOps::disown(spec, replica);
  }
  OUTCOME_TRY(
      context_.store.commit(Txn{}
                                .require(context_.keys.record(volume.id()), volume.record_revision)
                                .put(context_.keys.record(volume.id()), encode_record(record))
                                .require(context_.keys.spec(volume.id()), volume.spec_revision)
                                .put(context_.keys.spec(volume.id()), spec.SerializeAsString())));
  LOG_WARN("volume {}: salvaged from the replica on {}, by a person's word", name,
           topology.name(best->node));
  return show(volume.id());
}

}  // namespace cleat::control
