#include "control/node_manager.h"

#include <algorithm>
#include <future>
#include <map>

#include "common/log.h"
#include "control/api_views.h"
#include "control/record_codec.h"
#include "control/typed_store.h"
#include "control/volume_ops.h"
#include "core/placement.h"

namespace cleat::control {
namespace {

bool has_replica(const VolumeView& volume, NodeId node) {
  return std::any_of(volume.record.replicas.begin(), volume.record.replicas.end(),
                     [&](const auto& replica) { return replica.node == node; });
}

Outcome<v1::Node> show_node(const ControlContext& context, NodeId id) {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context));
  const NodeView* node = view.topology.find(id);
  if (node == nullptr) return failure(Code::kNotFound, "the node has left the cluster");
  v1::Node out = to_api(*node, view);
  for (const auto& [volume_id, volume] : view.volumes) {
    if (volume.attachment_on(id) != nullptr) out.add_attached_volumes(volume.spec.name());
    if (has_replica(volume, id)) out.add_replica_volumes(volume.spec.name());
  }
  return out;
}

}  // namespace

meta::Pool to_meta(const PoolInfo& pool, NodeId node) {
  meta::Pool out;
  out.set_id(pool.pool.value);
  out.set_node(node.value);
  out.set_path(pool.path);
  out.set_pool_class(pool.pool_class);
  out.set_capacity_bytes(pool.capacity_bytes);
  out.set_used_bytes(pool.used_bytes);
  out.set_free_bytes(pool.free_bytes);
  out.set_failed(pool.failed);
  out.set_problem(pool.problem);
  return out;
}

Outcome<v1::ListNodesResponse> NodeManager::list() {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  v1::ListNodesResponse out;
  for (const auto& [id, node] : view.topology.nodes) *out.add_nodes() = to_api(node, view);
  std::sort(out.mutable_nodes()->pointer_begin(), out.mutable_nodes()->pointer_end(),
            [](const auto* a, const auto* b) { return a->name() < b->name(); });
  return out;
}

Outcome<v1::Node> NodeManager::inspect(const v1::InspectNodeRequest& request) {
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  NodeId id = context_.self;
  if (!request.node().empty()) {
    OUTCOME_ASSIGN(id, topology.resolve(request.node()));
  }
  return show_node(context_, id);
}

Outcome<v1::Node> NodeManager::maintenance(const v1::MaintenanceRequest& request) {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  NodeId id = context_.self;
  if (!request.node().empty()) {
    OUTCOME_ASSIGN(id, view.topology.resolve(request.node()));
  }
  for (const auto& [volume_id, volume] : view.volumes) {
    if (request.enter() && !request.force() && volume.attachment_on(id) != nullptr) {
      return failure(Code::kBusy, "volume {} is attached on {}: detach it first, or use --force",
                     volume.spec.name(), view.topology.name(id));
    }
  }
  OUTCOME_TRY(update<meta::Node>(context_.store, context_.keys.node(id), [&](auto& node) {
    node.set_maintenance(request.enter());
    return true;
  }));
  return show_node(context_, id);
}

// The node is gone for ever: its replicas leave the records here, without asking it.
Outcome<> NodeManager::give_up(NodeId id, const ClusterView& view) {
  for (const auto& [volume_id, volume] : view.volumes) {
    // A sharer without more is expelled by its primary, when the node is forgotten.
    if (!has_replica(volume, id) && volume.record.primary != id) continue;
    core::VolumeRecord record = volume.record;
    std::erase_if(record.replicas, [&](const auto& replica) { return replica.node == id; });
    const bool in_sync_left = std::any_of(
        record.replicas.begin(), record.replicas.end(),
        [](const auto& replica) { return replica.state == core::ReplicaState::kInSync; });
    if (!in_sync_left) {
      LOG_WARN("volume {} had its last in-sync replica on the node that is given up",
               volume.spec.name());
    }
    if (record.primary == id) {
      record.primary = NodeId{};
      record.clean = false;
      std::erase(record.sharers, id);
    }
    record.epoch = record.epoch.next();  // fences the node, should it live after all (R4)
    OUTCOME_TRY(
        context_.store.commit(Txn{}
                                  .require(context_.keys.record(volume_id), volume.record_revision)
                                  .put(context_.keys.record(volume_id), encode_record(record))));
  }
  return {};
}

