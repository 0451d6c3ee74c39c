#include "csi/views.h"

#include "csi/names.h"

namespace cleat::csi {

google::protobuf::Timestamp to_timestamp(int64_t unix_ms) {
  google::protobuf::Timestamp out;
  out.set_seconds(unix_ms / 1000);
  out.set_nanos(static_cast<int32_t>(unix_ms % 1000) * 1'000'000);
  return out;
}

// No accessible_topology: it can be used from every node.
spec::Volume to_csi_volume(const api::Volume& volume) {
  spec::Volume out;
  out.set_volume_id(volume.id());
  out.set_capacity_bytes(static_cast<int64_t>(volume.size_bytes()));
  const std::string options = label_of(volume, kLabelMountOptions);
  if (!options.empty()) (*out.mutable_volume_context())[kLabelMountOptions] = options;
  return out;
}

spec::Snapshot to_csi_snapshot(const api::Volume& snapshot) {
  spec::Snapshot out;
  out.set_snapshot_id(snapshot.id());
  out.set_source_volume_id(snapshot.snapshot_of_id());
  out.set_size_bytes(static_cast<int64_t>(snapshot.size_bytes()));
  *out.mutable_creation_time() = to_timestamp(snapshot.created_unix_ms());
  out.set_ready_to_use(snapshot.state() == api::VOLUME_STATE_DETACHED);
  out.set_group_snapshot_id(snapshot.snapshot_group());
  return out;
}

bool is_half_made(const api::Volume& volume) {
  return volume.state() == api::VOLUME_STATE_CREATING ||
         volume.state() == api::VOLUME_STATE_DELETING;
}

bool is_shown_snapshot(const api::Volume& snapshot) {
  return !is_half_made(snapshot) && label_of(snapshot, kLabelBaseOf).empty();
}

}  // namespace cleat::csi
