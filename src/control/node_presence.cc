#include "control/node_presence.h"

#include <algorithm>
#include <cmath>

#include "common/log.h"
#include "control/node_manager.h"
#include "control/record_codec.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

// Small changes of usage are not worth a write to etcd each time.
bool worth_publishing(const meta::Pool& before, const meta::Pool& now) {
  const double moved =
      std::abs(static_cast<double>(before.used_bytes()) - static_cast<double>(now.used_bytes()));
  return moved > 0.005 * static_cast<double>(std::max<uint64_t>(now.capacity_bytes(), 1)) ||
         before.failed() != now.failed() || before.problem() != now.problem() ||
         before.capacity_bytes() != now.capacity_bytes() || before.path() != now.path() ||
         before.pool_class() != now.pool_class() || before.node() != now.node();
}

}  // namespace

void NodePresence::start() {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      lock.unlock();
      auto done = run_once();
      if (!done) LOG_DEBUG("presence: {}", done.error().message);
      lock.lock();
      wake_.wait_for(lock, options_.period);
    }
  });
}

void NodePresence::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (!lease_) return;
  auto noted = note_restart();
  if (!noted) LOG_INFO("{}", noted.error().message);
  lease_.reset();
}

// Devices that are left in use wait for the next process of this node: others may wait with them.
Outcome<> NodePresence::note_restart() {
  OUTCOME_ASSIGN(auto attached, ports_.attach.attached());
  if (attached.empty()) return {};
  OUTCOME_TRY(update<meta::Node>(context_.store, context_.keys.node(context_.self), [](auto& node) {
    node.set_restarting(true);
    return true;
  }));
  return {};
}

bool NodePresence::joined() const {
  std::lock_guard lock(mutex_);
  return joined_;
}

std::string NodePresence::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

Outcome<> NodePresence::adopt() {
  NodeIdentity known;
  {
    std::lock_guard lock(mutex_);
    known = identity_;
  }
  OUTCOME_ASSIGN(NodeIdentity adopted, adopt_cluster(context_, known));
  OUTCOME_TRY(adopted.save(options_.data_dir));
  OUTCOME_TRY(register_node());
  std::lock_guard lock(mutex_);
  identity_ = adopted;
  joined_ = true;
  wake_.notify_all();
  return {};
}

Outcome<> NodePresence::run_once() {
  Outcome<> done;
  if (!joined()) done = join();
  if (done) done = keep_lease();
  if (done) done = publish_pools();
  if (done && !exports_resumed_) exports_resumed_ = resume_exports();
  if (done && periods_++ % options_.housekeeping_every == 0) done = keep_house();
  std::lock_guard lock(mutex_);
  const std::string problem = done ? std::string{} : done.error().message;
  if (!problem.empty() && problem != problem_) LOG_WARN("this node in the cluster: {}", problem);
  if (problem.empty() && !problem_.empty()) LOG_INFO("this node is part of the cluster again");
  problem_ = problem;
  return done;
}

Outcome<> NodePresence::join() {
  NodeIdentity known;
  {
    std::lock_guard lock(mutex_);
    known = identity_;
  }
  OUTCOME_ASSIGN(auto replicas, ports_.replicas.list());
  OUTCOME_ASSIGN(NodeIdentity joined, join_cluster(context_, known, replicas));
  OUTCOME_TRY(joined.save(options_.data_dir));
  OUTCOME_TRY(register_node());
  std::lock_guard lock(mutex_);
  identity_ = joined;
  joined_ = true;
  LOG_INFO("node {} ({}) joined cluster {} ({}), incarnation {}", options_.name,
           context_.self.value, context_.cluster, joined.cluster_uuid, joined.cluster_incarnation);
  return {};
}