Outcome<v1::DecommissionResponse> NodeManager::decommission(
    const v1::DecommissionRequest& request) {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  auto known = view.topology.resolve(request.node());
  v1::DecommissionResponse out;
  if (!known && known.error().code == Code::kNotFound && view.topology.nodes.size() > 0 &&
      !request.cancel()) {
    return tl::unexpected(known.error());
  }
  OUTCOME_ASSIGN(NodeId id, std::move(known));
  if (request.cancel()) {
    OUTCOME_TRY(update<meta::Node>(context_.store, context_.keys.node(id), [](auto& node) {
      node.set_decommissioning(false);
      return true;
    }));
    return out;
  }
  VolumeOps ops(context_);
  const NodeView* node = view.topology.find(id);
  for (const auto& [volume_id, volume] : view.volumes) {
    if (volume.attachment_on(id) != nullptr && !request.force()) {
      return failure(Code::kBusy, "volume {} is attached on {}: detach it first",
                     volume.spec.name(), request.node());
    }
    if (!has_replica(volume, id)) continue;
    out.set_replicas_left(out.replicas_left() + 1);
    if (request.force() || node->node.decommissioning()) continue;
    auto place = ops.find_place(volume, view);
    if (!place) {
      return failure(Code::kBusy, "the replica of {} has no other place: {}", volume.spec.name(),
                     place.error().message);
    }
  }
  if (request.force() && node->alive) {
    return failure(Code::kBusy,
                   "node {} is online: decommission it without --force, or stop it first",
                   request.node());
  }
  OUTCOME_TRY(update<meta::Node>(context_.store, context_.keys.node(id), [](auto& changed) {
    changed.set_decommissioning(true);
    return true;
  }));
  if (request.force()) {
    OUTCOME_TRY(give_up(id, view));
    out.set_replicas_left(0);
  }
  out.set_done(out.replicas_left() == 0);
  if (!out.done())
    out.set_waiting_for(
        fmt::format("{} replicas to be copied to other nodes", out.replicas_left()));
  return out;
}

Outcome<PoolId> PoolManager::resolve(const std::string& id_or_path,
                                     const Topology& topology) const {
  for (const auto& [id, pool] : topology.pools) {
    if (Keys::text(id.value) == id_or_path) return id;
    if (pool.path() == id_or_path && NodeId{pool.node()} == context_.self) return id;
  }
  return failure(Code::kNotFound, "there is no pool \"{}\": name its id, or its path on this node",
                 id_or_path);
}

Outcome<v1::Pool> PoolManager::create(const v1::CreatePoolRequest& request) {
  if (request.path().empty() || request.path()[0] != '/') {
    return failure(Code::kInvalidArgument, "the pool's path \"{}\" is not absolute",
                   request.path());
  }
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  NodeId node = context_.self;
  if (!request.node().empty()) {
    OUTCOME_ASSIGN(node, topology.resolve(request.node()));
  }
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  // A repeated call finds what it made.
  OUTCOME_ASSIGN(auto existing, handle->ports().pools.list());
  for (const auto& pool : existing) {
    if (pool.path == request.path() && !request.overwrite()) {
      return failure(Code::kAlreadyExists, "{} is a pool of node {} already (id {})",
                     request.path(), topology.name(node), pool.pool.value);
    }
  }
  PoolCreate options{request.path(), request.size_bytes(), request.pool_class(),
                     request.overwrite()};
  OUTCOME_ASSIGN(PoolInfo pool, handle->ports().pools.create(PoolId{context_.new_id()}, options));
  meta::Pool stored = to_meta(pool, node);
  stored.set_created_unix_ms(context_.now_unix_ms());
  OUTCOME_TRY(
      context_.store.commit(Txn{}.put(context_.keys.pool(pool.pool), stored.SerializeAsString())));
  return to_api(stored, topology);
}

