// From the metadata to what the control API shows. Pure.
#pragma once

#include <string>

#include "api/control.pb.h"
#include "control/cluster_view.h"
#include "control/node_types.h"

namespace cleat::control {

namespace api = ::cleat::control::v1;

enum class Detail { kList, kInspect };

// Without what only nodes know (usage, progress, device): fill_runtime() adds that.
api::Volume to_api(const VolumeView& volume, const Topology& topology);
api::Attachment to_api(const meta::Attachment& attachment, const Topology& topology);
api::Volume snapshot_to_api(const VolumeView& volume, const meta::Snapshot& snapshot,
                            const Topology& topology);
void fill_runtime(api::Volume& out, const VolumeRuntime& runtime, const Topology& topology);
api::ResyncProgress to_api(const ResyncInfo& resync, const std::string& volume,
                           const Topology& topology);
api::Usage to_api(const UsageInfo& usage);
api::Pool to_api(const meta::Pool& pool, const Topology& topology);
// With its pools.
api::Node to_api(const NodeView& node, const ClusterView& view);
api::Alert to_api(const meta::Alert& alert);
void add(api::Capacity& sum, const api::Capacity& part);

std::string to_text(api::IoPriority priority);
api::IoPriority priority_of(const std::string& text);
std::string to_text(api::IoProfile profile);
api::IoProfile profile_of(const std::string& text);

// In sync, on a node that is alive.
uint32_t usable_count(const VolumeView& volume, const Topology& topology);
// Where it is attached: "n1, n2".
std::string names_attached(const VolumeView& volume, const Topology& topology);

}  // namespace cleat::control
