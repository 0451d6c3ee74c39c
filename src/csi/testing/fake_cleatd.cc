#include "csi/testing/fake_cleatd.h"

#include "csi/attachments.h"

namespace cleat::csi {
namespace {

using Guard = std::lock_guard<std::recursive_mutex>;

bool has_labels(const api::Volume& volume,
                const google::protobuf::Map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    auto found = volume.labels().find(label.first);
    return found != volume.labels().end() && found->second == label.second;
  });
}

std::vector<std::string> places(const FakeState& state, const api::CreateVolumeRequest& request) {
  std::vector<std::string> out(request.nodes().begin(), request.nodes().end());
  for (const auto& node : state.nodes) {
    const bool named = std::find(out.begin(), out.end(), node.name()) != out.end();
    if (!named && !request.nodes_only()) out.push_back(node.name());
  }
  return out;
}

bool is_attached(const api::Volume& volume) {
  return volume.has_attachment() || volume.shared_attachments_size() != 0;
}

bool can_be_opened(const api::Volume& volume) {
  const auto& all = volume.replicas();
  return std::any_of(all.begin(), all.end(), [](const auto& replica) {
    return replica.state() == api::REPLICA_STATE_IN_SYNC && replica.reachable();
  });
}

void drop_sharer(api::Volume& volume, const std::string& node) {
  auto* others = volume.mutable_shared_attachments();
  auto rest = std::remove_if(others->begin(), others->end(),
                             [&](const auto& other) { return other.node() == node; });
  others->erase(rest, others->end());
}

// Of the sharers, the first that is online; empty: none.
std::string next_primary(const api::Volume& volume) {
  for (const auto& other : volume.shared_attachments()) {
    if (other.node_online()) return other.node();
  }
  return {};
}

}  // namespace

grpc::Status FakeVolumes::Create(grpc::ServerContext* context,
                                 const api::CreateVolumeRequest* request, api::Volume* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "Create", request->name());
  if (!status.ok()) return status;
  if (api::Volume* found = state_.find(request->name())) {
    const bool same = found->size_bytes() == request->size_bytes() && found->ha() == request->ha();
    if (!same) return refuse(context, Code::kAlreadyExists, "the name is taken");
    found->set_state(api::VOLUME_STATE_DETACHED);
    *response = *found;
    return status;
  }
  auto nodes = places(state_, *request);
  if (nodes.size() < request->ha()) return refuse(context, Code::kNoSpace, "not enough nodes");
  api::Volume volume;
  volume.set_id(std::to_string(state_.next_id++));
  volume.set_name(request->name());
  volume.set_size_bytes(request->size_bytes());
  volume.set_ha(request->ha());
  volume.set_fs(request->fs());
  *volume.mutable_labels() = request->labels();
  volume.set_io_priority(request->io_priority());
  volume.set_io_profile(request->io_profile());
  volume.set_follow(request->follow());
  volume.set_shared(request->shared());
  *volume.mutable_nodes_allowed() = request->nodes_allowed();
  volume.set_state(api::VOLUME_STATE_DETACHED);
  volume.set_status(api::VOLUME_STATUS_UP);
  for (uint32_t i = 0; i < request->ha(); ++i) {
    auto* replica = volume.add_replicas();
    replica->set_node(nodes[i]);
    replica->set_state(api::REPLICA_STATE_IN_SYNC);
    replica->set_reachable(true);
  }
  *response = state_.volumes[volume.id()] = volume;
  return status;
}

grpc::Status FakeVolumes::List(grpc::ServerContext* context, const api::ListVolumesRequest* request,
                               api::ListVolumesResponse* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "List", request->name());
  if (!status.ok()) return status;
  for (const auto& [id, volume] : state_.volumes) {
    const bool snapshot = !volume.snapshot_of_id().empty();
    if (snapshot && !request->with_snapshots() && !request->only_snapshots()) continue;
    if (!snapshot && request->only_snapshots()) continue;
    if (!request->name().empty() && request->name() != volume.name()) continue;
    if (has_labels(volume, request->labels())) *response->add_volumes() = volume;
  }
  state_.happen("List");
  return status;
}

