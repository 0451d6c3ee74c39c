#include "control/reconciler.h"

#include <time.h>

#include <algorithm>
#include <future>

#include "common/log.h"
#include "control/findings.h"
#include "control/record_codec.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

// With very many volumes a pass is work: at most one part in a hundred of a core goes to it.
// Waiting for the metadata and for other nodes is none.
constexpr int kPausePerWork = 100;
constexpr Duration kPauseMax = 30s;
constexpr size_t kSharedAtOnce = 16;
constexpr Duration kPauseLacking = 1s;  // while a shared volume waits for a primary

Duration work_of_this_thread() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace

void Reconciler::start(Duration period) {
  thread_ = std::thread([this, period] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      hurry_ = false;
      lock.unlock();
      watch_nodes();
      const Duration before = work_of_this_thread();
      auto done = run_once();
      if (!done) LOG_INFO("reconciler: {}", done.error().message);
      lock.lock();
      const Duration work = work_of_this_thread() - before;
      const Duration pause = std::max(period, std::min(kPauseMax, work * kPausePerWork));
      wake_.wait_for(lock, lacking_ ? std::min(pause, kPauseLacking) : pause,
                     [this] { return stopping_ || hurry_; });
    }
  });
}

// A pass begins at once when a node's lease is gone: a shared volume may need another primary. Also
// when that of whoever reconciled is gone.
void Reconciler::watch_nodes() {
  if (nodes_gone_ && holder_gone_) return;
  auto now = context_.store.list(context_.keys.alive());
  if (!now) return;
  auto wake = [this](const std::vector<WatchEvent>& events) {
    const bool gone =
        events.empty() || std::any_of(events.begin(), events.end(),
                                      [](const auto& event) { return !event.value.has_value(); });
    if (!gone) return;
    {
      std::lock_guard lock(mutex_);
      hurry_ = true;
    }
    wake_.notify_all();
  };
  nodes_gone_ = context_.store.watch(context_.keys.alive(), now->revision, wake);
  holder_gone_ = context_.store.watch(context_.keys.election(kWork), now->revision, wake);
}

void Reconciler::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  nodes_gone_.reset();
  holder_gone_.reset();
  election_.resign();
}

Outcome<> Reconciler::run_once() {
  if (!election_.holds()) return {};
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  note_offline_nodes(view);
  if (look_after_shared(view)) {
    OUTCOME_ASSIGN(view, ClusterView::load(context_));
  }
  FollowPlanner planner(view, context_.limits, context_.now_unix_ms());
  for (const auto& [id, volume] : view.volumes) {
    if (!election_.holds()) return {};
    step(volume, view, planner);
    finish_snapshots(volume);
  }
  finish_tombstones();
  retire_nodes(view);
  auto findings = find_problems(context_, view, {});
  OUTCOME_TRY(alerts_.reconcile(causes_of(findings, view), standing_alert_kinds()));
  return alerts_.expire();
}

// True when something may have changed. Before all else that takes time: I/O waits for it. A
// takeover waits out the peer lease, so several go on at once.
bool Reconciler::look_after_shared(const ClusterView& view) {
  lacking_ = false;
  bool acted = replace_lost(view);
  std::vector<const VolumeView*> due;
  for (const auto& [id, volume] : view.volumes) {
    if (shared_.needs_care(volume, view.topology)) due.push_back(&volume);
  }
  for (size_t begin = 0; begin < due.size() && election_.holds(); begin += kSharedAtOnce) {
    std::vector<std::pair<const VolumeView*, std::future<Outcome<bool>>>> parts;
    for (size_t i = begin; i < std::min(due.size(), begin + kSharedAtOnce); ++i) {
      auto look = [this, volume = due[i], &view] {
        return shared_.look_after(*volume, view.topology);
      };
      parts.emplace_back(
          due[i], std::async(due.size() == 1 ? std::launch::deferred : std::launch::async, look));
    }
    for (auto& [volume, part] : parts) {
      auto lacking = part.get();
      lacking_ = lacking_ || (lacking && *lacking);
      if (lacking || lacking.error().code == Code::kConflict) continue;
      LOG_INFO("reconciler, volume {}: {}", volume->spec.name(), lacking.error().message);
    }
    acted = true;
  }
  return acted;
}

