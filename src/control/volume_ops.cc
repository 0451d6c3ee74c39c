#include "control/volume_ops.h"

#include <algorithm>
#include <set>

#include "common/log.h"
#include "control/api_views.h"
#include "control/record_codec.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

constexpr size_t kTxnDeletesMax = 100;

std::string explain(const core::PlacementResult& result, const core::PlacementRequest& request) {
  std::string why;
  auto say = [&](uint32_t count, const char* reason) {
    if (count != 0) why += fmt::format("{}{} {}", why.empty() ? "" : ", ", count, reason);
  };
  say(result.unusable, "offline, failed or in maintenance");
  say(result.filtered, "of another class, rack, zone or node than asked for");
  say(result.full, "full");
  say(result.overcommitted, "with too much promised to other volumes already");
  say(result.same_node, "on a node that has a replica of it already");
  if (result.pools == 0) return "the cluster has no pool: make one with `cleat pool create`";
  return fmt::format("{} of {} replicas of {} have a place; of {} pools {}", result.choices.size(),
                     request.count, format_size(request.size_bytes), result.pools, why);
}

core::MemberIndex free_index(const VolumeView& volume) {
  std::set<uint32_t> used;
  for (const auto& replica : volume.record.replicas) used.insert(replica.index);
  for (const auto& replica : volume.spec.pending()) used.insert(replica.index());
  core::MemberIndex index = 0;
  while (used.contains(index)) ++index;
  return index;
}

bool surely_failed(Code code) {
  return code != Code::kUnreachable && code != Code::kTimedOut && code != Code::kClosed;
}

}  // namespace

void limit_places(const meta::VolumeSpec& spec, core::PlacementRequest& request) {
  request.pool_class = spec.pool_class();
  request.racks = {spec.racks().begin(), spec.racks().end()};
  request.zones = {spec.zones().begin(), spec.zones().end()};
  for (uint64_t node : spec.allowed_nodes()) request.nodes.push_back(NodeId{node});
}

core::PlacementRequest place_of_one_more(const VolumeView& volume) {
  core::PlacementRequest request;
  request.size_bytes = volume.record.size_blocks * kBlockSize;
  limit_places(volume.spec, request);
  for (const auto& replica : volume.record.replicas) request.taken.push_back(replica.node);
  for (const auto& replica : volume.spec.pending()) request.taken.push_back(NodeId{replica.node()});
  return request;
}

Outcome<NodeId> VolumeOps::serving_node_id(const VolumeView& volume,
                                           const Topology& topology) const {
  const NodeId primary = volume.record.primary;
  if (volume.attached()) {
    if (topology.alive(primary)) return primary;
    return failure(
        Code::kUnreachable,
        "volume {} is attached on {}, which is offline: wait for it, or take the volume over "
        "with `cleat host attach --force`",
        volume.spec.name(), topology.name(primary));
  }
  if (volume.in_use()) {
    return failure(Code::kUnreachable,
                   "volume {} has no primary at the moment: one of {} becomes it, try again",
                   volume.spec.name(), names_attached(volume, topology));
  }
  if (primary.value != 0 && topology.alive(primary)) return primary;
  NodeId found;
  std::string needed;
  for (const auto& replica : volume.record.replicas) {
    if (replica.state != core::ReplicaState::kInSync) continue;
    needed += (needed.empty() ? "" : ", ") + topology.name(replica.node);
    if (!topology.alive(replica.node)) continue;
    if (found.value == 0 || replica.node == context_.self) found = replica.node;
  }
  if (found.value != 0) return found;
  return failure(Code::kUnreachable, "no in-sync replica of volume {} can be reached: {} offline",
                 volume.spec.name(), needed.empty() ? "it has none" : needed + " would be needed,");
}

Outcome<std::shared_ptr<NodeHandle>> VolumeOps::serving_node(const VolumeView& volume,
                                                             const Topology& topology) {
  OUTCOME_ASSIGN(NodeId node, serving_node_id(volume, topology));
  return context_.nodes.node(node);
}

Outcome<std::vector<core::PlacementChoice>> VolumeOps::find_places(
    const core::PlacementRequest& request, const ClusterView& view) const {
  auto result = core::place(request, view.candidates(), context_.limits.placement);
  if (result.choices.size() < request.count) {
    return failure(Code::kNoSpace, "there is not enough room: {}", explain(result, request));
  }
  return std::move(result.choices);
}

