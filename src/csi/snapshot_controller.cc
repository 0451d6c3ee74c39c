#include "csi/snapshot_controller.h"

#include <algorithm>
#include <set>

#include "csi/names.h"
#include "csi/parameters.h"
#include "csi/placement.h"
#include "csi/views.h"

namespace cleat::csi {
namespace {

// "." and the id of the volume stand behind it.
constexpr size_t kGroupNameMax = 100;

spec::VolumeGroupSnapshot to_group(const std::string& id,
                                   const std::vector<api::Volume>& snapshots) {
  spec::VolumeGroupSnapshot out;
  out.set_group_snapshot_id(id);
  bool ready = true;
  for (const api::Volume& snapshot : snapshots) {
    *out.add_snapshots() = to_csi_snapshot(snapshot);
    ready = ready && out.snapshots().rbegin()->ready_to_use();
    *out.mutable_creation_time() = to_timestamp(snapshot.created_unix_ms());
  }
  out.set_ready_to_use(ready);
  return out;
}

Outcome<> check_ids(const std::string& group, const std::vector<api::Volume>& members,
                    const google::protobuf::RepeatedPtrField<std::string>& ids) {
  for (const std::string& id : ids) {
    const bool in = std::any_of(members.begin(), members.end(),
                                [&](const api::Volume& member) { return member.id() == id; });
    if (!in && !members.empty()) {
      return failure(Code::kInvalidArgument, "snapshot {} is not of group snapshot {}", id, group);
    }
  }
  return {};
}

}  // namespace

Outcome<spec::CreateSnapshotResponse> SnapshotController::create(
    const spec::CreateSnapshotRequest& request) {
  if (request.name().empty()) return failure(Code::kInvalidArgument, "the snapshot has no name");
  if (request.source_volume_id().empty()) {
    return failure(Code::kInvalidArgument, "no source volume id is given");
  }
  OUTCOME_ASSIGN(auto labels, parse_snapshot_parameters(request.parameters()));
  OUTCOME_ASSIGN(api::Volume volume, cleatd_.volume(request.source_volume_id()));
  if (request.has_accessibility_requirements()) {
    OUTCOME_ASSIGN(auto nodes, cleatd_.nodes());
    OUTCOME_TRY(wanted_node(request.accessibility_requirements(), nodes));
  }
  const std::string name = cleat_name(request.name());
  OUTCOME_ASSIGN(auto turn, in_flight_.begin("snapshot " + name));
  api::CreateSnapshotRequest create;
  create.set_volume(volume.id());
  create.set_name(name);
  create.mutable_labels()->insert(labels.begin(), labels.end());
  OUTCOME_ASSIGN(api::Volume made,
                 cleatd_.call<api::Volumes>(&api::Volumes::Stub::SnapshotCreate, create));
  spec::CreateSnapshotResponse out;
  *out.mutable_snapshot() = to_csi_snapshot(made);
  return out;
}

Outcome<> SnapshotController::remove(const spec::DeleteSnapshotRequest& request) {
  if (request.snapshot_id().empty()) {
    return failure(Code::kInvalidArgument, "no snapshot id is given");
  }
  auto found = cleatd_.snapshot(request.snapshot_id());
  if (!found && found.error().code == Code::kNotFound) return {};
  OUTCOME_ASSIGN(api::Volume snapshot, std::move(found));
  OUTCOME_ASSIGN(auto turn, in_flight_.begin("snapshot " + snapshot.name()));
  api::DeleteSnapshotRequest remove;
  remove.set_snapshot(snapshot.id());
  remove.set_allow_missing(true);
  OUTCOME_TRY(cleatd_.call<api::Volumes>(&api::Volumes::Stub::SnapshotDelete, remove));
  return {};
}

Outcome<spec::CreateVolumeGroupSnapshotResponse> SnapshotController::create_group(
    const spec::CreateVolumeGroupSnapshotRequest& request) {
  if (request.name().empty()) {
    return failure(Code::kInvalidArgument, "the group snapshot has no name");
  }
  if (request.source_volume_ids().empty()) {
    return failure(Code::kInvalidArgument, "the group snapshot has no source volume");
  }
  OUTCOME_ASSIGN(auto labels, parse_snapshot_parameters(request.parameters()));
  const std::string name = cleat_name(request.name(), kGroupNameMax);
  OUTCOME_ASSIGN(auto turn, in_flight_.begin("group snapshot " + name));
  // In one order, whatever the caller's: a repeated call is the same call.
  const std::set<std::string> ids(request.source_volume_ids().begin(),
                                  request.source_volume_ids().end());
  api::SnapshotGroupRequest create;
  for (const std::string& id : ids) {
    OUTCOME_ASSIGN(api::Volume volume, cleatd_.volume(id));
    auto* member = create.add_members();
    member->set_volume(volume.id());
    member->set_name(name + "." + volume.id());
  }
  create.mutable_labels()->insert(labels.begin(), labels.end());
  OUTCOME_ASSIGN(api::SnapshotGroupResponse made,
                 cleatd_.call<api::Volumes>(&api::Volumes::Stub::SnapshotGroup, create));
  spec::CreateVolumeGroupSnapshotResponse out;
  *out.mutable_group_snapshot() =
      to_group(made.group(), {made.snapshots().begin(), made.snapshots().end()});
  return out;
}

Outcome<std::vector<api::Volume>> SnapshotController::members(const std::string& group) const {
  OUTCOME_ASSIGN(auto all, cleatd_.snapshots());
  std::erase_if(all, [&](const api::Volume& each) { return each.snapshot_group() != group; });
  return all;
}

// Those that a former call deleted are no longer listed: what is left goes.
Outcome<> SnapshotController::remove_group(const spec::DeleteVolumeGroupSnapshotRequest& request) {
  const std::string& id = request.group_snapshot_id();
  if (id.empty()) return failure(Code::kInvalidArgument, "no group snapshot id is given");
  OUTCOME_ASSIGN(auto turn, in_flight_.begin("group snapshot " + id));
  OUTCOME_ASSIGN(auto snapshots, members(id));
  for (const api::Volume& snapshot : snapshots) {
    spec::DeleteSnapshotRequest one;
    one.set_snapshot_id(snapshot.id());
    OUTCOME_TRY(remove(one));
  }
  return {};
}

Outcome<spec::GetVolumeGroupSnapshotResponse> SnapshotController::group(
    const spec::GetVolumeGroupSnapshotRequest& request) const {
  const std::string& id = request.group_snapshot_id();
  if (id.empty()) return failure(Code::kInvalidArgument, "no group snapshot id is given");
  OUTCOME_ASSIGN(auto snapshots, members(id));
  if (snapshots.empty()) return failure(Code::kNotFound, "there is no group snapshot {}", id);
  OUTCOME_TRY(check_ids(id, snapshots, request.snapshot_ids()));
  spec::GetVolumeGroupSnapshotResponse out;
  *out.mutable_group_snapshot() = to_group(id, snapshots);
  return out;
}

}  // namespace cleat::csi
