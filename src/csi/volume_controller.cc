#include "csi/volume_controller.h"

#include <algorithm>

#include "common/log.h"
#include "csi/attachments.h"
#include "csi/names.h"
#include "csi/takeover.h"
#include "csi/volume_turn.h"

namespace cleat::csi {
namespace {

Outcome<> delete_snapshot(const Cleatd& cleatd, const std::string& id) {
  api::DeleteSnapshotRequest request;
  request.set_snapshot(id);
  request.set_allow_missing(true);
  OUTCOME_TRY(cleatd.call<api::Volumes>(&api::Volumes::Stub::SnapshotDelete, request));
  return {};
}

// Nobody detached it: its node was away when it was unpublished.
Outcome<> let_go(const Cleatd& cleatd, api::Volume volume) {
  // The primary last: the others are expelled by it.
  auto all = attachments_of(volume);
  std::reverse(all.begin(), all.end());
  for (const auto& each : all) {
    if (!is_given_up(volume, each.node())) continue;
    if (each.node_online() || (volume.shared() && is_online_elsewhere(volume, each.node()))) {
      OUTCOME_TRY(detach_by_force(cleatd, volume, each.node()));
    } else {
      OUTCOME_ASSIGN(auto nodes, cleatd.nodes());
      OUTCOME_TRY(fence_from(cleatd, volume, each.node(), nodes));
    }
    OUTCOME_ASSIGN(volume, cleatd.volume(volume.id()));
  }
  return {};
}

}  // namespace

// Of clones that are gone; the snapshot of a clone that lives is refused by cleatd with the volume.
Outcome<> VolumeController::delete_hidden_bases(const api::Volume& volume) {
  for (const api::Volume& snapshot : volume.snapshots()) {
    const std::string clone = label_of(snapshot, kLabelBaseOf);
    if (clone.empty()) continue;
    if (std::find(volume.clones().begin(), volume.clones().end(), clone) != volume.clones().end()) {
      continue;
    }
    OUTCOME_TRY(delete_snapshot(cleatd_, snapshot.id()));
  }
  return {};
}

// The base of a clone goes with it.
Outcome<> VolumeController::delete_with_base(const api::Volume& volume) {
  api::DeleteVolumeRequest remove;
  remove.set_volume(volume.id());
  remove.set_allow_missing(true);
  OUTCOME_TRY(cleatd_.call<api::Volumes>(&api::Volumes::Stub::Delete, remove));
  const std::string base = label_of(volume, kLabelBase);
  if (base.empty()) return {};
  // The volume is gone, which is what was asked for: a base that stays goes with its volume.
  auto deleted = delete_snapshot(cleatd_, base);
  if (!deleted)
    LOG_WARN("the base {} of clone {}: {}", base, volume.name(), deleted.error().message);
  return {};
}

Outcome<> VolumeController::remove(const spec::DeleteVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  auto found = take_turn(cleatd_, in_flight_, request.volume_id());
  if (!found && found.error().code == Code::kNotFound) return {};
  OUTCOME_ASSIGN(auto taken, std::move(found));
  const api::Volume& volume = taken.volume;
  OUTCOME_TRY(delete_hidden_bases(volume));
  OUTCOME_TRY(let_go(cleatd_, volume));
  return delete_with_base(volume);
}

Outcome<spec::ControllerExpandVolumeResponse> VolumeController::expand(
    const spec::ControllerExpandVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (!request.has_capacity_range()) {
    return failure(Code::kInvalidArgument, "no capacity range is given");
  }
  OUTCOME_ASSIGN(SizeRange range, parse_range(request.capacity_range()));
  if (request.has_volume_capability()) OUTCOME_TRY(parse_capability(request.volume_capability()));
  OUTCOME_ASSIGN(auto taken, take_turn(cleatd_, in_flight_, request.volume_id()));
  api::Volume& volume = taken.volume;
  if (range.limit != 0 && volume.size_bytes() > range.limit) {
    return failure(Code::kOutOfRange, "volume {} has {} already, and can't be made smaller",
                   volume.name(), format_size(volume.size_bytes()));
  }
  OUTCOME_ASSIGN(uint64_t size, choose_size(range, volume.size_bytes()));
  if (range.required == 0) size = volume.size_bytes();
  if (size > volume.size_bytes()) {
    api::ResizeVolumeRequest resize;
    resize.set_volume(volume.id());
    resize.set_size_bytes(size);
    OUTCOME_ASSIGN(volume, cleatd_.call<api::Volumes>(&api::Volumes::Stub::Resize, resize));
  }
  const bool block = request.has_volume_capability() ? request.volume_capability().has_block()
                                                     : volume.fs() == "none";
  spec::ControllerExpandVolumeResponse out;
  out.set_capacity_bytes(static_cast<int64_t>(volume.size_bytes()));
  out.set_node_expansion_required(!block);
  return out;
}

Outcome<> VolumeController::modify(const spec::ControllerModifyVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  OUTCOME_ASSIGN(Parameters parameters, parse_mutable_parameters(request.mutable_parameters()));
  OUTCOME_ASSIGN(auto taken, take_turn(cleatd_, in_flight_, request.volume_id()));
  OUTCOME_TRY(apply(parameters, taken.volume));
  return {};
}

// Only what differs, so that a repeated call changes nothing.
Outcome<api::Volume> VolumeController::apply(const Parameters& parameters,
                                             const api::Volume& volume) {
  api::Volume now = volume;
  api::UpdateVolumeRequest update;
  update.set_volume(volume.id());
  const bool priority = parameters.io_priority != api::IO_PRIORITY_UNSPECIFIED &&
                        parameters.io_priority != volume.io_priority();
  const bool profile = parameters.io_profile != api::IO_PROFILE_UNSPECIFIED &&
                       parameters.io_profile != volume.io_profile();
  const bool follow = parameters.follow && *parameters.follow != volume.follow();
  if (follow) update.set_follow(*parameters.follow);
  if (priority) update.set_io_priority(parameters.io_priority);
  if (profile) update.set_io_profile(parameters.io_profile);
  for (const auto& [key, value] : parameters.labels) {
    if (label_of(volume, key) != value) (*update.mutable_labels())[key] = value;
  }
  if (priority || profile || follow || !update.labels().empty()) {
    OUTCOME_ASSIGN(now, cleatd_.call<api::Volumes>(&api::Volumes::Stub::Update, update));
  }
  if (!parameters.ha_given || parameters.ha == volume.ha()) return now;
  api::HaUpdateRequest change;
  change.set_volume(volume.id());
  change.set_ha(parameters.ha);
  return cleatd_.call<api::Volumes>(&api::Volumes::Stub::HaUpdate, change);
}

Outcome<spec::ValidateVolumeCapabilitiesResponse> VolumeController::validate(
    const spec::ValidateVolumeCapabilitiesRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.volume_capabilities().empty()) {
    return failure(Code::kInvalidArgument, "no volume capability is given");
  }
  OUTCOME_ASSIGN(api::Volume volume, cleatd_.volume(request.volume_id()));
  spec::ValidateVolumeCapabilitiesResponse out;
  auto usage = parse_capabilities(request.volume_capabilities());
  auto parameters = parse_parameters(request.parameters(), request.mutable_parameters());
  if (!usage) out.set_message(usage.error().message);
  if (usage && !parameters) out.set_message(parameters.error().message);
  if (usage && parameters && !usage->block && !usage->fs.empty() && volume.fs() != "none" &&
      usage->fs != volume.fs()) {
    out.set_message(fmt::format("volume {} has {}, not {}", volume.name(), volume.fs(), usage->fs));
  }
  if (!out.message().empty()) return out;
  auto* confirmed = out.mutable_confirmed();
  *confirmed->mutable_volume_context() = request.volume_context();
  *confirmed->mutable_volume_capabilities() = request.volume_capabilities();
  *confirmed->mutable_parameters() = request.parameters();
  *confirmed->mutable_mutable_parameters() = request.mutable_parameters();
  return out;
}

}  // namespace cleat::csi
