#include "control/shared_mounts.h"

#include <algorithm>

namespace cleat::control {
namespace {

Outcome<std::vector<MountedAt>> mounts_on(const ControlContext& context, const VolumeView& volume,
                                          const Topology& topology, NodeId node) {
  if (!topology.alive(node)) return failure(Code::kUnreachable, "it is offline");
  OUTCOME_ASSIGN(auto handle, context.nodes.node(node));
  return handle->mounts().mounts(volume.attachment_on(node)->device());
}

}  // namespace

bool is_read_only(const MountRequestInfo& request) {
  return std::find(request.options.begin(), request.options.end(), "ro") != request.options.end();
}

void add_reading_options(MountRequestInfo& request) {
  if (!is_read_only(request)) return;
  request.options.push_back(request.fs == "xfs" ? "norecovery" : "noload");
}

Outcome<> check_other_mounts(const ControlContext& context, const VolumeView& volume,
                             const Topology& topology, NodeId node, bool read_only) {
  const std::string& name = volume.spec.name();
  for (NodeId other : volume.nodes_attached()) {
    if (other == node || volume.attachment_on(other)->device().empty()) continue;
    const std::string where = topology.name(other);
    auto mounts = mounts_on(context, volume, topology, other);
    if (!mounts) {
      return failure(Code::kBusy,
                     "whether volume {} is mounted on {} can't be known ({}), and two nodes that "
                     "write a file system destroy it: detach it there first (`cleat host detach {} "
                     "--node {} --force` expels a node that is gone)",
                     name, where, mounts.error().message, name, where);
    }
    for (const auto& mounted : *mounts) {
      if (read_only && mounted.read_only) continue;
      return failure(Code::kBusy,
                     "volume {} is mounted on {} at {}{}: a file system is mounted on several "
                     "nodes for reading only (`--read-only` on each), else two of them destroy it; "
                     "unmount it there first",
                     name, where, mounted.path, mounted.read_only ? "" : " for writing");
    }
  }
  return {};
}

}  // namespace cleat::control
