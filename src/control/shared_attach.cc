// SharedAttachments: how a device comes.
#include "common/log.h"
#include "control/shared_attachments.h"
#include "control/shared_entries.h"
#include "control/takeover_check.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

constexpr int kTries = 16;

AttachOptions options_for(const VolumeView& volume) {
  AttachOptions out;
  out.volume_name = volume.spec.name();
  out.shared = true;
  return out;
}

meta::Attachment entry_for(const VolumeView& volume, NodeId node) {
  const meta::Attachment* known = find_entry(volume.spec, node);
  meta::Attachment out = known != nullptr ? *known : meta::Attachment{};
  out.set_node(node.value);
  out.set_frontend(static_cast<uint32_t>(Frontend::kFuse));
  out.clear_leaving();
  return out;
}

Outcome<> check_room(const VolumeView& volume, const Topology& topology, NodeId node) {
  const auto nodes = volume.nodes_attached();
  if (volume.attachment_on(node) != nullptr || nodes.size() < core::kSharersMax) return {};
  return failure(Code::kLimit,
                 "volume {} is attached on {} nodes already, which is the limit: detach it on one "
                 "of them (`cleat host detach {} --node {}`)",
                 volume.spec.name(), nodes.size(), volume.spec.name(), topology.name(nodes.back()));
}

// Its I/O fails for good: another one is made in its place.
Outcome<> drop_dead_device(const VolumeView& volume, const meta::Attachment& entry,
                           NodeHandle& node) {
  if (!is_expelled(entry, volume.record)) return {};
  return node.ports().attach.detach(volume.id(), true);
}

}  // namespace

Outcome<> check_shared_frontend(const VolumeView& volume, bool nbd) {
  if (!nbd || !volume.spec.shared()) return {};
  return failure(
      Code::kUnsupported,
      "volume {} is shared, and NBD may write parts of blocks, which several nodes can't "
      "do at once: attach it with --frontend fuse",
      volume.spec.name());
}

bool SharedAttachments::is_served(const VolumeView& volume, const Topology& topology) const {
  const NodeId primary = volume.record.primary;
  if (primary.value == 0 || !topology.alive(primary)) return false;
  auto node = context_.nodes.node(primary);
  if (!node) return false;
  auto runtime = (*node)->ports().inspect.runtime(volume.id());
  return runtime ? runtime->attached : runtime.error().code == Code::kBusy;
}

Outcome<meta::Attachment> SharedAttachments::attach(const VolumeView& volume,
                                                    const Topology& topology, NodeId node,
                                                    bool force) {
  OUTCOME_TRY(check_room(volume, topology, node));
  const NodeId primary = volume.record.primary;
  const bool elsewhere = primary.value != 0 && primary != node;
  Claim claim{entry_for(volume, node), false, true};
  if (elsewhere && is_served(volume, topology)) return attach_through(volume, claim.entry);
  if (elsewhere) {
    OUTCOME_ASSIGN(claim.take_over, may_take_over(context_, volume, topology, force));
  }
  OUTCOME_ASSIGN(meta::Attachment attached, make_primary(volume, std::move(claim)));
  OUTCOME_TRY(expel_leavers(volume.id()));
  return attached;
}

Outcome<meta::Attachment> SharedAttachments::attach_through(const VolumeView& volume,
                                                            const meta::Attachment& known) {
  Claim claim{known, false, true};
  claim.entry.set_claim(context_.new_id());
  const NodeId node{known.node()};
  meta::VolumeSpec spec = volume.spec;
  put_entry(spec, claim.entry);
  OUTCOME_TRY(commit_spec(context_, volume, spec));
  AttachOptions options = options_for(volume);
  options.through_primary = true;
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  OUTCOME_TRY(drop_dead_device(volume, known, *handle));
  auto attached = handle->ports().attach.attach(volume.id(), options);
  if (attached) {
    claim.entry.set_device(attached->device);
    OUTCOME_TRY(record_device(volume.id(), claim));
    return claim.entry;
  }
  take_back(volume, claim.entry, false, attached.error());
  OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume.id()));
  if (now.record.primary == volume.record.primary) return tl::unexpected(attached.error());
  return failure(Code::kConflict, "volume {} got another primary meanwhile ({}): try again",
                 volume.spec.name(), attached.error().message);
}

Outcome<meta::Attachment> SharedAttachments::make_primary(const VolumeView& volume, Claim claim) {
  const NodeId node{claim.entry.node()};
  if (claim.anew || claim.entry.claim() == 0) claim.entry.set_claim(context_.new_id());
  meta::VolumeSpec spec = volume.spec;
  set_primary(spec, volume.record, claim.entry);
  spec.set_attached_unix_ms(context_.now_unix_ms());
  OUTCOME_TRY(commit_spec(context_, volume, spec));
  AttachOptions options = options_for(volume);
  options.take_over = claim.take_over;
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  OUTCOME_TRY(drop_dead_device(volume, claim.entry, *handle));
  auto attached = handle->ports().attach.attach(volume.id(), options);
  if (attached) {
    claim.entry.set_device(attached->device);
    OUTCOME_TRY(record_device(volume.id(), claim));
    return claim.entry;
  }
  take_back(volume, claim.entry, true, attached.error());
  if (attached.error().code != Code::kBusy) return tl::unexpected(attached.error());
  OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume.id()));
  if (now.record.primary == volume.record.primary) return tl::unexpected(attached.error());
  return failure(Code::kConflict, "volume {} was attached elsewhere meanwhile: try again",
                 volume.spec.name());
}

// The device is there: so is its entry, whatever a detach that began before it took away.
Outcome<> SharedAttachments::record_device(VolumeId volume, const Claim& claim) {
  const NodeId node{claim.entry.node()};
  meta::Attachment entry = claim.entry;
  entry.clear_leaving();
  if (claim.anew) entry.set_claim(context_.new_id());
  for (int i = 0; i < kTries; ++i) {
    OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume));
    const meta::Attachment* known = find_entry(now.spec, node);
    if (!claim.anew && known == nullptr) return undo_device(volume, node);
    if (!claim.anew && known->claim() != entry.claim()) return {};  // attached by somebody since
    if (now.record.primary == node) {
      set_primary(now.spec, now.record, entry);
    } else {
      put_entry(now.spec, entry);
    }
    auto done = commit_spec(context_, now, now.spec);
    if (done || done.error().code != Code::kConflict) return done;
  }
  return failure(Code::kConflict, "volume {} is changed by others all the time: try again",
                 volume.value);
}

// It was detached while it was to become primary.
Outcome<> SharedAttachments::undo_device(VolumeId volume, NodeId node) {
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  OUTCOME_TRY(handle->ports().attach.detach(volume, true));
  return failure(Code::kConflict, "volume {} was detached meanwhile: try again", volume.value);
}

void SharedAttachments::take_back(const VolumeView& before, const meta::Attachment& entry,
                                  bool as_primary, const Failure& why) {
  if (is_answer_lost(why)) return;
  auto done = update<meta::VolumeSpec>(
      context_.store, context_.keys.spec(before.id()),
      [&](auto& spec) { return take_back_entry(spec, before, entry, as_primary); });
  if (!done) LOG_INFO("volume {}: {}", before.spec.name(), done.error().message);
}

}  // namespace cleat::control
