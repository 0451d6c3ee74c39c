// Who this node is, and which cluster it belongs to: data_dir/identity, a small text file. And the
// checks of R11 that stand before every join.
#pragma once

#include <string>
#include <vector>

#include "control/context.h"
#include "control/node_types.h"

namespace cleat::control {

struct NodeIdentity {
  NodeId node;
  std::string cluster_uuid;  // empty: has not joined one yet
  uint64_t cluster_incarnation = 0;

  // Reads the file, or makes a node id and the file. kCorrupt: the file is damaged; kIoError.
  static Outcome<NodeIdentity> load_or_make(const std::string& data_dir,
                                            const std::function<uint64_t()>& random);
  // Durable when it returns.
  Outcome<> save(const std::string& data_dir) const;
};

// Checks that etcd holds this node's cluster and knows at least what the node's replicas know
// (R11); makes the cluster when there is none yet and the node never had one. Raises the
// incarnation and returns the identity to save. Refusals, all kConflict but the first:
//   kUnsupported  a newer layout than this cleatd knows
//   another cluster's data on this prefix; no data though the node has a cluster; an incarnation or
//   a volume's epoch below what the node knows: an etcd restored from an older backup.
Outcome<NodeIdentity> join_cluster(const ControlContext& context, const NodeIdentity& known,
                                   const std::vector<LocalReplica>& replicas);

// A person's word after such a refusal (`cleat cluster rebuild-metadata`): etcd is given the
// cluster that the node remembers, with a higher incarnation.
Outcome<NodeIdentity> adopt_cluster(const ControlContext& context, const NodeIdentity& known);

}  // namespace cleat::control
