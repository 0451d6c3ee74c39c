// What `cleat status` says of the sharers of a volume. Pure.
#pragma once

#include <optional>

#include "api/control.pb.h"
#include "control/cluster_view.h"

namespace cleat::control {

// That nobody serves the devices there are, or that the primary is offline and another takes over.
std::optional<v1::Finding> primary_finding(const VolumeView& volume, const Topology& topology);
// That a sharer is offline, or was expelled while it is not: the others go on.
std::optional<v1::Finding> sharer_finding(const VolumeView& volume, const Topology& topology);

}  // namespace cleat::control
