#include "control/cluster_manager.h"

#include <algorithm>
#include <future>
#include <set>

#include "api/etcd.grpc.pb.h"
#include "common/log.h"
#include "control/api_views.h"
#include "control/etcd_client.h"
#include "control/record_codec.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

constexpr int kAlertsShown = 100;
constexpr size_t kTxnPutsMax = 100;  // etcd takes 128 operations in a transaction

void note_health(v1::StatusResponse& out, v1::Health health) {
  if (health > out.health()) out.set_health(health);
}

uint32_t in_sync_count(const core::VolumeRecord& record) {
  return static_cast<uint32_t>(
      std::count_if(record.replicas.begin(), record.replicas.end(),
                    [](const auto& r) { return r.state == core::ReplicaState::kInSync; }));
}

bool newer(const core::VolumeRecord& a, const core::VolumeRecord& b) {
  if (a.epoch != b.epoch) return a.epoch > b.epoch;
  if (a.generation != b.generation) return a.generation > b.generation;
  return in_sync_count(a) < in_sync_count(b);
}

v1::MetadataMember ask_member(const std::string& name, const std::string& endpoint) {
  v1::MetadataMember out;
  out.set_name(name);
  out.set_endpoint(endpoint);
  auto client =
      EtcdClient::create({.endpoints = {endpoint}, .attempt_timeout = 1s, .call_timeout = 1s});
  if (!client) return out;
  etcdserverpb::StatusResponse status;
  auto asked = (*client)->call("ask", [&](const auto& channel, auto& call) {
    return etcdserverpb::Maintenance::NewStub(channel)->Status(&call, {}, &status);
  });
  out.set_healthy(asked.has_value() && status.leader() != 0);
  out.set_raft_leader(asked.has_value() && status.leader() == status.header().member_id());
  return out;
}

}  // namespace

Runtimes ClusterManager::ask_nodes(const ClusterView& view) {
  std::set<NodeId> busy;
  for (const auto& [id, volume] : view.volumes) {
    if (volume.record.primary.value != 0) busy.insert(volume.record.primary);
  }
  Runtimes out;
  for (NodeId id : busy) {
    if (!view.topology.alive(id)) continue;
    auto node = context_.nodes.node(id);
    if (!node) continue;
    auto runtimes = (*node)->ports().inspect.runtimes();
    if (!runtimes) continue;
    for (auto& [volume, runtime] : *runtimes) out[volume] = std::move(runtime);
    for (const auto& [volume, known] : view.volumes) {
      if (known.record.primary == id) out.try_emplace(volume);  // not open there
    }
  }
  return out;
}

void ClusterManager::fill_metadata(v1::StatusResponse& out) {
  MetadataState state = metadata_();
  auto* to = out.mutable_metadata();
  to->set_embedded(state.embedded);
  for (const auto& endpoint : state.endpoints) to->add_endpoints(endpoint);
  // All at once: each may take its whole time limit.
  std::vector<std::future<v1::MetadataMember>> members;
  for (const auto& [name, endpoint] : state.members) {
    members.push_back(std::async(std::launch::async, ask_member, name, endpoint));
  }
  auto identity = context_.store.identity();
  for (auto& member : members) *to->add_members() = member.get();
  to->set_reachable(identity.has_value());
  if (!identity) to->set_problem(identity.error().message);
  if (!state.problem.empty()) to->set_problem(state.problem);
  if (!state.refused.empty()) to->set_problem(state.refused);
  auto add = [&](v1::Health severity, std::string what, std::string why, std::string doing) {
    auto* finding = out.add_findings();
    finding->set_severity(severity);
    finding->set_what(std::move(what));
    finding->set_why(std::move(why));
    finding->set_doing(std::move(doing));
  };
  if (!identity) {
    add(v1::HEALTH_DEGRADED, "etcd can't be reached", to->problem(),
        "Attached volumes go on; changes wait until it answers");
  }
  if (!state.refused.empty()) {
    add(v1::HEALTH_DOWN, "This node has not joined the cluster", state.refused,
        "Trying again every few seconds");
  }
  for (const auto& member : to->members()) {
    if (member.healthy()) continue;
    add(v1::HEALTH_DEGRADED, fmt::format("The etcd member on {} does not answer", member.name()),
        "the node is down or cut off, or its member is starting",
        "The other members go on; it is restarted");
  }
}