Outcome<> NodePresence::register_node() {
  const std::string name_key = context_.keys.node_name(options_.name);
  OUTCOME_ASSIGN(auto named, load<meta::NodeAlive>(context_.store, name_key));
  if (named && named->value.id() != context_.self.value) {
    return failure(Code::kConflict,
                   "the cluster has another node named {} (id {}): choose another `node` name, or "
                   "decommission the old one",
                   options_.name, named->value.id());
  }
  OUTCOME_ASSIGN(auto known, load<meta::Node>(context_.store, context_.keys.node(context_.self)));
  meta::Node node = known ? known->value : meta::Node{};
  const std::string old_name = node.name();
  node.set_id(context_.self.value);
  node.set_name(options_.name);
  node.set_address(options_.address);
  node.set_rack(options_.rack);
  node.set_zone(options_.zone);
  node.set_version(context_.version);
  node.set_kernel(options_.kernel);
  node.set_control_port(options_.control_port);
  node.set_started_unix_ms(started_unix_ms_);
  node.set_restarting(false);
  if (node.joined_unix_ms() == 0) node.set_joined_unix_ms(context_.now_unix_ms());
  meta::NodeAlive name;
  name.set_id(context_.self.value);
  Txn txn;
  txn.require(context_.keys.node(context_.self), known ? known->revision : Revision{})
      .require(name_key, named ? named->revision : Revision{})
      .put(context_.keys.node(context_.self), node.SerializeAsString())
      .put(name_key, name.SerializeAsString());
  if (!old_name.empty() && old_name != options_.name) txn.erase(context_.keys.node_name(old_name));
  OUTCOME_TRY(context_.store.commit(txn));
  return {};
}

Outcome<> NodePresence::keep_lease() {
  const std::string key = context_.keys.alive(context_.self);
  if (lease_ && lease_->alive()) {
    // The key can be gone though the lease lives: etcd restored, or a decommission.
    OUTCOME_ASSIGN(auto node, context_.store.get(context_.keys.node(context_.self)));
    OUTCOME_ASSIGN(auto alive, context_.store.get(key));
    if (node && alive) return {};
    if (!node) OUTCOME_TRY(register_node());
  }
  OUTCOME_ASSIGN(std::unique_ptr<Lease> lease,
                 context_.store.grant_lease(context_.limits.node_lease));
  meta::NodeAlive alive;
  alive.set_id(context_.self.value);
  alive.set_started_unix_ms(started_unix_ms_);
  OUTCOME_TRY(context_.store.commit(Txn{}.put(key, alive.SerializeAsString(), lease->id())));
  lease_ = std::move(lease);
  return {};
}

// The metadata first: a pool that is deleted meanwhile is not published again.
Outcome<> NodePresence::publish_pools() {
  OUTCOME_ASSIGN(auto known, load_all<meta::Pool>(context_.store, context_.keys.pools()));
  OUTCOME_ASSIGN(auto pools, ports_.pools.list());
  std::map<uint64_t, meta::Pool> now;
  for (const auto& pool : pools) now[pool.pool.value] = to_meta(pool, context_.self);
  for (const auto& entry : known) {
    const meta::Pool& before = entry.value;
    auto found = now.find(before.id());
    const bool lost = found == now.end() && before.node() == context_.self.value;
    if (found == now.end() && !lost) continue;
    meta::Pool next = before;
    if (lost) {
      next.set_failed(true);
      next.set_problem("its node has no such pool (data_dir/pools.toml)");
    } else {
      next = std::move(found->second);
      next.set_created_unix_ms(before.created_unix_ms());
      now.erase(found);
    }
    if (!worth_publishing(before, next)) continue;
    auto done = context_.store.commit(
        Txn{}.require(entry.key, entry.revision).put(entry.key, next.SerializeAsString()));
    if (!done && done.error().code != Code::kConflict) return tl::unexpected(done.error());
  }
  for (auto& [id, pool] : now) {
    pool.set_created_unix_ms(context_.now_unix_ms());
    OUTCOME_TRY(
        context_.store.commit(Txn{}.put(context_.keys.pool(PoolId{id}), pool.SerializeAsString())));
  }
  return {};
}

// An NBD export has no keeper that outlives cleatd: its clients connect again, and must find it.
// False when something that may come back was missing.
bool NodePresence::resume_exports() {
  auto view = ClusterView::load(context_);
  if (!view) return false;
  bool all = true;
  for (const auto& [id, volume] : view->volumes) {
    const bool ours = volume.attached() && volume.record.primary == context_.self;
    const auto& attachment = volume.spec.attachment();
    if (!ours || attachment.frontend() != static_cast<uint32_t>(Frontend::kNbd)) continue;
    AttachOptions options;
    options.frontend = Frontend::kNbd;
    options.volume_name = volume.spec.name();
    auto attached = ports_.attach.attach(id, options);
    if (attached) continue;
    LOG_WARN("volume {} is not exported again: {}", volume.spec.name(), attached.error().message);
    const Code code = attached.error().code;
    all = all && code != Code::kUnreachable && code != Code::kTimedOut;
  }
  return all;
}