Outcome<core::PlacementChoice> VolumeOps::find_place(const VolumeView& volume,
                                                     const ClusterView& view,
                                                     std::optional<NodeId> wanted) const {
  core::PlacementRequest request = place_of_one_more(volume);
  for (uint64_t node : volume.spec.hint_nodes()) request.preferred.push_back(NodeId{node});
  if (wanted) {
    request.preferred = {*wanted};
    request.only_preferred = true;
  } else if (volume.attached()) {
    request.preferred.insert(request.preferred.begin(), volume.record.primary);
  }
  OUTCOME_ASSIGN(auto places, find_places(request, view));
  return places.front();
}

Outcome<uint64_t> VolumeOps::used_bytes(const VolumeView& volume, const Topology& topology) const {
  for (const auto& replica : volume.record.replicas) {
    if (replica.state != core::ReplicaState::kInSync || !topology.alive(replica.node)) continue;
    auto node = context_.nodes.node(replica.node);
    if (!node) continue;
    auto usage = (*node)->ports().replicas.usage({volume.id()});
    if (!usage) continue;
    for (const auto& found : *usage) {
      if (found.pool == replica.pool) return found.usage.used_bytes;
    }
  }
  return failure(Code::kUnreachable, "no node with an in-sync replica of volume {} answers",
                 volume.spec.name());
}

FollowPlan VolumeOps::plan_follow(const VolumeView& volume, const Topology& topology,
                                  const FollowPlanner& planner) const {
  FollowPlan plan = planner.plan(volume);
  if (plan.step != FollowPlan::Step::kAddReplica) return plan;
  auto used = used_bytes(volume, topology);
  if (used) return planner.plan(volume, *used);
  return {FollowPlan::Step::kWait, {}, used.error().message};
}

Outcome<> VolumeOps::forget_pending(VolumeId volume, core::MemberIndex member) {
  OUTCOME_TRY(update<meta::VolumeSpec>(
      context_.store, context_.keys.spec(volume), [&](meta::VolumeSpec& spec) {
        auto* pending = spec.mutable_pending();
        auto rest = std::remove_if(pending->begin(), pending->end(),
                                   [&](const auto& replica) { return replica.index() == member; });
        if (rest == pending->end()) return false;
        pending->erase(rest, pending->end());
        return true;
      }));
  return {};
}

Outcome<> VolumeOps::add_replica(const VolumeView& volume, const Topology& topology,
                                 core::PlacementChoice place) {
  OUTCOME_TRY(serving_node(volume, topology));
  core::ReplicaRecord replica{
      free_index(volume), place.node, place.pool, core::ReplicaState::kNew, {}};
  meta::VolumeSpec spec = volume.spec;
  meta::Replica pending = to_proto(replica);
  pending.set_pending_since_unix_ms(context_.now_unix_ms());
  *spec.add_pending() = pending;
  OUTCOME_TRY(
      context_.store.commit(Txn{}
                                .require(context_.keys.spec(volume.id()), volume.spec_revision)
                                .put(context_.keys.spec(volume.id()), spec.SerializeAsString())));
  return make_pending(volume, topology, replica);
}

Outcome<> VolumeOps::make_pending(const VolumeView& volume, const Topology& topology,
                                  const core::ReplicaRecord& replica) {
  OUTCOME_ASSIGN(auto serving, serving_node(volume, topology));
  OUTCOME_ASSIGN(auto node, context_.nodes.node(replica.node));
  core::VolumeRecord record = volume.record;
  record.replicas.push_back(replica);
  auto added =
      node->ports().replicas.create(record, replica.index, volume.spec.SerializeAsString());
  if (added) added = serving->ports().volumes.add_replica(volume.id(), replica);
  if (!added && surely_failed(added.error().code)) {
    auto removed = node->ports().replicas.remove(volume.id(), replica.pool);
    if (removed) OUTCOME_TRY(forget_pending(volume.id(), replica.index));
  }
  OUTCOME_TRY(added);
  return forget_pending(volume.id(), replica.index);
}

