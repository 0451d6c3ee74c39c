#include "csi/cleatd.h"

#include <chrono>

#include "csi/names.h"

namespace cleat::csi {
namespace {

constexpr int kMessageBytesMax = 64 << 20;  // a list of 10,000 volumes has some 5 MB

std::string grpc_address(const std::string& address) {
  return address.starts_with('/') ? "unix:" + address : address;
}

}  // namespace

Cleatd::Cleatd(CleatdOptions options) : options_(std::move(options)) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  // A proxy of the environment must not get to see a token or a request.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // cleatd is restarted now and then: look again soon.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  channel_ = grpc::CreateCustomChannel(grpc_address(options_.address),
                                       grpc::InsecureChannelCredentials(), arguments);
}

void Cleatd::prepare(grpc::ClientContext& context) const {
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::microseconds>(options_.timeout));
  if (!options_.token.empty()) context.AddMetadata("authorization", "Bearer " + options_.token);
}

Outcome<api::Volume> Cleatd::inspect(const std::string& id, const char* what) const {
  if (!is_id(id)) return failure(Code::kNotFound, "there is no {} with the id \"{}\"", what, id);
  api::InspectVolumeRequest request;
  request.set_volume(id);
  return call<api::Volumes>(&api::Volumes::Stub::Inspect, request);
}

Outcome<api::Volume> Cleatd::volume(const std::string& id) const {
  OUTCOME_ASSIGN(api::Volume found, inspect(id, "volume"));
  if (found.snapshot_of_id().empty()) return found;
  return failure(Code::kNotFound, "{} is the id of a snapshot, not of a volume", id);
}

Outcome<api::Volume> Cleatd::snapshot(const std::string& id) const {
  OUTCOME_ASSIGN(api::Volume found, inspect(id, "snapshot"));
  if (!found.snapshot_of_id().empty()) return found;
  return failure(Code::kNotFound, "{} is the id of a volume, not of a snapshot", id);
}

Outcome<std::optional<api::Volume>> Cleatd::by_name(const std::string& name) const {
  api::ListVolumesRequest request;
  request.set_name(name);
  request.set_with_snapshots(true);
  OUTCOME_ASSIGN(api::ListVolumesResponse found,
                 call<api::Volumes>(&api::Volumes::Stub::List, request));
  if (found.volumes().empty()) return std::nullopt;
  return std::move(*found.mutable_volumes(0));
}

Outcome<std::vector<api::Volume>> Cleatd::volumes(
    const std::map<std::string, std::string>& labels) const {
  api::ListVolumesRequest request;
  request.mutable_labels()->insert(labels.begin(), labels.end());
  OUTCOME_ASSIGN(api::ListVolumesResponse found,
                 call<api::Volumes>(&api::Volumes::Stub::List, request));
  return std::vector<api::Volume>(found.volumes().begin(), found.volumes().end());
}

Outcome<std::vector<api::Volume>> Cleatd::snapshots() const {
  api::ListVolumesRequest request;
  request.set_only_snapshots(true);
  OUTCOME_ASSIGN(api::ListVolumesResponse found,
                 call<api::Volumes>(&api::Volumes::Stub::List, request));
  return std::vector<api::Volume>(found.volumes().begin(), found.volumes().end());
}

Outcome<std::vector<api::Node>> Cleatd::nodes() const {
  OUTCOME_ASSIGN(api::ListNodesResponse found,
                 call<api::Nodes>(&api::Nodes::Stub::List, api::ListNodesRequest{}));
  return std::vector<api::Node>(found.nodes().begin(), found.nodes().end());
}

Outcome<std::vector<api::Pool>> Cleatd::pools() const {
  OUTCOME_ASSIGN(api::ListPoolsResponse found,
                 call<api::Pools>(&api::Pools::Stub::List, api::ListPoolsRequest{}));
  return std::vector<api::Pool>(found.pools().begin(), found.pools().end());
}

Outcome<api::Volume> Cleatd::change_labels(const std::string& volume_id,
                                           const std::map<std::string, std::string>& set,
                                           const std::vector<std::string>& removed) const {
  api::UpdateVolumeRequest request;
  request.set_volume(volume_id);
  request.mutable_labels()->insert(set.begin(), set.end());
  for (const std::string& label : removed) request.add_remove_labels(label);
  return call<api::Volumes>(&api::Volumes::Stub::Update, request);
}

Outcome<> Cleatd::set_labels(const std::string& volume_id,
                             const std::map<std::string, std::string>& labels) const {
  OUTCOME_TRY(change_labels(volume_id, labels, {}));
  return {};
}

Outcome<api::Volume> Cleatd::set_shared(const std::string& volume_id, bool shared) const {
  api::UpdateVolumeRequest request;
  request.set_volume(volume_id);
  request.set_shared(shared);
  return call<api::Volumes>(&api::Volumes::Stub::Update, request);
}

Outcome<> Cleatd::remove_label(const std::string& volume_id, const std::string& label) const {
  OUTCOME_TRY(change_labels(volume_id, {}, {label}));
  return {};
}

std::string label_of(const api::Volume& volume, const std::string& label) {
  auto found = volume.labels().find(label);
  return found == volume.labels().end() ? std::string{} : found->second;
}

}  // namespace cleat::csi
