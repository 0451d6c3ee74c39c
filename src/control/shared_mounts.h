// Mounts of a shared volume: its file system bears one node that writes, or several that read.
//
// Threading: any thread.
#pragma once

#include "control/cluster_view.h"
#include "control/mount_port.h"

namespace cleat::control {

bool is_read_only(const MountRequestInfo& request);
// So that nothing is ever written, not even the journal replayed: others may read at the same time.
void add_reading_options(MountRequestInfo& request);
// Asks the other nodes that have a device. kBusy: one of them has it mounted in a way that excludes
// this, or can't be asked.
Outcome<> check_other_mounts(const ControlContext& context, const VolumeView& volume,
                             const Topology& topology, NodeId node, bool read_only);

}  // namespace cleat::control