grpc::Status FakeVolumes::Inspect(grpc::ServerContext* context,
                                  const api::InspectVolumeRequest* request, api::Volume* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "Inspect", request->volume());
  if (!status.ok()) return status;
  const api::Volume* found = state_.find(request->volume());
  if (found == nullptr) return missing(context, request->volume());
  *response = *found;
  for (const auto& [id, other] : state_.volumes) {
    if (other.snapshot_of_id() == found->id()) *response->add_snapshots() = other;
    const api::Volume* base = state_.find(other.parent_snapshot());
    if (base != nullptr && base->snapshot_of_id() == found->id()) {
      response->add_clones(other.name());
    }
  }
  state_.happen("Inspect");
  return status;
}

grpc::Status FakeVolumes::Delete(grpc::ServerContext* context,
                                 const api::DeleteVolumeRequest* request,
                                 api::DeleteVolumeResponse*) {
  Guard lock(state_.mutex);
  auto status = begin(context, "Delete", request->volume());
  if (!status.ok()) return status;
  const api::Volume* found = state_.find(request->volume());
  if (found == nullptr) return missing(context, request->volume());
  if (is_attached(*found)) return refuse(context, Code::kBusy, "it is attached");
  for (const auto& [id, other] : state_.volumes) {
    if (other.snapshot_of_id() == found->id()) {
      return refuse(context, Code::kBusy, "it has the snapshot " + other.name());
    }
  }
  state_.volumes.erase(found->id());
  return status;
}

grpc::Status FakeVolumes::Resize(grpc::ServerContext* context,
                                 const api::ResizeVolumeRequest* request, api::Volume* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "Resize", request->volume());
  if (!status.ok()) return status;
  api::Volume* found = state_.find(request->volume());
  if (found == nullptr) return missing(context, request->volume());
  found->set_size_bytes(request->size_bytes());
  *response = *found;
  return status;
}

grpc::Status FakeVolumes::Update(grpc::ServerContext* context,
                                 const api::UpdateVolumeRequest* request, api::Volume* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "Update", request->volume());
  if (!status.ok()) return status;
  api::Volume* found = state_.find(request->volume());
  if (found == nullptr) return missing(context, request->volume());
  for (const auto& [key, value] : request->labels()) (*found->mutable_labels())[key] = value;
  for (const auto& key : request->remove_labels()) found->mutable_labels()->erase(key);
  if (request->io_priority() != 0) found->set_io_priority(request->io_priority());
  if (request->io_profile() != 0) found->set_io_profile(request->io_profile());
  if (request->has_follow()) found->set_follow(request->follow());
  if (request->has_shared() && request->shared() != found->shared()) {
    if (is_attached(*found)) return refuse(context, Code::kBusy, "it is attached");
    found->set_shared(request->shared());
  }
  *response = *found;
  return status;
}

grpc::Status FakeVolumes::HaUpdate(grpc::ServerContext* context,
                                   const api::HaUpdateRequest* request, api::Volume* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "HaUpdate", request->volume());
  if (!status.ok()) return status;
  api::Volume* found = state_.find(request->volume());
  if (found == nullptr) return missing(context, request->volume());
  found->set_ha(request->ha());
  *response = *found;
  return status;
}

grpc::Status FakeVolumes::Clone(grpc::ServerContext* context,
                                const api::CloneVolumeRequest* request, api::Volume* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "Clone", request->name());
  if (!status.ok()) return status;
  const api::Volume* base = state_.find(request->source());
  if (base == nullptr) return missing(context, request->source());
  const api::Volume* parent = state_.find(base->snapshot_of_id());
  api::Volume clone = *parent;
  clone.clear_attachment();
  clone.clear_shared_attachments();
  clone.set_id(std::to_string(state_.next_id++));
  clone.set_name(request->name());
  clone.set_size_bytes(base->size_bytes());
  clone.set_parent_snapshot(base->name());
  clone.set_state(api::VOLUME_STATE_DETACHED);
  for (const auto& [key, value] : request->labels()) (*clone.mutable_labels())[key] = value;
  *response = state_.volumes[clone.id()] = clone;
  return status;
}

