// A cleatd that keeps volumes in a map and behaves as api/control.proto says, on a unix socket of
// its own: three nodes n1, n2, n3 (racks r1, r2, r3), each with one pool. Tests look at and change
// what it holds, and let calls fail.
#pragma once

#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "api/control.grpc.pb.h"
#include "common/result.h"
#include "common/units.h"

namespace cleat::csi {

namespace api = ::cleat::control::v1;

struct FakeState {
  std::recursive_mutex mutex;
  std::map<std::string, api::Volume> volumes;  // by id; snapshots too
  std::vector<api::Node> nodes;
  std::vector<api::Pool> pools;
  std::vector<std::string> calls;     // "Attach data1 n2"
  std::map<std::string, Code> fails;  // method -> the next call fails with it
  // method -> what happens once, right after its next answer was written. It calls nobody.
  std::map<std::string, std::function<void()>> meanwhile;
  uint64_t next_id = 100;
  std::string device_directory = "/dev/cleat";
  std::function<void(const api::Volume&)> after_attach;

  api::Volume* find(const std::string& name_or_id) {
    for (auto& [id, volume] : volumes) {
      if (id == name_or_id || volume.name() == name_or_id) return &volume;
    }
    return nullptr;
  }
  void happen(const std::string& method) {
    auto planned = meanwhile.extract(method);
    if (planned) planned.mapped()();
  }
  int count(const std::string& beginning) const {
    return static_cast<int>(std::count_if(calls.begin(), calls.end(), [&](const std::string& call) {
      return call.starts_with(beginning);
    }));
  }
};

class FakeService {
 protected:
  explicit FakeService(FakeState& state) : state_(state) {}
  static grpc::Status refuse(grpc::ServerContext* context, Code code, const std::string& sentence) {
    context->AddTrailingMetadata("cleat-error", std::string(to_string(code)));
    return {grpc::StatusCode::UNKNOWN, sentence};
  }
  // Notes the call; a failure that a test asked for.
  grpc::Status begin(grpc::ServerContext* context, const std::string& method,
                     const std::string& about) {
    state_.calls.push_back(method + " " + about);
    auto planned = state_.fails.find(method);
    if (planned == state_.fails.end()) return grpc::Status::OK;
    const Code code = planned->second;
    state_.fails.erase(planned);
    return refuse(context, code, "as the test wants");
  }
  grpc::Status missing(grpc::ServerContext* context, const std::string& name) {
    return refuse(context, Code::kNotFound, "there is no volume or snapshot \"" + name + "\"");
  }
  FakeState& state_;
};

class FakeVolumes final : public api::Volumes::Service, FakeService {
 public:
  explicit FakeVolumes(FakeState& state) : FakeService(state) {}
  grpc::Status Create(grpc::ServerContext*, const api::CreateVolumeRequest*, api::Volume*) override;
  grpc::Status List(grpc::ServerContext*, const api::ListVolumesRequest*,
                    api::ListVolumesResponse*) override;
  grpc::Status Inspect(grpc::ServerContext*, const api::InspectVolumeRequest*,
                       api::Volume*) override;
  grpc::Status Delete(grpc::ServerContext*, const api::DeleteVolumeRequest*,
                      api::DeleteVolumeResponse*) override;
  grpc::Status Resize(grpc::ServerContext*, const api::ResizeVolumeRequest*, api::Volume*) override;
  grpc::Status Update(grpc::ServerContext*, const api::UpdateVolumeRequest*, api::Volume*) override;
  grpc::Status HaUpdate(grpc::ServerContext*, const api::HaUpdateRequest*, api::Volume*) override;
  grpc::Status Clone(grpc::ServerContext*, const api::CloneVolumeRequest*, api::Volume*) override;
  grpc::Status SnapshotCreate(grpc::ServerContext*, const api::CreateSnapshotRequest*,
                              api::Volume*) override;
  grpc::Status SnapshotGroup(grpc::ServerContext*, const api::SnapshotGroupRequest*,
                             api::SnapshotGroupResponse*) override;
  grpc::Status SnapshotDelete(grpc::ServerContext*, const api::DeleteSnapshotRequest*,
                              api::DeleteSnapshotResponse*) override;
};

class FakeHosts final : public api::Hosts::Service, FakeService {
 public:
  explicit FakeHosts(FakeState& state) : FakeService(state) {}
  grpc::Status Attach(grpc::ServerContext*, const api::AttachRequest*,
                      api::AttachResponse*) override;
  grpc::Status Detach(grpc::ServerContext*, const api::DetachRequest*,
                      api::DetachResponse*) override;
};

class FakeNodes final : public api::Nodes::Service, FakeService {
 public:
  explicit FakeNodes(FakeState& state) : FakeService(state) {}
  grpc::Status List(grpc::ServerContext*, const api::ListNodesRequest*,
                    api::ListNodesResponse*) override;
};

class FakePools final : public api::Pools::Service, FakeService {
 public:
  explicit FakePools(FakeState& state) : FakeService(state) {}
  grpc::Status List(grpc::ServerContext*, const api::ListPoolsRequest*,
                    api::ListPoolsResponse*) override;
};

class FakeCleatd {
 public:
  FakeCleatd();
  ~FakeCleatd();
  FakeCleatd(const FakeCleatd&) = delete;

  FakeState& state() { return state_; }
  std::string directory() const { return directory_; }
  std::string address() const { return directory_ + "/cleatd.sock"; }
  // The node's lease runs out, or it is back.
  void set_online(const std::string& node, bool online);

 private:
  FakeState state_;
  std::string directory_;
  FakeVolumes volumes_{state_};
  FakeHosts hosts_{state_};
  FakeNodes nodes_{state_};
  FakePools pools_{state_};
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace cleat::csi
