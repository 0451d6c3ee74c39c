#include "control/cluster_view.h"

#include <algorithm>

#include "control/record_codec.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

bool all_digits(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

Outcome<VolumeView> join(meta::VolumeSpec spec, Revision spec_revision, const std::string& record,
                         Revision record_revision) {
  VolumeView out;
  OUTCOME_ASSIGN(out.record, decode_record(record));
  out.spec = std::move(spec);
  out.spec_revision = spec_revision;
  out.record_revision = record_revision;
  return out;
}

bool older(const meta::Snapshot& a, const meta::Snapshot& b) {
  return std::pair(a.created_unix_ms(), a.id()) < std::pair(b.created_unix_ms(), b.id());
}

}  // namespace

uint32_t VolumeView::in_sync_count() const {
  return static_cast<uint32_t>(std::count_if(
      record.replicas.begin(), record.replicas.end(),
      [](const auto& replica) { return replica.state == core::ReplicaState::kInSync; }));
}

const meta::Attachment* VolumeView::attachment_on(NodeId node) const {
  // Also of a sharer that is to become primary.
  const bool first = spec.has_attachment() && spec.attachment().node() == node.value;
  if (first && (record.primary == node || record.has_sharer(node))) return &spec.attachment();
  for (const auto& entry : spec.shared_attachments()) {
    if (entry.node() == node.value) return &entry;
  }
  return nullptr;
}

std::vector<NodeId> VolumeView::nodes_attached() const {
  std::vector<NodeId> out;
  const NodeId first{spec.attachment().node()};
  if (attached() || (spec.has_attachment() && record.has_sharer(first))) out.push_back(first);
  for (const auto& entry : spec.shared_attachments()) {
    if (out.empty() || out.front().value != entry.node()) out.push_back(NodeId{entry.node()});
  }
  return out;
}

std::string VolumeView::label(const std::string& key) const {
  auto found = spec.labels().find(key);
  return found == spec.labels().end() ? std::string{} : found->second;
}

double used_share(const meta::Pool& pool) {
  if (pool.capacity_bytes() == 0) return 0;
  return 1.0 - static_cast<double>(pool.free_bytes()) / static_cast<double>(pool.capacity_bytes());
}

Outcome<Topology> Topology::load(const ControlContext& context) {
  Topology out;
  OUTCOME_ASSIGN(auto nodes, load_all<meta::Node>(context.store, context.keys.nodes()));
  for (auto& entry : nodes) {
    NodeId id{entry.value.id()};
    out.nodes[id] = {std::move(entry.value), entry.revision, false};
  }
  OUTCOME_ASSIGN(auto alive, load_all<meta::NodeAlive>(context.store, context.keys.alive()));
  for (const auto& entry : alive) {
    auto node = out.nodes.find(NodeId{entry.value.id()});
    if (node != out.nodes.end()) node->second.alive = true;
  }
  OUTCOME_ASSIGN(auto pools, load_all<meta::Pool>(context.store, context.keys.pools()));
  for (auto& entry : pools) {
    PoolId id{entry.value.id()};
    out.pools[id] = std::move(entry.value);
  }
  return out;
}

const NodeView* Topology::find(NodeId id) const {
  auto it = nodes.find(id);
  return it == nodes.end() ? nullptr : &it->second;
}

bool Topology::alive(NodeId id) const {
  const NodeView* node = find(id);
  return node != nullptr && node->alive;
}

std::string Topology::name(NodeId id) const {
  const NodeView* node = find(id);
  return node != nullptr ? node->node.name() : Keys::text(id.value);
}

std::string Topology::address(NodeId id) const {
  const NodeView* node = find(id);
  return node != nullptr ? node->node.address() : std::string{};
}

Outcome<NodeId> Topology::resolve(const std::string& name_or_id) const {
  std::string known;
  for (const auto& [id, node] : nodes) {
    if (node.node.name() == name_or_id || Keys::text(id.value) == name_or_id) return id;
    known += (known.empty() ? "" : ", ") + node.node.name();
  }
  return failure(Code::kNotFound, "there is no node \"{}\": the cluster has {}", name_or_id, known);
}

Outcome<ClusterView> ClusterView::load(const ControlContext& context) {
  ClusterView out;
  OUTCOME_ASSIGN(out.topology, Topology::load(context));
  OUTCOME_ASSIGN(auto specs, load_all<meta::VolumeSpec>(context.store, context.keys.specs()));
  OUTCOME_ASSIGN(Listing records, context.store.list(context.keys.records()));
  OUTCOME_ASSIGN(auto snapshots, load_all<meta::Snapshot>(context.store, context.keys.snapshots()));
  // Both lists are sorted by the same ids.
  auto record = records.entries.begin();
  for (auto& spec : specs) {
    const std::string key = context.keys.record(VolumeId{spec.value.id()});
    while (record != records.entries.end() && record->key < key) ++record;
    if (record == records.entries.end() || record->key != key) continue;  // just made or deleted
    auto volume = join(std::move(spec.value), spec.revision, record->value, record->revision);
    if (!volume) {
      out.damaged.push_back(fmt::format("{}: {}", key, volume.error().message));
      continue;
    }
    VolumeId id = volume->id();
    out.volumes.emplace_hint(out.volumes.end(), id, std::move(*volume));
  }
  for (auto& snapshot : snapshots) {
    auto volume = out.volumes.find(VolumeId{snapshot.value.volume()});
    if (volume != out.volumes.end()) volume->second.snapshots.push_back(std::move(snapshot.value));
  }
  for (auto& [id, volume] : out.volumes) {
    if (volume.snapshots.size() > 1) {
      std::sort(volume.snapshots.begin(), volume.snapshots.end(), older);
    }
  }
  return out;
}