void ClusterManager::fill_from(const ClusterView& view, v1::StatusResponse& out) {
  auto cluster = load<meta::Cluster>(context_.store, context_.keys.cluster());
  if (cluster && *cluster) out.set_cluster_id((*cluster)->value.uuid());
  for (const auto& [id, node] : view.topology.nodes) {
    *out.add_nodes() = to_api(node, view);
    add(*out.mutable_capacity(), out.nodes(out.nodes_size() - 1).capacity());
  }
  std::sort(out.mutable_nodes()->pointer_begin(), out.mutable_nodes()->pointer_end(),
            [](const auto* a, const auto* b) { return a->name() < b->name(); });
  auto* counts = out.mutable_volumes();
  for (const auto& [id, volume] : view.volumes) {
    const v1::Volume shown = to_api(volume, view.topology);
    counts->set_total(counts->total() + 1);
    counts->set_snapshots(counts->snapshots() + shown.snapshot_count());
    if (volume.attached()) counts->set_attached(counts->attached() + 1);
    if (shown.status() == v1::VOLUME_STATUS_DEGRADED) counts->set_degraded(counts->degraded() + 1);
    if (shown.status() == v1::VOLUME_STATUS_DOWN) counts->set_down(counts->down() + 1);
  }
  for (auto& finding : find_problems(context_, view, ask_nodes(view))) {
    *out.add_findings() = std::move(finding);
  }
  auto alerts = alerts_.list({});
  for (int i = 0; alerts && i < alerts->alerts_size() && i < kAlertsShown; ++i) {
    *out.add_alerts() = alerts->alerts(i);
  }
}

Outcome<v1::StatusResponse> ClusterManager::status() {
  v1::StatusResponse out;
  out.set_cluster(context_.cluster);
  out.set_version(context_.version);
  out.set_this_node(node_name_);
  out.set_this_node_id(Keys::text(context_.self.value));
  out.set_health(v1::HEALTH_OK);
  fill_metadata(out);
  auto view = out.metadata().reachable()
                  ? ClusterView::load(context_)
                  : Outcome<ClusterView>(failure(Code::kUnreachable, "etcd"));
  if (view) fill_from(*view, out);
  for (const auto& finding : out.findings()) note_health(out, finding.severity());
  std::stable_sort(out.mutable_findings()->pointer_begin(), out.mutable_findings()->pointer_end(),
                   [](const auto* a, const auto* b) { return a->severity() > b->severity(); });
  return out;
}

Outcome<core::VolumeRecord> choose_record(const std::vector<CatalogCopy>& copies,
                                          meta::VolumeSpec& spec) {
  std::optional<core::VolumeRecord> best;
  Epoch highest;
  std::string problem = "no replica holds a record";
  for (const auto& copy : copies) {
    highest = std::max(highest, copy.replica.epoch);
    auto contents = decode_catalog(copy.replica.catalog);
    if (!contents || contents->record.id != copy.replica.volume) {
      problem =
          contents ? "a replica holds the record of another volume" : contents.error().message;
      continue;
    }
    if (best && !newer(contents->record, *best)) continue;
    best = contents->record;
    if (!contents->spec.name().empty()) spec = contents->spec;
  }
  if (!best) return failure(Code::kCorrupt, "{}", problem);
  // What the replicas promised at a fence counts more than what the record of it says.
  best->epoch = std::max(best->epoch, highest);
  return *best;
}

std::map<VolumeId, std::vector<CatalogCopy>> ClusterManager::gather(
    const ClusterView& view, v1::RebuildMetadataResponse& out) {
  std::map<VolumeId, std::vector<CatalogCopy>> copies;
  for (const auto& [id, node] : view.topology.nodes) {
    Outcome<std::vector<LocalReplica>> replicas = failure(Code::kUnreachable, "offline");
    auto handle = context_.nodes.node(id);
    if (handle && node.alive) replicas = (*handle)->ports().replicas.list();
    if (!replicas) {
      out.add_nodes_missing(node.node.name());
      continue;
    }
    out.add_nodes_asked(node.node.name());
    for (auto& replica : *replicas) copies[replica.volume].push_back({std::move(replica), id});
  }
  return copies;
}

