#include "csi/publisher.h"

#include <algorithm>

#include "csi/attachments.h"
#include "csi/names.h"
#include "csi/takeover.h"
#include "csi/volume_turn.h"

namespace cleat::csi {

Outcome<> Publisher::note(const api::Volume& volume, const std::string& label,
                          const std::string& value) {
  if (label_of(volume, label) == value) return {};
  return cleatd_.set_labels(volume.id(), {{label, value}});
}

// Who wants it where, of a volume as it is.
struct Publisher::Wish {
  api::Volume volume;
  Usage usage;
  std::string node;
  bool read_only = false;

  // Other nodes may have it at the same time.
  bool is_shared() const { return usage.many_nodes && volume.shared(); }
  // The note of how it is published: for a shared volume it names the nodes that only read.
  bool was_read_only() const {
    if (volume.shared()) return names_node(volume, kLabelReadOnly, node);
    return label_of(volume, kLabelReadOnly) == "true";
  }
  std::string read_only_note() const {
    if (volume.shared()) return with_node(volume, kLabelReadOnly, node, read_only);
    return read_only ? "true" : "";
  }
};

Outcome<> Publisher::may_attach(const api::Volume& volume, const std::string& node) const {
  OUTCOME_ASSIGN(auto nodes, cleatd_.nodes());
  auto found = std::find_if(nodes.begin(), nodes.end(),
                            [&](const api::Node& each) { return each.name() == node; });
  if (found == nodes.end()) {
    return failure(Code::kNotFound, "there is no node {} in the cluster", node);
  }
  const bool there = attachment_on(volume, node) != nullptr;
  if (there || volumes_max_ == 0 || found->attached_count() < volumes_max_) return {};
  return failure(Code::kLimit, "node {} has {} volumes attached, which is the limit (volumes_max)",
                 node, found->attached_count());
}

// Made before there was a word of several nodes: it becomes shared while nobody has it.
Outcome<api::Volume> Publisher::make_shared(const api::Volume& volume, const std::string& node) {
  const auto all = attachments_of(volume);
  if (volume.shared() || attachment_on(volume, node) != nullptr) return volume;
  if (all.empty()) return cleatd_.set_shared(volume.id(), true);
  return failure(Code::kBusy,
                 "volume {} is published to {}, and is not a shared one yet: it becomes that, and "
                 "is published to several nodes, once it is unpublished there",
                 volume.name(), names_of(all));
}

Outcome<> Publisher::check_again(const Wish& wish) const {
  const api::Volume& volume = wish.volume;
  const bool there = attachment_on(volume, wish.node) != nullptr;
  if (!there || is_given_up(volume, wish.node)) return {};
  if (wish.was_read_only() == wish.read_only) return {};
  return failure(Code::kAlreadyExists, "volume {} is published to {} already, {}", volume.name(),
                 wish.node, wish.read_only ? "read-write" : "read-only");
}

// Nodes it was unpublished from while they were away, or, where one alone may have it, all others.
// True: the primary's is gone, and is to be taken over from by force.
Outcome<bool> Publisher::clear_others(Wish& wish) {
  auto all = attachments_of(wish.volume);
  std::reverse(all.begin(), all.end());  // the primary last: it is asked to expel the others
  bool force = false;
  for (const auto& each : all) {
    const std::string& node = each.node();
    if (node == wish.node) continue;
    const bool given_up = is_given_up(wish.volume, node);
    if (!given_up && wish.is_shared()) continue;
    if (!given_up && each.node_online()) {
      return failure(Code::kBusy,
                     "volume {} is published to {}: one node at a time serves a volume, and it "
                     "moves once it is unpublished there",
                     wish.volume.name(), node);
    }
    const bool expelled = wish.volume.shared() && is_online_elsewhere(wish.volume, node);
    if (!each.node_online() && !expelled) {
      force = true;
      continue;
    }
    OUTCOME_TRY(detach_by_force(cleatd_, wish.volume, node));
    OUTCOME_ASSIGN(wish.volume, cleatd_.volume(wish.volume.id()));
  }
  return force;
}

// Before it is attached there: a note that stayed would let the next publish take it away.
Outcome<> Publisher::note_wanted(Wish& wish) {
  const std::string others = with_node(wish.volume, kLabelUnpublished, wish.node, false);
  OUTCOME_TRY(note(wish.volume, kLabelUnpublished, others));
  (*wish.volume.mutable_labels())[kLabelUnpublished] = others;
  return {};
}

Outcome<spec::ControllerPublishVolumeResponse> Publisher::publish(
    const spec::ControllerPublishVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.node_id().empty()) return failure(Code::kInvalidArgument, "no node id is given");
  Wish wish{{}, {}, request.node_id(), request.readonly()};
  OUTCOME_ASSIGN(wish.usage, parse_capability(request.volume_capability()));
  OUTCOME_ASSIGN(auto taken, take_turn(cleatd_, in_flight_, request.volume_id()));
  wish.volume = std::move(taken.volume);
  OUTCOME_TRY(may_attach(wish.volume, wish.node));
  if (wish.usage.many_nodes) {
    OUTCOME_ASSIGN(wish.volume, make_shared(wish.volume, wish.node));
  }
  OUTCOME_TRY(check_again(wish));
  api::AttachRequest attach;
  attach.set_volume(wish.volume.id());
  attach.set_node(wish.node);
  OUTCOME_ASSIGN(bool force, clear_others(wish));
  attach.set_force(force);
  OUTCOME_TRY(note(wish.volume, kLabelReadOnly, wish.read_only_note()));
  OUTCOME_TRY(note_wanted(wish));
  OUTCOME_ASSIGN(api::AttachResponse response,
                 cleatd_.call<api::Hosts>(&api::Hosts::Stub::Attach, attach));
  if (force) {
    // Who was away together with the primary before: now there is one to expel it.
    OUTCOME_ASSIGN(wish.volume, cleatd_.volume(wish.volume.id()));
    OUTCOME_TRY(clear_others(wish));
  }
  OUTCOME_TRY(note(wish.volume, kLabelUnpublished, ""));
  spec::ControllerPublishVolumeResponse out;
  auto& context = *out.mutable_publish_context();
  context[kContextDevice] = response.attachment().device();
  context[kContextReadOnly] = wish.read_only || wish.usage.read_only ? "true" : "false";
  return out;
}

