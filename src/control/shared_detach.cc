// SharedAttachments: how a device goes.
#include <algorithm>

#include "common/log.h"
#include "control/record_codec.h"
#include "control/shared_attachments.h"
#include "control/shared_entries.h"
#include "control/takeover_check.h"

namespace cleat::control {
namespace {

constexpr int kTries = 16;

Outcome<> check_not_mounted(NodeHandle& node, const VolumeView& volume,
                            const meta::Attachment& entry, const std::string& name) {
  if (entry.device().empty()) return {};
  auto places = node.mounts().mounts(entry.device());
  if (!places || places->empty()) return {};
  return failure(Code::kBusy,
                 "volume {} is mounted on {} at {}: unmount it first (`cleat host unmount {} "
                 "--node {}`)",
                 volume.spec.name(), name, places->front().path, volume.spec.name(), name);
}

}  // namespace

Outcome<> SharedAttachments::detach_from(VolumeId volume, const Topology& topology, NodeId node,
                                         bool force) {
  for (int i = 1;; ++i) {
    OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume));
    auto done = detach_once(now, topology, node, force);
    if (done || done.error().code != Code::kConflict || i == kTries) return done;
  }
}

// The primary last: the others needn't find a new one to say farewell to.
Outcome<> SharedAttachments::detach_all(const VolumeView& volume, const Topology& topology,
                                        bool force) {
  std::vector<NodeId> nodes;
  for (const auto& entry : volume.spec.shared_attachments()) nodes.emplace_back(entry.node());
  if (volume.spec.has_attachment()) nodes.emplace_back(volume.spec.attachment().node());
  const NodeId primary = volume.record.primary;
  std::stable_partition(nodes.begin(), nodes.end(), [&](NodeId node) { return node != primary; });
  const bool healed = primary.value != 0 && topology.alive(primary) && !volume.attached();
  if (healed && find_entry(volume.spec, primary) == nullptr) nodes.push_back(primary);
  for (NodeId node : nodes) OUTCOME_TRY(detach_from(volume.id(), topology, node, force));
  return {};
}

Outcome<> SharedAttachments::detach_once(const VolumeView& volume, const Topology& topology,
                                         NodeId node, bool force) {
  const meta::Attachment* found = find_entry(volume.spec, node);
  const bool is_primary = volume.record.primary == node;
  if (found == nullptr && !is_primary) return {};
  const meta::Attachment entry = found != nullptr ? *found : meta::Attachment{};
  if (!topology.alive(node)) return detach_offline(volume, topology, node, force);
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  if (!force) OUTCOME_TRY(check_not_mounted(*handle, volume, entry, topology.name(node)));
  OUTCOME_TRY(handle->ports().attach.detach(volume.id(), force));
  if (found != nullptr) OUTCOME_TRY(forget_entry(volume, entry));
  if (!is_primary) return {};
  auto promoted = promote(volume.id(), force);  // else the reconciler does
  if (!promoted) LOG_INFO("volume {}: {}", volume.spec.name(), promoted.error().message);
  return {};
}

// Its device is gone. What was attached anew since stays, and who became primary since still has
// one.
Outcome<> SharedAttachments::forget_entry(const VolumeView& before, const meta::Attachment& entry) {
  const NodeId node{entry.node()};
  for (int i = 0; i < kTries; ++i) {
    OUTCOME_ASSIGN(VolumeView now, load_volume(context_, before.id()));
    const meta::Attachment* known = find_entry(now.spec, node);
    if (known == nullptr || known->claim() != entry.claim()) return {};
    if (now.record.primary == node && now.record.epoch != before.record.epoch) {
      return failure(Code::kConflict, "volume {} got its primary there meanwhile: try again",
                     now.spec.name());
    }
    erase_entry(now.spec, node);
    auto done = commit_spec(context_, now, now.spec);
    if (done || done.error().code != Code::kConflict) return done;
  }
  return failure(Code::kConflict, "volume {} is changed by others all the time: try again",
                 before.spec.name());
}

Outcome<> SharedAttachments::detach_offline(const VolumeView& volume, const Topology& topology,
                                            NodeId node, bool force) {
  const std::string& name = volume.spec.name();
  if (volume.record.primary == node && next_primaries(volume, topology).empty()) {
    return failure(Code::kUnreachable,
                   "volume {} is attached on {}, which is offline: to use it elsewhere, attach it "
                   "there with --force",
                   name, topology.name(node));
  }
  if (!force) {
    return failure(Code::kUnreachable,
                   "volume {} is attached on {}, which is offline and may still use it: with "
                   "--force it is expelled, and its device fails from then on",
                   name, topology.name(node));
  }
  if (!lacks_primary(volume, topology)) return expel_offline(volume, topology, node);
  OUTCOME_TRY(promote(volume.id(), true));
  OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume.id()));
  return expel_offline(now, topology, node);
}

Outcome<> SharedAttachments::expel_offline(const VolumeView& volume, const Topology& topology,
                                           NodeId node) {
  const meta::Attachment* found = find_entry(volume.spec, node);
  if (found == nullptr) return {};  // it was leaving, and has gone
  const meta::Attachment entry = *found;
  const NodeId primary = volume.record.primary;
  if (primary.value != 0 && topology.alive(primary)) {
    OUTCOME_ASSIGN(auto handle, context_.nodes.node(primary));
    OUTCOME_TRY(handle->ports().attach.expel(volume.id(), node));
  } else if (volume.record.has_sharer(node) || primary == node) {
    if (primary.value != 0) {
      return failure(Code::kUnreachable,
                     "volume {}: {} can't be expelled, because its primary {} is offline too: "
                     "attach the volume on a node that is online with --force first",
                     volume.spec.name(), topology.name(node), topology.name(primary));
    }
    OUTCOME_TRY(drop_from_record(volume, node));
  }
  LOG_WARN("volume {}: {} is expelled", volume.spec.name(), topology.name(node));
  return forget_entry(volume, entry);
}

// Without a primary no node has the volume open, so that the record is nobody's.
Outcome<> SharedAttachments::drop_from_record(const VolumeView& volume, NodeId node) {
  core::VolumeRecord record = volume.record;
  std::erase(record.sharers, node);
  const std::string key = context_.keys.record(volume.id());
  OUTCOME_TRY(context_.store.commit(
      Txn{}.require(key, volume.record_revision).put(key, encode_record(record))));
  return {};
}

}  // namespace cleat::control