// The spec as the catalogs have it, with what is missing filled in and a name that is free.
Outcome<> ClusterManager::complete_spec(const core::VolumeRecord& record, meta::VolumeSpec& spec) {
  const std::string id = Keys::text(record.id.value);
  spec.set_id(record.id.value);
  spec.set_state(meta::VolumeSpec::UP);
  spec.clear_pending();
  spec.clear_disowned();
  if (spec.name().empty()) spec.set_name("recovered-" + id);
  if (spec.ha_level() == 0) spec.set_ha_level(static_cast<uint32_t>(record.replicas.size()));
  if (spec.size_bytes() == 0) spec.set_size_bytes(record.size_blocks * kBlockSize);
  OUTCOME_ASSIGN(auto name, load<meta::Name>(context_.store, context_.keys.name(spec.name())));
  if (name && name->value.volume() != record.id.value) spec.set_name(spec.name() + "-" + id);
  return {};
}

Outcome<> ClusterManager::write_volume(const core::VolumeRecord& record,
                                       const meta::VolumeSpec& spec, Revision expected) {
  const VolumeId id = record.id;
  meta::Name entry;
  entry.set_volume(id.value);
  std::vector<Txn> parts(1);
  parts.back()
      .require(context_.keys.record(id), expected)
      .put(context_.keys.record(id), encode_record(record))
      .put(context_.keys.spec(id), spec.SerializeAsString())
      .put(context_.keys.name(spec.name()), entry.SerializeAsString());
  for (const auto& layer : record.snapshots) {
    meta::Snapshot snapshot;
    snapshot.set_id(layer.id.value);
    snapshot.set_volume(id.value);
    snapshot.set_name(layer.name.empty() ? "recovered-" + Keys::text(layer.id.value) : layer.name);
    snapshot.set_state(meta::Snapshot::UP);
    snapshot.set_created_unix_ms(layer.created_unix_ms);
    meta::Name name = entry;
    name.set_snapshot(layer.id.value);
    if (parts.back().puts.size() >= kTxnPutsMax) parts.emplace_back();
    parts.back().put(context_.keys.snapshot(layer.id), snapshot.SerializeAsString());
    parts.back().put(context_.keys.name(snapshot.name()), name.SerializeAsString());
  }
  for (const auto& part : parts) OUTCOME_TRY(context_.store.commit(part));
  return {};
}

// The newest record may be in a catalog that was not read, and what was read may have been left
// behind long ago.
Outcome<> check_all_found(const core::VolumeRecord& record,
                          const std::vector<CatalogCopy>& copies) {
  for (const auto& replica : record.replicas) {
    if (replica.state != core::ReplicaState::kInSync) continue;
    bool found = std::any_of(copies.begin(), copies.end(),
                             [&](const auto& copy) { return copy.node == replica.node; });
    if (found) continue;
    return failure(Code::kUnreachable,
                   "its in-sync replica on node {} was not found: start that node, or take what "
                   "there is with --accept-data-loss",
                   replica.node.value);
  }
  return {};
}

Outcome<> ClusterManager::rebuild_volume(const std::vector<CatalogCopy>& copies,
                                         const VolumeView* known,
                                         const v1::RebuildMetadataRequest& request,
                                         v1::RebuildMetadataResponse::Item& item) {
  meta::VolumeSpec spec;
  OUTCOME_ASSIGN(core::VolumeRecord record, choose_record(copies, spec));
  item.set_epoch(record.epoch.value);
  if (!request.accept_data_loss()) OUTCOME_TRY(check_all_found(record, copies));
  if (known != nullptr) {
    item.set_name(known->spec.name());
    if (known->record.epoch >= record.epoch) {
      return failure(Code::kAlreadyExists, "etcd has it, and not older");
    }
    if (!request.force()) {
      return failure(Code::kBusy, "etcd has it at the lower epoch {}: replace it with --force",
                     known->record.epoch.value);
    }
  }
  OUTCOME_TRY(complete_spec(record, spec));
  item.set_name(spec.name());
  if (request.dry_run()) return {};
  OUTCOME_TRY(write_volume(record, spec, known != nullptr ? known->record_revision : Revision{}));
  item.set_written(true);
  return {};
}

Outcome<v1::RebuildMetadataResponse> ClusterManager::rebuild(
    const v1::RebuildMetadataRequest& request) {
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  v1::RebuildMetadataResponse out;
  for (const auto& [id, copies] : gather(view, out)) {
    auto* item = out.add_volumes();
    item->set_volume_id(Keys::text(id.value));
    item->set_replicas_found(static_cast<uint32_t>(copies.size()));
    auto known = view.volumes.find(id);
    auto done = rebuild_volume(copies, known == view.volumes.end() ? nullptr : &known->second,
                               request, *item);
    if (!done) item->set_problem(done.error().message);
  }
  return out;
}

}  // namespace cleat::control