std::vector<core::PoolCandidate> ClusterView::candidates() const {
  std::map<PoolId, uint64_t> provisioned;
  for (const auto& [id, volume] : volumes) {
    for (const auto& replica : volume.record.replicas) {
      provisioned[replica.pool] += volume.record.size_blocks * kBlockSize;
    }
  }
  std::vector<core::PoolCandidate> out;
  for (const auto& [id, pool] : topology.pools) {
    const NodeView* node = topology.find(NodeId{pool.node()});
    core::PoolCandidate candidate;
    candidate.pool = id;
    candidate.node = NodeId{pool.node()};
    candidate.pool_class = pool.pool_class();
    candidate.capacity_bytes = pool.capacity_bytes();
    candidate.free_bytes = pool.free_bytes();
    candidate.provisioned_bytes = provisioned[id];
    candidate.usable = node != nullptr && node->alive && !node->node.maintenance() &&
                       !node->node.decommissioning() && !pool.failed();
    if (node != nullptr) {
      candidate.rack = node->node.rack();
      candidate.zone = node->node.zone();
    }
    out.push_back(std::move(candidate));
  }
  return out;
}

std::vector<const VolumeView*> ClusterView::clones_of(VolumeId volume, SnapshotId snapshot) const {
  std::vector<const VolumeView*> out;
  for (const auto& [id, view] : volumes) {
    if (view.record.parent_volume != volume) continue;
    if (snapshot.value == 0 || view.record.parent_snapshot == snapshot) out.push_back(&view);
  }
  return out;
}

Outcome<VolumeRef> resolve_volume(const ControlContext& context, const std::string& name_or_id) {
  if (name_or_id.empty()) return failure(Code::kInvalidArgument, "no volume is named");
  if (all_digits(name_or_id)) {
    auto id = Keys::id_of(name_or_id);
    if (id) {
      OUTCOME_ASSIGN(auto spec, context.store.get(context.keys.spec(VolumeId{*id})));
      if (spec) return VolumeRef{VolumeId{*id}, {}};
      OUTCOME_ASSIGN(auto snapshot,
                     load<meta::Snapshot>(context.store, context.keys.snapshot(SnapshotId{*id})));
      if (snapshot) return VolumeRef{VolumeId{snapshot->value.volume()}, SnapshotId{*id}};
    }
    return failure(Code::kNotFound, "there is no volume or snapshot with the id {}", name_or_id);
  }
  OUTCOME_ASSIGN(auto name, load<meta::Name>(context.store, context.keys.name(name_or_id)));
  if (!name) {
    return failure(Code::kNotFound,
                   "there is no volume or snapshot \"{}\": `cleat volume list` shows "
                   "what there is",
                   name_or_id);
  }
  return VolumeRef{VolumeId{name->value.volume()}, SnapshotId{name->value.snapshot()}};
}

Outcome<VolumeView> load_volume(const ControlContext& context, VolumeId id) {
  OUTCOME_ASSIGN(auto spec, load<meta::VolumeSpec>(context.store, context.keys.spec(id)));
  OUTCOME_ASSIGN(auto record, context.store.get(context.keys.record(id)));
  if (!spec || !record) return failure(Code::kNotFound, "volume {} was deleted", id.value);
  OUTCOME_ASSIGN(VolumeView out,
                 join(std::move(spec->value), spec->revision, record->value, record->revision));
  for (const auto& snapshot : out.record.snapshots) {
    OUTCOME_ASSIGN(auto known,
                   load<meta::Snapshot>(context.store, context.keys.snapshot(snapshot.id)));
    if (known) out.snapshots.push_back(std::move(known->value));
  }
  return out;
}

Outcome<VolumeView> load_volume(const ControlContext& context, const std::string& name_or_id) {
  OUTCOME_ASSIGN(VolumeRef ref, resolve_volume(context, name_or_id));
  if (ref.snapshot.value != 0) {
    return failure(Code::kInvalidArgument,
                   "\"{}\" is a snapshot: name a volume, or clone the snapshot "
                   "first",
                   name_or_id);
  }
  return load_volume(context, ref.volume);
}

Outcome<> commit_spec(const ControlContext& context, const VolumeView& read,
                      const meta::VolumeSpec& spec) {
  const std::string key = context.keys.spec(read.id());
  auto done =
      context.store.commit(Txn{}
                               .require(key, read.spec_revision)
                               .require(context.keys.record(read.id()), read.record_revision)
                               .put(key, spec.SerializeAsString()));
  if (done) return {};
  if (done.error().code != Code::kConflict) return tl::unexpected(done.error());
  return failure(Code::kConflict, "volume {} is changed by others all the time: try again",
                 read.spec.name());
}

}  // namespace cleat::control
