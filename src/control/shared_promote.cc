// SharedAttachments: another primary, and who has to go then.
#include <algorithm>

#include "common/log.h"
#include "control/record_codec.h"
#include "control/shared_attachments.h"
#include "control/shared_entries.h"
#include "control/takeover_check.h"
#include "control/typed_store.h"

namespace cleat::control {

// Where the first choice refuses, the next one is asked. After a lost answer it may be primary all
// the same: the next pass sees. Each try takes many seconds, in which the primary may come back.
Outcome<> SharedAttachments::promote(VolumeId volume, bool force, NodeId lost) {
  constexpr int kTries = 32;
  std::set<NodeId> tried;
  Outcome<> result;
  for (int i = 0; i < kTries; ++i) {
    OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume));
    OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
    const bool replace = lost.value != 0 && now.attached() && now.record.primary == lost;
    if (!replace && !lacks_primary(now, topology)) return {};
    if (!replace && !force && !is_primary_gone(now, topology)) return {};
    if (is_served(now, topology)) return replace ? Outcome<>{} : adopt(now);
    Claim claim;
    if (now.record.primary.value != 0) {
      OUTCOME_ASSIGN(claim.take_over, may_take_over(context_, now, topology, now.attached()));
    }
    NodeId node;
    for (NodeId each : next_primaries(now, topology)) {
      if (node.value == 0 && each != lost && tried.insert(each).second) node = each;
    }
    if (node.value == 0) return result;
    claim.entry = *find_entry(now.spec, node);
    auto made = make_primary(now, claim);
    if (made) {
      LOG_WARN("volume {}: {} is primary now", now.spec.name(), topology.name(node));
      return expel_leavers(volume);
    }
    result = tl::unexpected(made.error());
    if (is_answer_lost(made.error())) return result;
    if (made.error().code == Code::kConflict) tried.erase(node);
  }
  return result;
}

// The primary serves, and its entry is missing or beside the others: a crash cut somebody short.
Outcome<> SharedAttachments::adopt(const VolumeView& volume) {
  const NodeId primary = volume.record.primary;
  const meta::Attachment* known = find_entry(volume.spec, primary);
  if (known != nullptr) return record_device(volume.id(), {*known, false, false});
  OUTCOME_ASSIGN(auto node, context_.nodes.node(primary));
  OUTCOME_ASSIGN(VolumeRuntime runtime, node->ports().inspect.runtime(volume.id()));
  meta::Attachment entry;
  entry.set_node(primary.value);
  entry.set_frontend(static_cast<uint32_t>(Frontend::kFuse));
  entry.set_device(runtime.device);
  return record_device(volume.id(), {entry, false, true});
}

// The nodes are read last: one that had just joined the cluster would seem decommissioned.
Outcome<> SharedAttachments::expel_leavers(VolumeId volume) {
  OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  for (const auto& entry : now.spec.shared_attachments()) {
    const NodeId node{entry.node()};
    const bool gone = topology.find(node) == nullptr;  // decommissioned
    if (!entry.leaving() && !gone) continue;
    if (!now.attached() || !topology.alive(now.record.primary)) {
      return failure(Code::kUnreachable,
                     "volume {} has no primary that is online, which could expel {}: it is done as "
                     "soon as it has one",
                     now.spec.name(), topology.name(node));
    }
    OUTCOME_ASSIGN(auto primary, context_.nodes.node(now.record.primary));
    OUTCOME_TRY(primary->ports().attach.expel(volume, node));
    LOG_WARN("volume {}: {} is expelled", now.spec.name(), topology.name(node));
    OUTCOME_TRY(forget_entry(now, entry));
  }
  return expel_strangers(volume, topology);
}