grpc::Status FakeVolumes::SnapshotCreate(grpc::ServerContext* context,
                                         const api::CreateSnapshotRequest* request,
                                         api::Volume* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "SnapshotCreate", request->name());
  if (!status.ok()) return status;
  const api::Volume* volume = state_.find(request->volume());
  if (volume == nullptr) return missing(context, request->volume());
  if (const api::Volume* found = state_.find(request->name())) {
    if (found->snapshot_of_id() != volume->id()) {
      return refuse(context, Code::kAlreadyExists, "the name is taken");
    }
    *response = *found;
    return status;
  }
  api::Volume snapshot;
  snapshot.set_id(std::to_string(state_.next_id++));
  snapshot.set_name(request->name());
  snapshot.set_snapshot_of(volume->name());
  snapshot.set_snapshot_of_id(volume->id());
  snapshot.set_size_bytes(volume->size_bytes());
  snapshot.set_fs(volume->fs());
  snapshot.set_state(api::VOLUME_STATE_DETACHED);
  snapshot.set_created_unix_ms(1'700'000'000'500);
  *snapshot.mutable_labels() = request->labels();
  *response = state_.volumes[snapshot.id()] = snapshot;
  return status;
}

grpc::Status FakeVolumes::SnapshotGroup(grpc::ServerContext* context,
                                        const api::SnapshotGroupRequest* request,
                                        api::SnapshotGroupResponse* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "SnapshotGroup", std::to_string(request->members_size()));
  if (!status.ok()) return status;
  std::string group = std::to_string(state_.next_id++);
  for (const auto& member : request->members()) {
    api::CreateSnapshotRequest one;
    one.set_volume(member.volume());
    one.set_name(member.name());
    *one.mutable_labels() = request->labels();
    if (const api::Volume* known = state_.find(member.name())) group = known->snapshot_group();
    status = SnapshotCreate(context, &one, response->add_snapshots());
    if (!status.ok()) return status;
    api::Volume* kept = state_.find(member.name());
    kept->set_snapshot_group(group);
    *response->mutable_snapshots(response->snapshots_size() - 1) = *kept;
  }
  response->set_group(group);
  return status;
}

grpc::Status FakeVolumes::SnapshotDelete(grpc::ServerContext* context,
                                         const api::DeleteSnapshotRequest* request,
                                         api::DeleteSnapshotResponse*) {
  Guard lock(state_.mutex);
  auto status = begin(context, "SnapshotDelete", request->snapshot());
  if (!status.ok()) return status;
  const api::Volume* found = state_.find(request->snapshot());
  if (found == nullptr) return status;
  for (const auto& [id, other] : state_.volumes) {
    if (other.parent_snapshot() == found->name()) {
      return refuse(context, Code::kBusy, "it is the base of the clone " + other.name());
    }
  }
  state_.volumes.erase(found->id());
  return status;
}

grpc::Status FakeHosts::Attach(grpc::ServerContext* context, const api::AttachRequest* request,
                               api::AttachResponse* response) {
  Guard lock(state_.mutex);
  api::Volume* found = state_.find(request->volume());
  if (found == nullptr) return missing(context, request->volume());
  auto status = begin(context, "Attach",
                      found->name() + " " + request->node() + (request->force() ? " force" : ""));
  if (!status.ok()) return status;
  if (request->again() && attachment_on(*found, request->node()) == nullptr) {
    return refuse(context, Code::kNotFound, "it is not attached there any more");
  }
  const bool elsewhere = found->has_attachment() && found->attachment().node() != request->node();
  const bool online = found->attachment().node_online();
  const bool through = found->shared() && elsewhere && online;
  if (elsewhere && !through && (!request->force() || online)) {
    return refuse(context, Code::kBusy, "it is attached on " + found->attachment().node());
  }
  if (!through && !can_be_opened(*found)) {
    return refuse(context, Code::kUnreachable, "R3: no replica in sync answered");
  }
  drop_sharer(*found, request->node());
  auto* attachment = through ? found->add_shared_attachments() : found->mutable_attachment();
  attachment->set_node(request->node());
  attachment->set_node_online(true);
  attachment->set_device(state_.device_directory + "/" + found->name());
  found->set_state(api::VOLUME_STATE_ATTACHED);
  *response->mutable_attachment() = *attachment;
  if (state_.after_attach) state_.after_attach(*found);
  return status;
}