Outcome<> VolumeOps::remove_replica(const VolumeView& volume, const Topology& topology,
                                    core::MemberIndex member, uint32_t in_sync_left_min) {
  const core::ReplicaRecord* replica = volume.record.find(member);
  if (replica == nullptr) return {};
  const core::ReplicaRecord gone = *replica;
  OUTCOME_ASSIGN(auto serving, serving_node(volume, topology));
  OUTCOME_TRY(serving->ports().volumes.remove_replica(volume.id(), member, in_sync_left_min));
  Outcome<> removed = failure(Code::kUnreachable, "it is offline");
  if (topology.alive(gone.node)) {
    OUTCOME_ASSIGN(auto node, context_.nodes.node(gone.node));
    removed = node->ports().replicas.remove(volume.id(), gone.pool);
  }
  if (removed) return {};
  LOG_WARN("volume {}: {} is to remove its replica later: {}", volume.spec.name(),
           topology.name(gone.node), removed.error().message);
  OUTCOME_TRY(update<meta::VolumeSpec>(context_.store, context_.keys.spec(volume.id()),
                                       [&](meta::VolumeSpec& spec) {
                                         disown(spec, gone);
                                         return true;
                                       }));
  return {};
}

void VolumeOps::disown(meta::VolumeSpec& spec, const core::ReplicaRecord& replica) {
  *spec.add_disowned() = to_proto(replica);
}

Outcome<> VolumeOps::erase_volume(const VolumeView& volume) {
  const VolumeId id = volume.id();
  meta::Tombstone tombstone;
  tombstone.set_volume(id.value);
  tombstone.set_deleted_unix_ms(context_.now_unix_ms());
  for (const auto& replica : volume.record.replicas) *tombstone.add_replicas() = to_proto(replica);
  for (const auto& replica : volume.spec.pending()) *tombstone.add_replicas() = replica;
  for (const auto& replica : volume.spec.disowned()) *tombstone.add_replicas() = replica;
  Txn txn;
  txn.require(context_.keys.spec(id), volume.spec_revision)
      .require(context_.keys.record(id), volume.record_revision)
      .erase(context_.keys.spec(id))
      .erase(context_.keys.record(id))
      .erase(context_.keys.name(volume.spec.name()))
      .put(context_.keys.tombstone(id), tombstone.SerializeAsString());
  // etcd takes 128 operations in a transaction. What is left over names a volume that is gone, and
  // is swept below, or by the reconciler.
  std::vector<Txn> sweeps(1);
  for (const auto& snapshot : volume.snapshots) {
    Txn* part = txn.deletes.size() < kTxnDeletesMax ? &txn : &sweeps.back();
    part->erase(context_.keys.snapshot(SnapshotId{snapshot.id()}));
    part->erase(context_.keys.name(snapshot.name()));
    if (sweeps.back().deletes.size() >= kTxnDeletesMax) sweeps.emplace_back();
  }
  auto done = context_.store.commit(txn);
  if (!done) {
    return failure(done.error().code, "volume {} is not deleted: {}", volume.spec.name(),
                   done.error().message);
  }
  for (const auto& sweep : sweeps) {
    if (!sweep.deletes.empty()) OUTCOME_TRY(context_.store.commit(sweep));
  }
  auto buried = bury(tombstone);
  if (!buried) LOG_INFO("volume {}: {}", volume.spec.name(), buried.error().message);
  return {};
}

Outcome<> VolumeOps::bury(const meta::Tombstone& tombstone) {
  const VolumeId id{tombstone.volume()};
  const std::string key = context_.keys.tombstone(id);
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  std::string left;
  std::set<std::pair<uint64_t, uint64_t>> removed;  // node, pool
  for (const auto& replica : tombstone.replicas()) {
    const NodeId node{replica.node()};
    if (topology.find(node) == nullptr) {  // decommissioned: nobody is left to ask
      removed.emplace(replica.node(), replica.pool());
      continue;
    }
    Outcome<> result = failure(Code::kUnreachable, "offline");
    if (topology.alive(node)) {
      OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
      result = handle->ports().replicas.remove(id, PoolId{replica.pool()});
    }
    if (result) removed.emplace(replica.node(), replica.pool());
    if (!result) left += fmt::format(" {} ({})", topology.name(node), result.error().message);
  }
  OUTCOME_ASSIGN(auto now, load<meta::Tombstone>(context_.store, key));
  if (!now) return {};
  auto* rest = now->value.mutable_replicas();
  rest->erase(std::remove_if(rest->begin(), rest->end(),
                             [&](const auto& replica) {
                               return removed.contains({replica.node(), replica.pool()});
                             }),
              rest->end());
  Txn txn;
  txn.require(key, now->revision);
  if (rest->empty()) {
    txn.erase(key);
  } else {
    txn.put(key, now->value.SerializeAsString());
  }
  OUTCOME_TRY(context_.store.commit(txn));
  if (left.empty()) return {};
  return failure(Code::kUnreachable, "its replicas will be removed later on{}", left);
}

}  // namespace cleat::control
