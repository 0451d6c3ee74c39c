#include "control/shared_entries.h"

#include <algorithm>

namespace cleat::control {
namespace {

// Of a device, not of an attach that only began: such an intent may be overwritten.
bool counts(const meta::VolumeSpec& spec, const core::VolumeRecord& record) {
  if (!spec.has_attachment()) return false;
  const NodeId node{spec.attachment().node()};
  return record.primary == node || record.has_sharer(node);
}

void erase_shared(meta::VolumeSpec& spec, NodeId node) {
  auto* entries = spec.mutable_shared_attachments();
  auto rest = std::remove_if(entries->begin(), entries->end(),
                             [&](const auto& entry) { return entry.node() == node.value; });
  entries->erase(rest, entries->end());
}

const meta::Attachment* find_shared(const meta::VolumeSpec& spec, NodeId node) {
  for (const auto& entry : spec.shared_attachments()) {
    if (entry.node() == node.value) return &entry;
  }
  return nullptr;
}

int worth(NodeId node, const VolumeView& volume, const Topology& topology) {
  const auto& record = volume.record;
  if (node == record.primary) return 16;
  int out = record.has_sharer(node) ? 4 : 0;
  for (const auto& replica : record.replicas) {
    if (replica.node == node && replica.state == core::ReplicaState::kInSync) out += 2;
  }
  if (!topology.find(node)->node.maintenance()) out += 1;
  if (!volume.attached() && volume.spec.attachment().node() == node.value) out -= 16;
  return out;
}

}  // namespace

const meta::Attachment* find_entry(const meta::VolumeSpec& spec, NodeId node) {
  if (spec.has_attachment() && spec.attachment().node() == node.value) return &spec.attachment();
  return find_shared(spec, node);
}

std::vector<meta::Attachment> entries_of(const VolumeView& volume) {
  std::vector<meta::Attachment> out;
  for (NodeId node : volume.nodes_attached()) out.push_back(*volume.attachment_on(node));
  return out;
}

void put_entry(meta::VolumeSpec& spec, const meta::Attachment& entry) {
  if (spec.has_attachment() && spec.attachment().node() == entry.node()) {
    *spec.mutable_attachment() = entry;
    return;
  }
  erase_shared(spec, NodeId{entry.node()});
  *spec.add_shared_attachments() = entry;
}

void erase_entry(meta::VolumeSpec& spec, NodeId node) {
  erase_shared(spec, node);
  if (spec.attachment().node() == node.value) spec.clear_attachment();
}

void set_primary(meta::VolumeSpec& spec, const core::VolumeRecord& record,
                 const meta::Attachment& entry) {
  const meta::Attachment before = spec.attachment();
  const bool keep = counts(spec, record) && before.node() != entry.node();
  erase_shared(spec, NodeId{entry.node()});
  *spec.mutable_attachment() = entry;
  if (!keep) return;
  erase_shared(spec, NodeId{before.node()});
  meta::Attachment* other = spec.add_shared_attachments();
  *other = before;
  if (record.primary.value == before.node()) other->set_leaving(true);
}

bool take_back_entry(meta::VolumeSpec& spec, const VolumeView& before,
                     const meta::Attachment& entry, bool as_primary) {
  const NodeId node{entry.node()};
  const meta::Attachment* now = find_entry(spec, node);
  if (now == nullptr || now->claim() != entry.claim()) return false;
  if (as_primary != (now == &spec.attachment())) return false;
  erase_entry(spec, node);
  if (const auto* known = find_shared(before.spec, node)) *spec.add_shared_attachments() = *known;
  if (!as_primary || !before.spec.has_attachment()) return true;
  const meta::Attachment& other = before.spec.attachment();
  const NodeId other_node{other.node()};
  const bool moved = counts(before.spec, before.record) && other_node != node;
  if (moved && find_shared(spec, other_node) == nullptr) return true;  // detached since
  erase_shared(spec, other_node);
  *spec.mutable_attachment() = other;
  return true;
}

bool is_expelled(const meta::Attachment& entry, const core::VolumeRecord& record) {
  const NodeId node{entry.node()};
  return !entry.device().empty() && record.primary != node && !record.has_sharer(node);
}

bool lacks_primary(const VolumeView& volume, const Topology& topology) {
  if (!volume.spec.shared() || volume.spec.state() != meta::VolumeSpec::UP) return false;
  const auto entries = entries_of(volume);
  if (!volume.attached()) return !entries.empty();
  return !topology.alive(volume.record.primary) && entries.size() > 1;
}

std::vector<NodeId> next_primaries(const VolumeView& volume, const Topology& topology) {
  std::vector<NodeId> out;
  for (const auto& entry : entries_of(volume)) {
    if (!entry.leaving() && topology.alive(NodeId{entry.node()})) out.emplace_back(entry.node());
  }
  std::stable_sort(out.begin(), out.end(), [&](NodeId a, NodeId b) {
    return worth(a, volume, topology) > worth(b, volume, topology);
  });
  return out;
}

}  // namespace cleat::control