// A primary's node that started anew has no device any more, while other nodes have. A cleatd that
// is only restarted has it again in a moment. Each node is asked once.
bool Reconciler::replace_lost(const ClusterView& view) {
  std::map<NodeId, std::optional<std::set<VolumeId>>> served;
  std::map<VolumeId, uint64_t> lost;
  bool acted = false;
  for (const auto& [id, volume] : view.volumes) {
    const NodeId primary = volume.record.primary;
    const bool matters = volume.spec.shared() && volume.attached() &&
                         view.topology.alive(primary) && volume.spec.shared_attachments_size() != 0;
    if (!matters) continue;
    if (!served.contains(primary)) served[primary] = volumes_served(primary);
    if (!served[primary] || served[primary]->contains(id)) continue;
    auto before = device_lost_unix_ms_.find(id);
    lost[id] = before == device_lost_unix_ms_.end() ? context_.now_unix_ms() : before->second;
    const auto waited = std::chrono::milliseconds(context_.now_unix_ms() - lost[id]);
    if (waited < context_.limits.lost_device_after) continue;
    LOG_WARN("volume {}: {} has no device of it any more, and is replaced as primary",
             volume.spec.name(), view.topology.name(primary));
    auto done = shared_.promote(id, false, primary);
    if (!done) LOG_INFO("volume {}: {}", volume.spec.name(), done.error().message);
    acted = true;
  }
  device_lost_unix_ms_ = std::move(lost);
  return acted;
}

// None: it does not answer.
std::optional<std::set<VolumeId>> Reconciler::volumes_served(NodeId id) {
  auto node = context_.nodes.node(id);
  if (!node) return std::nullopt;
  auto runtimes = (*node)->ports().inspect.runtimes();
  if (!runtimes) return std::nullopt;
  std::set<VolumeId> out;
  for (const auto& [volume, runtime] : *runtimes) {
    if (runtime.attached) out.insert(volume);
  }
  return out;
}

// Since when a node is offline is written down by whoever reconciles: a new holder of the election
// goes on counting where the old one began.
void Reconciler::note_offline_nodes(const ClusterView& view) {
  for (const auto& [id, node] : view.topology.nodes) {
    const bool noted = node.node.last_seen_unix_ms() != 0;
    if (node.alive != noted) continue;
    meta::Node changed = node.node;
    changed.set_last_seen_unix_ms(node.alive ? 0 : context_.now_unix_ms());
    auto done =
        context_.store.commit(Txn{}
                                  .require(context_.keys.node(id), node.revision)
                                  .put(context_.keys.node(id), changed.SerializeAsString()));
    if (done && !node.alive) LOG_WARN("node {} is offline", node.node.name());
    if (done && node.alive) LOG_INFO("node {} is back", node.node.name());
  }
}

void Reconciler::step(const VolumeView& volume, const ClusterView& view, FollowPlanner& planner) {
  auto done = act(volume, view, planner);
  if (!done && done.error().code != Code::kConflict) {
    LOG_INFO("reconciler, volume {}: {}", volume.spec.name(), done.error().message);
  }
}

Outcome<> Reconciler::act(const VolumeView& volume, const ClusterView& view,
                          FollowPlanner& planner) {
  const auto half_done_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(context_.limits.half_done_after)
          .count());
  if (volume.spec.state() == meta::VolumeSpec::CREATING) {
    if (volume.spec.created_unix_ms() + half_done_ms > context_.now_unix_ms()) return {};
    LOG_INFO("volume {}: its creation did not end; it is undone", volume.spec.name());
    return ops_.erase_volume(volume);
  }
  VolumePlan plan = plan_volume(volume, view.topology, context_.limits, context_.now_unix_ms(),
                                nodes_of_its_group(volume, view));
  switch (plan.step) {
    case VolumePlan::Step::kNothing: return follow(volume, view, planner);
    case VolumePlan::Step::kAddReplica: {
      OUTCOME_ASSIGN(core::PlacementChoice place, ops_.find_place(volume, view));
      LOG_INFO("volume {}: a new replica goes to {}", volume.spec.name(),
               view.topology.name(place.node));
      return ops_.add_replica(volume, view.topology, place);
    }
    case VolumePlan::Step::kRemoveReplica: return let_go(volume, view, plan);
    case VolumePlan::Step::kHeal: {
      OUTCOME_ASSIGN(auto serving, ops_.serving_node(volume, view.topology));
      return serving->ports().attach.heal(volume.id());
    }
    case VolumePlan::Step::kFinishPending:
      return finish_pending(volume, view.topology, plan.member);
  }
  return {};
}

