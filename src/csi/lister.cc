#include "csi/lister.h"

#include "common/units.h"
#include "csi/capacity.h"
#include "csi/condition.h"
#include "csi/pages.h"
#include "csi/placement.h"
#include "csi/views.h"

namespace cleat::csi {
namespace {

template <class Status>
void fill_status(const api::Volume& volume, Status& status) {
  for (const std::string& node : published_nodes(volume)) status.add_published_node_ids(node);
  *status.mutable_volume_condition() = to_condition(problems_of(volume));
}

}  // namespace

Outcome<spec::ListVolumesResponse> Lister::volumes(const spec::ListVolumesRequest& request) const {
  OUTCOME_ASSIGN(auto all, cleatd_.volumes());
  std::erase_if(all, is_half_made);
  OUTCOME_ASSIGN(Page page,
                 page_of(std::move(all), request.max_entries(), request.starting_token()));
  spec::ListVolumesResponse out;
  for (const api::Volume& volume : page.entries) {
    auto* entry = out.add_entries();
    *entry->mutable_volume() = to_csi_volume(volume);
    fill_status(volume, *entry->mutable_status());
  }
  out.set_next_token(page.next_token);
  return out;
}

Outcome<spec::ControllerListVolumeHealthResponse> Lister::healths(
    const spec::ControllerListVolumeHealthRequest& request) const {
  OUTCOME_ASSIGN(auto all, cleatd_.volumes());
  std::erase_if(all, is_half_made);
  OUTCOME_ASSIGN(Page page,
                 page_of(std::move(all), request.max_entries(), request.starting_token()));
  spec::ControllerListVolumeHealthResponse out;
  for (const api::Volume& volume : page.entries) {
    *out.add_entries() = to_health(volume.id(), problems_of(volume));
  }
  out.set_next_token(page.next_token);
  return out;
}

Outcome<spec::ControllerGetVolumeResponse> Lister::volume(
    const spec::ControllerGetVolumeRequest& request) const {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  OUTCOME_ASSIGN(api::Volume volume, cleatd_.volume(request.volume_id()));
  spec::ControllerGetVolumeResponse out;
  *out.mutable_volume() = to_csi_volume(volume);
  fill_status(volume, *out.mutable_status());
  return out;
}

Outcome<spec::ControllerGetVolumeHealthResponse> Lister::health(
    const spec::ControllerGetVolumeHealthRequest& request) const {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  OUTCOME_ASSIGN(api::Volume volume, cleatd_.volume(request.volume_id()));
  spec::ControllerGetVolumeHealthResponse out;
  *out.mutable_volume_health() = to_health(volume.id(), problems_of(volume));
  return out;
}

Outcome<spec::ListSnapshotsResponse> Lister::snapshots(
    const spec::ListSnapshotsRequest& request) const {
  OUTCOME_ASSIGN(auto all, cleatd_.snapshots());
  std::erase_if(all, [&](const api::Volume& snapshot) {
    const bool wanted = (request.snapshot_id().empty() || request.snapshot_id() == snapshot.id()) &&
                        (request.source_volume_id().empty() ||
                         request.source_volume_id() == snapshot.snapshot_of_id());
    return !wanted || !is_shown_snapshot(snapshot);
  });
  OUTCOME_ASSIGN(Page page,
                 page_of(std::move(all), request.max_entries(), request.starting_token()));
  spec::ListSnapshotsResponse out;
  for (const api::Volume& snapshot : page.entries) {
    *out.add_entries()->mutable_snapshot() = to_csi_snapshot(snapshot);
  }
  out.set_next_token(page.next_token);
  return out;
}

Outcome<spec::GetSnapshotResponse> Lister::snapshot(const spec::GetSnapshotRequest& request) const {
  if (request.snapshot_id().empty()) {
    return failure(Code::kInvalidArgument, "no snapshot id is given");
  }
  OUTCOME_ASSIGN(api::Volume snapshot, cleatd_.snapshot(request.snapshot_id()));
  spec::GetSnapshotResponse out;
  *out.mutable_snapshot() = to_csi_snapshot(snapshot);
  return out;
}

Outcome<spec::GetCapacityResponse> Lister::capacity(const spec::GetCapacityRequest& request) const {
  OUTCOME_ASSIGN(Parameters parameters, parse_parameters(request.parameters(), {}));
  spec::GetCapacityResponse out;
  out.mutable_minimum_volume_size()->set_value(static_cast<int64_t>(kSizeMin));
  out.mutable_maximum_volume_size()->set_value(0);
  if (!request.volume_capabilities().empty() &&
      !parse_capabilities(request.volume_capabilities())) {
    return out;  // as the specification has it: nothing can be made that is used like that
  }
  OUTCOME_ASSIGN(auto nodes, cleatd_.nodes());
  if (request.has_accessible_topology()) {
    OUTCOME_ASSIGN(auto found, nodes_in(request.accessible_topology(), nodes));
    if (found.empty()) return out;
  }
  OUTCOME_ASSIGN(auto pools, cleatd_.pools());
  const auto most =
      static_cast<int64_t>(std::min(capacity_for(parameters, pools, nodes), kSizeMax));
  out.set_available_capacity(most);
  out.mutable_maximum_volume_size()->set_value(most);
  return out;
}

}  // namespace cleat::csi
