// Volumes and snapshots of Cleat as CSI shows them. Pure.
#pragma once

#include "csi/capabilities.h"
#include "csi/cleatd.h"

namespace cleat::csi {

spec::Volume to_csi_volume(const api::Volume& volume);
spec::Snapshot to_csi_snapshot(const api::Volume& snapshot);
// Of a volume or a snapshot: being made or deleted.
bool is_half_made(const api::Volume& volume);
// Whether it is one that somebody asked for: not the hidden base of a clone, and not half made.
bool is_shown_snapshot(const api::Volume& snapshot);
google::protobuf::Timestamp to_timestamp(int64_t unix_ms);

}  // namespace cleat::csi