// The record is read first: who is in it then has an entry, or had one that went with its device.
Outcome<> SharedAttachments::expel_strangers(VolumeId volume, const Topology& topology) {
  OUTCOME_ASSIGN(auto stored, context_.store.get(context_.keys.record(volume)));
  OUTCOME_ASSIGN(auto spec, load<meta::VolumeSpec>(context_.store, context_.keys.spec(volume)));
  if (!stored || !spec) return {};
  OUTCOME_ASSIGN(core::VolumeRecord record, decode_record(stored->value));
  const bool served = record.primary.value != 0 && topology.alive(record.primary) &&
                      spec->value.attachment().node() == record.primary.value;
  if (!served) return {};
  for (NodeId sharer : record.sharers) {
    if (sharer == record.primary || find_entry(spec->value, sharer) != nullptr) continue;
    OUTCOME_ASSIGN(auto primary, context_.nodes.node(record.primary));
    OUTCOME_TRY(primary->ports().attach.expel(volume, sharer));
    LOG_WARN("volume {}: {}, which is not attached, is expelled", spec->value.name(),
             topology.name(sharer));
  }
  return {};
}

namespace {

// Expelled while it was offline: what it had is of no use any more.
bool is_dead(const meta::Attachment& entry, const VolumeView& volume, const Topology& topology) {
  return is_expelled(entry, volume.record) && !topology.alive(NodeId{entry.node()});
}

// A farewell that no primary heard: the next one would wait for nothing.
bool is_ownerless(const VolumeView& volume) {
  return volume.record.primary.value == 0 && !volume.record.sharers.empty() && !volume.in_use();
}

bool has_leavers(const VolumeView& volume, const Topology& topology) {
  const auto& entries = volume.spec.shared_attachments();
  return std::any_of(entries.begin(), entries.end(),
                     [&](const auto& entry) {
                       return entry.leaving() || topology.find(NodeId{entry.node()}) == nullptr;
                     }) ||
         std::any_of(volume.record.sharers.begin(), volume.record.sharers.end(),
                     [&](NodeId sharer) { return find_entry(volume.spec, sharer) == nullptr; });
}

}  // namespace

bool SharedAttachments::needs_care(const VolumeView& volume, const Topology& topology) const {
  if (!volume.spec.shared() || volume.spec.state() != meta::VolumeSpec::UP) return false;
  if (lacks_primary(volume, topology)) return !next_primaries(volume, topology).empty();
  if (is_ownerless(volume)) return true;
  if (!volume.attached() || !topology.alive(volume.record.primary)) return false;
  const auto& entries = volume.spec.shared_attachments();
  return has_leavers(volume, topology) ||
         std::any_of(entries.begin(), entries.end(),
                     [&](const auto& entry) { return is_dead(entry, volume, topology); });
}

// A cleatd that is restarted is offline for a moment, too.
bool SharedAttachments::is_primary_gone(const VolumeView& volume, const Topology& topology) const {
  const NodeView* node = topology.find(volume.record.primary);
  if (volume.record.primary.value == 0 || node == nullptr || node->alive) return true;
  const auto since = std::chrono::milliseconds(node->node.last_seen_unix_ms());
  const Duration after = node->node.restarting() ? context_.limits.takeover_after_stop
                                                 : context_.limits.takeover_after;
  return since.count() != 0 && since + after <= std::chrono::milliseconds(context_.now_unix_ms());
}

Outcome<bool> SharedAttachments::look_after(const VolumeView& volume, const Topology& topology) {
  if (lacks_primary(volume, topology)) {
    if (!is_primary_gone(volume, topology)) return true;
    auto done = promote(volume.id(), false);
    if (!done) LOG_INFO("volume {} has no primary: {}", volume.spec.name(), done.error().message);
    OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume.id()));
    OUTCOME_ASSIGN(Topology nodes, Topology::load(context_));
    return lacks_primary(now, nodes);
  }
  if (is_ownerless(volume)) {
    for (NodeId sharer : volume.record.sharers) OUTCOME_TRY(drop_from_record(volume, sharer));
    return false;
  }
  for (const auto& entry : volume.spec.shared_attachments()) {
    if (is_dead(entry, volume, topology)) OUTCOME_TRY(forget_entry(volume, entry));
  }
  OUTCOME_TRY(expel_leavers(volume.id()));
  return false;
}

}  // namespace cleat::control