Outcome<> Publisher::forget_notes(const api::Volume& volume, const std::string& node) {
  if (!volume.shared()) return note(volume, kLabelReadOnly, "");
  return note(volume, kLabelReadOnly, with_node(volume, kLabelReadOnly, node, false));
}

// From a node that is away: of a shared volume it is expelled, if anybody is there to do it. Else
// that is left to the next publish.
Outcome<> Publisher::give_up(const api::Volume& volume, const std::string& node) {
  if (volume.shared() && is_online_elsewhere(volume, node)) {
    auto expelled = detach_by_force(cleatd_, volume, node);
    if (expelled) return forget_notes(volume, node);
    if (expelled.error().code != Code::kUnreachable) return expelled;
  }
  return note(volume, kLabelUnpublished, with_node(volume, kLabelUnpublished, node, true));
}

Outcome<> Publisher::unpublish_from(const api::Volume& volume, const std::string& node) {
  const api::Attachment* here = attachment_on(volume, node);
  if (here == nullptr) return {};
  if (!here->node_online()) return give_up(volume, node);
  api::DetachRequest detach;
  detach.set_volume(volume.id());
  detach.set_node(node);
  auto detached = cleatd_.call<api::Hosts>(&api::Hosts::Stub::Detach, detach);
  // It went away just now.
  if (!detached && detached.error().code == Code::kUnreachable) {
    OUTCOME_ASSIGN(api::Volume now, cleatd_.volume(volume.id()));
    const api::Attachment* still = attachment_on(now, node);
    if (still != nullptr && !still->node_online()) return give_up(now, node);
  }
  OUTCOME_TRY(detached);
  return forget_notes(volume, node);
}

Outcome<> Publisher::unpublish(const spec::ControllerUnpublishVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  auto found = take_turn(cleatd_, in_flight_, request.volume_id());
  if (!found && found.error().code == Code::kNotFound) return {};
  OUTCOME_ASSIGN(auto taken, std::move(found));
  api::Volume& volume = taken.volume;
  auto all = attachments_of(volume);
  std::reverse(all.begin(), all.end());  // the primary last
  for (const auto& each : all) {
    if (!request.node_id().empty() && request.node_id() != each.node()) continue;
    OUTCOME_TRY(unpublish_from(volume, each.node()));
    OUTCOME_ASSIGN(volume, cleatd_.volume(request.volume_id()));
  }
  return {};
}

}  // namespace cleat::csi
