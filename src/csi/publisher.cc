#include "csi/publisher.h"

#include <algorithm>

#include "csi/names.h"
#include "csi/takeover.h"

namespace cleat::csi {

Outcome<> Publisher::note(const api::Volume& volume, const std::string& label,
                          const std::string& value) {
  if (label_of(volume, label) == value) return {};
  return cleatd_.set_labels(volume.id(), {{label, value}});
}

Outcome<> Publisher::may_attach(const api::Volume& volume, const std::string& node) const {
  OUTCOME_ASSIGN(auto nodes, cleatd_.nodes());
  auto found = std::find_if(nodes.begin(), nodes.end(),
                            [&](const api::Node& each) { return each.name() == node; });
  if (found == nodes.end()) {
    return failure(Code::kNotFound, "there is no node {} in the cluster", node);
  }
  const bool there = volume.has_attachment() && volume.attachment().node() == node;
  if (there || volumes_max_ == 0 || found->attached_count() < volumes_max_) return {};
  return failure(Code::kLimit, "node {} has {} volumes attached, which is the limit (volumes_max)",
                 node, found->attached_count());
}

Outcome<spec::ControllerPublishVolumeResponse> Publisher::publish(
    const spec::ControllerPublishVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.node_id().empty()) return failure(Code::kInvalidArgument, "no node id is given");
  OUTCOME_ASSIGN(Usage usage, parse_capability(request.volume_capability()));
  OUTCOME_ASSIGN(api::Volume volume, cleatd_.volume(request.volume_id()));
  OUTCOME_ASSIGN(auto turn, in_flight_.begin("volume " + volume.name()));
  OUTCOME_TRY(may_attach(volume, request.node_id()));
  const std::string read_only = request.readonly() ? "true" : "";
  const bool attached = volume.has_attachment();
  const bool there = attached && volume.attachment().node() == request.node_id();
  const bool given_up = is_given_up(volume);
  if (there && !given_up && label_of(volume, kLabelReadOnly) != read_only) {
    return failure(Code::kAlreadyExists, "volume {} is published to {} already, {}", volume.name(),
                   request.node_id(), request.readonly() ? "read-write" : "read-only");
  }
  api::AttachRequest attach;
  attach.set_volume(volume.id());
  attach.set_node(request.node_id());
  if (attached && !there) {
    const bool online = volume.attachment().node_online();
    if (online && !given_up) {
      return failure(Code::kBusy,
                     "volume {} is published to {}: one node at a time serves a volume, and it "
                     "moves once it is unpublished there",
                     volume.name(), volume.attachment().node());
    }
    attach.set_force(!online);
    if (online) OUTCOME_TRY(detach_by_force(cleatd_, volume));
  }
  OUTCOME_TRY(note(volume, kLabelReadOnly, read_only));
  OUTCOME_ASSIGN(api::AttachResponse response,
                 cleatd_.call<api::Hosts>(&api::Hosts::Stub::Attach, attach));
  OUTCOME_TRY(note(volume, kLabelUnpublished, ""));
  spec::ControllerPublishVolumeResponse out;
  auto& context = *out.mutable_publish_context();
  context[kContextDevice] = response.attachment().device();
  context[kContextReadOnly] = request.readonly() || usage.read_only ? "true" : "false";
  return out;
}

Outcome<> Publisher::unpublish(const spec::ControllerUnpublishVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  auto found = cleatd_.volume(request.volume_id());
  if (!found && found.error().code == Code::kNotFound) return {};
  OUTCOME_ASSIGN(api::Volume volume, std::move(found));
  OUTCOME_ASSIGN(auto turn, in_flight_.begin("volume " + volume.name()));
  if (!volume.has_attachment()) return {};
  const std::string node = volume.attachment().node();
  if (!request.node_id().empty() && request.node_id() != node) return {};
  if (!volume.attachment().node_online()) return note(volume, kLabelUnpublished, node);
  api::DetachRequest detach;
  detach.set_volume(volume.id());
  detach.set_node(node);
  auto detached = cleatd_.call<api::Hosts>(&api::Hosts::Stub::Detach, detach);
  // It went away just now.
  if (!detached && detached.error().code == Code::kUnreachable) {
    OUTCOME_ASSIGN(volume, cleatd_.volume(request.volume_id()));
    if (volume.has_attachment() && !volume.attachment().node_online()) {
      return note(volume, kLabelUnpublished, node);
    }
  }
  OUTCOME_TRY(detached);
  return note(volume, kLabelReadOnly, "");
}

}  // namespace cleat::csi