// Not by a reading that is old: the volume may be attached elsewhere, or less in sync, by now.
Outcome<> Reconciler::let_go(const VolumeView& volume, const ClusterView& view,
                             const VolumePlan& plan) {
  OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume.id()));
  const VolumePlan again = plan_volume(now, view.topology, context_.limits, context_.now_unix_ms(),
                                       nodes_of_its_group(now, view));
  if (again != plan) return {};
  LOG_INFO("volume {}: replica {} is removed", now.spec.name(), plan.member);
  return ops_.remove_replica(now, view.topology, plan.member, now.spec.ha_level());
}

Outcome<> Reconciler::follow(const VolumeView& volume, const ClusterView& view,
                             FollowPlanner& planner) {
  const FollowPlan plan = ops_.plan_follow(volume, view.topology, planner);
  if (plan.step != FollowPlan::Step::kAddReplica) return {};
  LOG_INFO("volume {}: it follows to {}, where it is attached: a replica is made there",
           volume.spec.name(), view.topology.name(plan.place.node));
  planner.started(plan.place.node);
  return ops_.add_replica(volume, view.topology, plan.place);
}

// Taken back; but where the volume is open no replica can be removed, so there it is brought to its
// end.
Outcome<> Reconciler::finish_pending(const VolumeView& volume, const Topology& topology,
                                     core::MemberIndex member) {
  for (const auto& pending : volume.spec.pending()) {
    if (pending.index() != member || volume.record.find(member) != nullptr) continue;
    if (NodeId{pending.node()} == volume.record.primary) {
      OUTCOME_ASSIGN(core::ReplicaRecord replica, from_proto(pending));
      return ops_.make_pending(volume, topology, replica);
    }
    OUTCOME_ASSIGN(auto node, context_.nodes.node(NodeId{pending.node()}));
    OUTCOME_TRY(node->ports().replicas.remove(volume.id(), PoolId{pending.pool()}));
  }
  OUTCOME_TRY(
      update<meta::VolumeSpec>(context_.store, context_.keys.spec(volume.id()), [&](auto& spec) {
        auto* pending = spec.mutable_pending();
        pending->erase(
            std::remove_if(pending->begin(), pending->end(),
                           [&](const auto& replica) { return replica.index() == member; }),
            pending->end());
        return true;
      }));
  return {};
}

void Reconciler::finish_snapshots(const VolumeView& volume) {
  const auto half_done_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(context_.limits.half_done_after)
          .count());
  for (const auto& snapshot : volume.snapshots) {
    const bool creating = snapshot.state() == meta::Snapshot::CREATING &&
                          snapshot.created_unix_ms() + half_done_ms <= context_.now_unix_ms();
    if (!creating && snapshot.state() != meta::Snapshot::DELETING) continue;
    auto done = snapshots_.finish(volume, snapshot);
    if (!done) LOG_INFO("reconciler, snapshot {}: {}", snapshot.name(), done.error().message);
  }
}

void Reconciler::finish_tombstones() {
  auto tombstones = load_all<meta::Tombstone>(context_.store, context_.keys.tombstones());
  if (!tombstones) return;
  for (const auto& tombstone : *tombstones) {
    auto done = ops_.bury(tombstone.value);
    if (!done && done.error().code != Code::kUnreachable) {
      LOG_INFO("reconciler, deleted volume {}: {}", tombstone.value.volume(), done.error().message);
    }
  }
}

void Reconciler::retire_nodes(const ClusterView& view) {
  for (const auto& [id, node] : view.topology.nodes) {
    if (!node.node.decommissioning()) continue;
    const bool used = std::any_of(view.volumes.begin(), view.volumes.end(), [&](const auto& entry) {
      const auto& record = entry.second.record;
      const bool device = node.alive && entry.second.attachment_on(id) != nullptr;
      return device || record.primary == id ||
             std::any_of(record.replicas.begin(), record.replicas.end(),
                         [&](const auto& r) { return r.node == id; });
    });
    if (used) continue;
    auto done = forget_node(node, view);
    if (!done) LOG_INFO("reconciler, node {}: {}", node.node.name(), done.error().message);
  }
}

Outcome<> Reconciler::forget_node(const NodeView& node, const ClusterView& view) {
  const NodeId id{node.node.id()};
  Txn txn;
  txn.require(context_.keys.node(id), node.revision)
      .erase(context_.keys.node(id))
      .erase(context_.keys.node_name(node.node.name()));
  for (const auto& [pool_id, pool] : view.topology.pools) {
    if (pool.node() == id.value) txn.erase(context_.keys.pool(pool_id));
  }
  OUTCOME_TRY(context_.store.commit(txn));
  LOG_INFO("node {} has left the cluster", node.node.name());
  return {};
}

}  // namespace cleat::control
