// Nodes and pools of the cluster (the Nodes and Pools services of api/control.proto).
//
// Threading: any thread.
#pragma once

#include "api/control.pb.h"
#include "control/cluster_view.h"

namespace cleat::control {

class NodeManager {
 public:
  explicit NodeManager(const ControlContext& context) : context_(context) {}

  Outcome<v1::ListNodesResponse> list();
  Outcome<v1::Node> inspect(const v1::InspectNodeRequest& request);
  Outcome<v1::Node> maintenance(const v1::MaintenanceRequest& request);
  Outcome<v1::DecommissionResponse> decommission(const v1::DecommissionRequest& request);

 private:
  Outcome<> give_up(NodeId id, const ClusterView& view);
  const ControlContext& context_;
};

class PoolManager {
 public:
  explicit PoolManager(const ControlContext& context) : context_(context) {}

  Outcome<v1::Pool> create(const v1::CreatePoolRequest& request);
  Outcome<v1::ListPoolsResponse> list(const v1::ListPoolsRequest& request);
  Outcome<v1::Pool> inspect(const v1::InspectPoolRequest& request);
  Outcome<> remove(const v1::DeletePoolRequest& request);

 private:
  Outcome<PoolId> resolve(const std::string& id_or_path, const Topology& topology) const;
  Outcome<> fill_from_node(const ClusterView& view, NodeId node,
                           const std::vector<v1::Pool*>& pools, bool with_replicas);
  void fill(const ClusterView& view, NodeId node, const std::vector<v1::Pool*>& pools,
            bool with_replicas);
  const ControlContext& context_;
};

// What a node's own word about a pool becomes in the metadata.
meta::Pool to_meta(const PoolInfo& pool, NodeId node);

}  // namespace cleat::control
