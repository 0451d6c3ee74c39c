#include "csi/takeover.h"

#include "common/log.h"
#include "csi/names.h"

namespace cleat::csi {
namespace {

// One that has the data is best: nothing crosses the network to open the volume.
std::string other_node(const api::Volume& volume, const std::vector<api::Node>& nodes) {
  std::string any;
  for (const api::Node& node : nodes) {
    const bool online = node.state() == api::NODE_STATE_ONLINE;
    if (!online || node.name() == volume.attachment().node()) continue;
    any = node.name();
    for (const auto& replica : volume.replicas()) {
      const bool good = replica.node() == node.name() && replica.reachable() &&
                        replica.state() == api::REPLICA_STATE_IN_SYNC;
      if (good) return node.name();
    }
  }
  return any;
}

}  // namespace

bool is_given_up(const api::Volume& volume) {
  return volume.has_attachment() &&
         label_of(volume, kLabelUnpublished) == volume.attachment().node();
}

bool is_being_taken(const api::Volume& volume) {
  return is_given_up(volume) && volume.attachment().node_online();
}

Outcome<> take_from_lost_node(const Cleatd& cleatd, const api::Volume& volume,
                              const std::vector<api::Node>& nodes) {
  const std::string other =
      is_being_taken(volume) ? volume.attachment().node() : other_node(volume, nodes);
  if (other.empty()) {
    return failure(Code::kUnreachable, "no node is online to fence volume {} from", volume.name());
  }
  // Should it not be let go again: whoever publishes it next may take it from there.
  OUTCOME_TRY(cleatd.set_labels(volume.id(), {{kLabelUnpublished, other}}));
  api::AttachRequest attach;
  attach.set_volume(volume.id());
  attach.set_node(other);
  attach.set_force(true);
  OUTCOME_TRY(cleatd.call<api::Hosts>(&api::Hosts::Stub::Attach, attach));
  api::DetachRequest detach;
  detach.set_volume(volume.id());
  detach.set_node(other);
  OUTCOME_TRY(cleatd.call<api::Hosts>(&api::Hosts::Stub::Detach, detach));
  LOG_WARN("volume {} is fenced from {}", volume.name(), volume.attachment().node());
  return {};
}

Outcome<> detach_by_force(const Cleatd& cleatd, const api::Volume& volume) {
  api::DetachRequest detach;
  detach.set_volume(volume.id());
  detach.set_node(volume.attachment().node());
  detach.set_force(true);
  LOG_WARN("volume {} was unpublished from {} while that was away: its device goes", volume.name(),
           volume.attachment().node());
  OUTCOME_TRY(cleatd.call<api::Hosts>(&api::Hosts::Stub::Detach, detach));
  return {};
}

}  // namespace cleat::csi