grpc::Status FakeHosts::Detach(grpc::ServerContext* context, const api::DetachRequest* request,
                               api::DetachResponse*) {
  Guard lock(state_.mutex);
  api::Volume* found = state_.find(request->volume());
  if (found == nullptr) return missing(context, request->volume());
  auto status = begin(context, "Detach",
                      found->name() + " " + request->node() + (request->force() ? " force" : ""));
  if (!status.ok()) return status;
  const bool primary = found->attachment().node() == request->node();
  if (found->shared() && !primary) {
    for (const auto& other : found->shared_attachments()) {
      const bool here = other.node() == request->node();
      const bool can_go =
          other.node_online() || (request->force() && found->attachment().node_online());
      if (here && !can_go) return refuse(context, Code::kUnreachable, "its node is offline");
    }
    drop_sharer(*found, request->node());
    return status;
  }
  const std::string next = next_primary(*found);
  const bool promoted = request->force() && !next.empty();
  if (found->has_attachment() && !found->attachment().node_online() && !promoted) {
    return refuse(context, Code::kUnreachable, "its node is offline");
  }
  found->clear_attachment();
  for (const auto& other : std::vector<api::Attachment>(found->shared_attachments().begin(),
                                                        found->shared_attachments().end())) {
    if (other.node() != next) continue;
    *found->mutable_attachment() = other;
    drop_sharer(*found, next);
  }
  if (!is_attached(*found)) found->set_state(api::VOLUME_STATE_DETACHED);
  return status;
}

grpc::Status FakeNodes::List(grpc::ServerContext* context, const api::ListNodesRequest*,
                             api::ListNodesResponse* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "Nodes", "");
  if (!status.ok()) return status;
  response->mutable_nodes()->Assign(state_.nodes.begin(), state_.nodes.end());
  for (auto& node : *response->mutable_nodes()) {
    uint32_t attached = 0;
    for (const auto& [id, volume] : state_.volumes) {
      attached += volume.has_attachment() && volume.attachment().node() == node.name() ? 1 : 0;
      for (const auto& other : volume.shared_attachments()) {
        attached += other.node() == node.name() ? 1 : 0;
      }
    }
    node.set_attached_count(attached);
    if (node.health() != api::HEALTH_UNSPECIFIED) continue;
    node.set_health(node.state() == api::NODE_STATE_OFFLINE ? api::HEALTH_DOWN : api::HEALTH_OK);
  }
  return status;
}

grpc::Status FakePools::List(grpc::ServerContext* context, const api::ListPoolsRequest*,
                             api::ListPoolsResponse* response) {
  Guard lock(state_.mutex);
  auto status = begin(context, "Pools", "");
  if (!status.ok()) return status;
  response->mutable_pools()->Assign(state_.pools.begin(), state_.pools.end());
  return status;
}

FakeCleatd::FakeCleatd() {
  for (int i = 1; i <= 3; ++i) {
    api::Node node;
    node.set_name("n" + std::to_string(i));
    node.set_rack("r" + std::to_string(i));
    node.set_zone("z1");
    node.set_state(api::NODE_STATE_ONLINE);
    api::Pool pool;
    pool.set_node(node.name());
    pool.set_placeable_bytes(static_cast<uint64_t>(i) * 100 * kGiB);
    state_.nodes.push_back(node);
    state_.pools.push_back(pool);
  }
  char name[] = "/tmp/cleat-csi-XXXXXX";
  directory_ = ::mkdtemp(name);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + address(), grpc::InsecureServerCredentials());
  for (grpc::Service* service :
       std::initializer_list<grpc::Service*>{&volumes_, &hosts_, &nodes_, &pools_}) {
    builder.RegisterService(service);
  }
  server_ = builder.BuildAndStart();
}

FakeCleatd::~FakeCleatd() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
  std::filesystem::remove_all(directory_);
}

void FakeCleatd::set_online(const std::string& node, bool online) {
  Guard lock(state_.mutex);
  for (auto& [id, volume] : state_.volumes) {
    if (volume.has_attachment() && volume.attachment().node() == node) {
      volume.mutable_attachment()->set_node_online(online);
    }
    for (auto& other : *volume.mutable_shared_attachments()) {
      if (other.node() == node) other.set_node_online(online);
    }
  }
}

}  // namespace cleat::csi