Outcome<> NodePresence::keep_house() {
  OUTCOME_ASSIGN(auto replicas, ports_.replicas.list());
  if (replicas.empty()) return {};
  // A few range reads, however many replicas there are.
  Wanted wanted;
  OUTCOME_TRY(list_values(context_.keys.tombstones(), wanted.tombstones));
  OUTCOME_TRY(list_values(context_.keys.specs(), wanted.specs));
  OUTCOME_TRY(list_values(context_.keys.records(), wanted.records));
  for (const auto& replica : replicas) {
    auto done = look_after(replica, wanted);
    if (!done) LOG_INFO("replica of volume {}: {}", replica.volume.value, done.error().message);
  }
  return {};
}

Outcome<> NodePresence::list_values(const std::string& prefix,
                                    std::map<uint64_t, std::string>& out) {
  OUTCOME_ASSIGN(Listing listing, context_.store.list(prefix));
  for (auto& entry : listing.entries) {
    if (auto id = Keys::id_of(entry.key)) out[*id] = std::move(entry.value);
  }
  return {};
}

Outcome<> NodePresence::look_after(const LocalReplica& replica, const Wanted& wanted) {
  const VolumeId id = replica.volume;
  if (wanted.tombstones.contains(id.value)) {
    LOG_INFO("volume {} was deleted: removing its replica", id.value);
    return ports_.replicas.remove(id, replica.pool);
  }
  auto spec = wanted.specs.find(id.value);
  auto stored = wanted.records.find(id.value);
  if (spec == wanted.specs.end() || stored == wanted.records.end()) {
    return alerts_.raise(
        {meta::Alert::WARNING, "unknown_replica", "volume", Keys::text(id.value),
         fmt::format("Node {} has a replica of volume {}, which etcd doesn't know: it is kept; "
                     "`cleat cluster rebuild-metadata` brings the volume back",
                     options_.name, id.value)});
  }
  OUTCOME_ASSIGN(core::VolumeRecord record, decode_record(stored->second));
  OUTCOME_ASSIGN(meta::VolumeSpec known,
                 parse_value<meta::VolumeSpec>(context_.keys.spec(id), spec->second));
  if (is_listed(replica, record, known)) {
    unwanted_.erase(id);
    if (catalog_spec(replica.catalog) == spec->second) return {};
    return ports_.replicas.set_spec(id, spec->second);
  }
  if (record.epoch < replica.epoch) {
    return failure(Code::kConflict, "etcd has epoch {}, the replica {}: it is not removed",
                   record.epoch.value, replica.epoch.value);
  }
  if (unwanted_.insert(id).second) return {};
  LOG_INFO("volume {} no longer has a replica here: removing it", known.name());
  OUTCOME_TRY(ports_.replicas.remove(id, replica.pool));
  unwanted_.erase(id);
  return forget_disowned(id, replica.pool);
}

Outcome<> NodePresence::forget_disowned(VolumeId volume, PoolId pool) {
  OUTCOME_TRY(update<meta::VolumeSpec>(
      context_.store, context_.keys.spec(volume), [&](meta::VolumeSpec& spec) {
        auto* disowned = spec.mutable_disowned();
        auto rest = std::remove_if(disowned->begin(), disowned->end(), [&](const auto& replica) {
          return replica.node() == context_.self.value && replica.pool() == pool.value;
        });
        if (rest == disowned->end()) return false;
        disowned->erase(rest, disowned->end());
        return true;
      }));
  return {};
}

bool NodePresence::is_listed(const LocalReplica& replica, const core::VolumeRecord& record,
                             const meta::VolumeSpec& spec) const {
  auto here = [&](NodeId node, PoolId pool) {
    return node == context_.self && pool == replica.pool;
  };
  return std::any_of(record.replicas.begin(), record.replicas.end(),
                     [&](const auto& r) { return here(r.node, r.pool); }) ||
         std::any_of(spec.pending().begin(), spec.pending().end(),
                     [&](const auto& r) { return here(NodeId{r.node()}, PoolId{r.pool()}); });
}

}  // namespace cleat::control
