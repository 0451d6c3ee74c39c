#include "csi/takeover.h"

#include <algorithm>

#include "common/log.h"
#include "csi/attachments.h"
#include "csi/names.h"

namespace cleat::csi {
namespace {

bool is_whole(const api::Replica& replica) {
  return replica.state() == api::REPLICA_STATE_IN_SYNC && replica.reachable();
}

bool is_shared_with(const api::Volume& volume, const std::string& node) {
  return attachment_on(volume, node) != nullptr && is_online_elsewhere(volume, node);
}

// One that has the data is best: nothing crosses the network to open the volume.
std::string other_node(const api::Volume& volume, const std::vector<api::Node>& nodes) {
  std::string any;
  for (const api::Node& node : nodes) {
    const bool online = node.state() == api::NODE_STATE_ONLINE;
    if (!online || node.name() == volume.attachment().node()) continue;
    any = node.name();
    for (const auto& replica : volume.replicas()) {
      if (replica.node() == node.name() && is_whole(replica)) return node.name();
    }
  }
  return any;
}

Outcome<> detach(const Cleatd& cleatd, const api::Volume& volume, const std::string& node,
                 bool force) {
  api::DetachRequest request;
  request.set_volume(volume.id());
  request.set_node(node);
  request.set_force(force);
  OUTCOME_TRY(cleatd.call<api::Hosts>(&api::Hosts::Stub::Detach, request));
  return {};
}

// By a node that had nothing to do with it: it opens the volume and lets it go again.
Outcome<> take_from_lost_node(const Cleatd& cleatd, const api::Volume& volume,
                              const std::string& node, const std::vector<api::Node>& nodes) {
  const std::string other =
      is_being_taken(volume, node) ? volume.attachment().node() : other_node(volume, nodes);
  if (other.empty()) {
    return failure(Code::kUnreachable, "no node is online to fence volume {} from", volume.name());
  }
  // It stays should the volume not be let go again: whoever publishes it next may take it from
  // there, and whom it is taken from is known.
  api::Volume noted = volume;
  std::string& note = (*noted.mutable_labels())[kLabelUnpublished];
  for (const std::string& each : {node, other}) {
    note = with_node(noted, kLabelUnpublished, each, true);
  }
  OUTCOME_TRY(cleatd.set_labels(volume.id(), {{kLabelUnpublished, note}}));
  api::AttachRequest attach;
  attach.set_volume(volume.id());
  attach.set_node(other);
  attach.set_force(true);
  OUTCOME_TRY(cleatd.call<api::Hosts>(&api::Hosts::Stub::Attach, attach));
  // Only the primary that was taken from is gone by that.
  if (volume.shared() && node != other) OUTCOME_TRY(detach(cleatd, volume, node, true));
  OUTCOME_TRY(detach(cleatd, volume, other, false));
  LOG_WARN("volume {} is fenced from {}", volume.name(), node);
  // Whoever gets it on one of the two from now on keeps it.
  return forget_given_up(cleatd, noted, {node, other});
}

}  // namespace

bool is_given_up(const api::Volume& volume, const std::string& node) {
  return attachment_on(volume, node) != nullptr && names_node(volume, kLabelUnpublished, node);
}

Outcome<> forget_given_up(const Cleatd& cleatd, api::Volume volume,
                          const std::vector<std::string>& nodes) {
  std::string& note = (*volume.mutable_labels())[kLabelUnpublished];
  for (const std::string& node : nodes) note = with_node(volume, kLabelUnpublished, node, false);
  return cleatd.set_labels(volume.id(), {{kLabelUnpublished, note}});
}

bool is_being_taken(const api::Volume& volume, const std::string& node) {
  return volume.has_attachment() && is_given_up(volume, volume.attachment().node()) &&
         volume.attachment().node_online() && names_node(volume, kLabelUnpublished, node);
}

bool can_be_taken(const api::Volume& volume, const std::string& node) {
  if (is_shared_with(volume, node)) return true;  // by one that has it open
  const auto& all = volume.replicas();
  return std::any_of(all.begin(), all.end(), [&](const api::Replica& replica) {
    return replica.node() != node && is_whole(replica);
  });
}

Outcome<> fence_from(const Cleatd& cleatd, const api::Volume& volume, const std::string& node,
                     const std::vector<api::Node>& nodes) {
  if (!is_shared_with(volume, node)) return take_from_lost_node(cleatd, volume, node, nodes);
  OUTCOME_TRY(detach(cleatd, volume, node, true));
  LOG_WARN("volume {} is fenced from {}, and stays attached elsewhere", volume.name(), node);
  return {};
}

Outcome<> detach_by_force(const Cleatd& cleatd, const api::Volume& volume,
                          const std::string& node) {
  LOG_WARN("volume {} was unpublished from {} while that was away: its device goes", volume.name(),
           node);
  return detach(cleatd, volume, node, true);
}

}  // namespace cleat::csi
