// The metadata as one reading of the store found it: a handful of range reads, whatever the number
// of volumes. The parts are from slightly different moments; who changes something compares
// revisions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/meta.pb.h"
#include "control/context.h"
#include "core/types.h"

namespace cleat::control {

struct NodeView {
  meta::Node node;
  Revision revision;
  bool alive = false;
};

struct VolumeView {
  meta::VolumeSpec spec;
  Revision spec_revision;
  core::VolumeRecord record;
  Revision record_revision;
  std::vector<meta::Snapshot> snapshots;  // as people know them, oldest first

  VolumeId id() const { return record.id; }
  // A device is served; not merely open to heal.
  bool attached() const {
    return record.primary.value != 0 && spec.has_attachment() &&
           spec.attachment().node() == record.primary.value;
  }
  // Attached, or shared and nodes have devices that wait for a primary.
  bool in_use() const { return !nodes_attached().empty(); }
  // What was asked for and is there: of the primary, and of the other nodes of a shared volume.
  // Null when there is none on `node`.
  const meta::Attachment* attachment_on(NodeId node) const;
  // The primary first.
  std::vector<NodeId> nodes_attached() const;
  uint32_t in_sync_count() const;
  std::string label(const std::string& key) const;  // "": it has none of this key
};

// What is taken of a pool, 0 to 1; 0 while its capacity is not known.
double used_share(const meta::Pool& pool);

struct Topology {
  std::map<NodeId, NodeView> nodes;
  std::map<PoolId, meta::Pool> pools;

  static Outcome<Topology> load(const ControlContext& context);
  const NodeView* find(NodeId id) const;
  bool alive(NodeId id) const;
  std::string name(NodeId id) const;  // the id when the node is unknown
  std::string address(NodeId id) const;
  // By name or id. kNotFound lists what there is.
  Outcome<NodeId> resolve(const std::string& name_or_id) const;
};

struct ClusterView {
  Topology topology;
  std::map<VolumeId, VolumeView> volumes;
  std::vector<std::string> damaged;  // volumes whose values can't be read, in words

  static Outcome<ClusterView> load(const ControlContext& context);
  std::vector<core::PoolCandidate> candidates() const;
  // Clones based on any snapshot of `volume`, or on the one.
  std::vector<const VolumeView*> clones_of(VolumeId volume, SnapshotId snapshot = {}) const;
};

// What a name or an id means.
struct VolumeRef {
  VolumeId volume;
  SnapshotId snapshot;  // none: the volume itself
};
// kNotFound.
Outcome<VolumeRef> resolve_volume(const ControlContext& context, const std::string& name_or_id);
Outcome<VolumeView> load_volume(const ControlContext& context, VolumeId id);
// Of the one volume; from a snapshot's name kInvalidArgument.
Outcome<VolumeView> load_volume(const ControlContext& context, const std::string& name_or_id);
// kConflict: the spec or the record was changed since `read`, and nothing is written.
Outcome<> commit_spec(const ControlContext& context, const VolumeView& read,
                      const meta::VolumeSpec& spec);

}  // namespace cleat::control