Outcome<> PoolManager::fill_from_node(const ClusterView& view, NodeId node,
                                      const std::vector<v1::Pool*>& pools, bool with_replicas) {
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  OUTCOME_ASSIGN(auto held, handle->ports().pools.list());
  OUTCOME_ASSIGN(auto replicas, handle->ports().replicas.usage({}));
  for (v1::Pool* pool : pools) {
    for (const auto& info : held) {
      if (Keys::text(info.pool.value) != pool->id()) continue;
      *pool = to_api(to_meta(info, node), view.topology);
    }
    for (const auto& replica : replicas) {
      if (Keys::text(replica.pool.value) != pool->id()) continue;
      pool->set_replica_count(pool->replica_count() + 1);
      pool->set_reclaimable_bytes(pool->reclaimable_bytes() + replica.usage.reclaimable_bytes);
      auto* capacity = pool->mutable_capacity();
      capacity->set_provisioned_bytes(capacity->provisioned_bytes() +
                                      replica.size_blocks * kBlockSize);
      if (!with_replicas) continue;
      auto* to = pool->add_replicas();
      auto volume = view.volumes.find(replica.volume);
      if (volume != view.volumes.end()) to->set_volume(volume->second.spec.name());
      to->set_volume_id(Keys::text(replica.volume.value));
      *to->mutable_usage() = to_api(replica.usage);
    }
  }
  return {};
}

// What the pools themselves hold. Of a node that does not answer: what it published last.
void PoolManager::fill(const ClusterView& view, NodeId node, const std::vector<v1::Pool*>& pools,
                       bool with_replicas) {
  if (pools.empty() || !view.topology.alive(node)) return;
  auto filled = fill_from_node(view, node, pools, with_replicas);
  if (filled) return;
  for (v1::Pool* pool : pools) {
    pool->set_problem(fmt::format("{}: the figures are not exact", filled.error().message));
  }
}

Outcome<v1::ListPoolsResponse> PoolManager::list(const v1::ListPoolsRequest& request) {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  NodeId only;
  if (!request.node().empty()) {
    OUTCOME_ASSIGN(only, view.topology.resolve(request.node()));
  }
  std::vector<v1::Node> shown;
  std::vector<std::future<void>> asked;  // all at once: each may take its whole time limit
  shown.reserve(view.topology.nodes.size());
  for (const auto& [id, node] : view.topology.nodes) {
    if (only.value != 0 && id != only) continue;
    v1::Node& to = shown.emplace_back(to_api(node, view));
    std::vector<v1::Pool*> pools(to.mutable_pools()->pointer_begin(),
                                 to.mutable_pools()->pointer_end());
    asked.push_back(std::async(std::launch::async,
                               [this, &view, id = id, pools] { fill(view, id, pools, false); }));
  }
  v1::ListPoolsResponse out;
  for (size_t i = 0; i < shown.size(); ++i) {
    asked[i].get();
    for (auto& pool : *shown[i].mutable_pools()) *out.add_pools() = std::move(pool);
  }
  std::map<std::string, uint64_t> placeable;
  for (const auto& pool : view.candidates()) {
    placeable[Keys::text(pool.pool.value)] = core::placeable_bytes(pool, context_.limits.placement);
  }
  for (auto& pool : *out.mutable_pools()) pool.set_placeable_bytes(placeable[pool.id()]);
  return out;
}

Outcome<v1::Pool> PoolManager::inspect(const v1::InspectPoolRequest& request) {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  OUTCOME_ASSIGN(PoolId id, resolve(request.pool(), view.topology));
  const NodeId node{view.topology.pools.at(id).node()};
  v1::Pool out = to_api(view.topology.pools.at(id), view.topology);
  fill(view, node, {&out}, true);
  return out;
}

Outcome<> PoolManager::remove(const v1::DeletePoolRequest& request) {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  OUTCOME_ASSIGN(PoolId id, resolve(request.pool(), view.topology));
  for (const auto& [volume_id, volume] : view.volumes) {
    for (const auto& replica : volume.record.replicas) {
      if (replica.pool != id) continue;
      return failure(Code::kBusy,
                     "pool {} holds a replica of volume {}: move or delete it first "
                     "(`cleat volume ha-update`)",
                     request.pool(), volume.spec.name());
    }
  }
  const NodeId node{view.topology.pools.at(id).node()};
  if (view.topology.find(node) != nullptr) {
    OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
    OUTCOME_TRY(handle->ports().pools.remove(id));
  }
  OUTCOME_TRY(context_.store.commit(Txn{}.erase(context_.keys.pool(id))));
  return {};
}

}  // namespace cleat::control
