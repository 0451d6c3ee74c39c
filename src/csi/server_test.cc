// The server as a whole: what it answers on its socket, and the watch for lost nodes with its
// threads, its lease and HTTP.
#include "csi/server.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/csi.grpc.pb.h"
#include "csi/testing/fake_cleatd.h"
#include "csi/testing/fake_host.h"

namespace cleat::csi {
namespace {

using Json = nlohmann::json;

constexpr const char* kLeasePath =
    "/apis/coordination.k8s.io/v1/namespaces/cleat/leases/cleat-node-loss";

// A Kubernetes with a lost node k1, where a volume is to be attached, and a lease of another that
// renews it each time that it is looked at.
class FakeApi {
 public:
  FakeApi() {
    answer("/api/v1/nodes", Json{{"items", {node_}}});
    answer("/api/v1/nodes/k1", node_);
    answer("/apis/storage.k8s.io/v1/csinodes",
           Json::parse(R"({"items": [{"metadata": {"name": "k1"}, "spec": {"drivers":
             [{"name": "csi.cleat.dev", "nodeID": "n1"}]}}]})"));
    answer("/apis/storage.k8s.io/v1/volumeattachments", Json::parse(R"({"items": [{"spec":
             {"attacher": "csi.cleat.dev", "nodeName": "k1"}}]})"));
    server_.Patch("/api/v1/nodes/k1", [this](const auto&, auto&) { ++taints; });
    server_.Get(kLeasePath, [this](const auto&, auto& response) {
      std::lock_guard lock(mutex_);
      ++looks;
      if (refuses) response.status = 403;
      if (lease_["spec"]["holderIdentity"] == "other") {
        lease_["spec"]["renewTime"] = std::to_string(looks);
      }
      response.set_content(lease_.dump(), "application/json");
    });
    server_.Put(kLeasePath, [this](const auto& request, auto&) {
      std::lock_guard lock(mutex_);
      lease_ = Json::parse(request.body);
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(1ms);
  }
  ~FakeApi() {
    server_.stop();
    thread_.join();
  }
  FakeApi(const FakeApi&) = delete;
  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  std::string holder() {
    std::lock_guard lock(mutex_);
    return lease_["spec"]["holderIdentity"];
  }
  void set_holder(const std::string& holder) {
    std::lock_guard lock(mutex_);
    lease_["spec"]["holderIdentity"] = holder;
  }
  std::atomic<int> looks = 0;
  std::atomic<int> taints = 0;
  std::atomic<bool> refuses = false;

 private:
  void answer(const std::string& path, const Json& body) {
    server_.Get(path, [text = body.dump()](const auto&, auto& response) {
      response.set_content(text, "application/json");
    });
  }

  const Json node_ = Json::parse(R"({"metadata": {"name": "k1", "resourceVersion": "7"},
    "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})");
  std::mutex mutex_;
  Json lease_ = Json::parse(R"({"metadata": {"resourceVersion": "1"}, "spec":
    {"holderIdentity": "other", "leaseDurationSeconds": 4}})");
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    cleatd_.state().nodes[0].set_state(api::NODE_STATE_OFFLINE);
    std::ofstream(cleatd_.directory() + "/namespace") << "cleat\n";
    options_.endpoint = "unix://" + cleatd_.directory() + "/csi.sock";
    options_.mode = "controller";
    options_.cleatd = cleatd_.address();
    options_.kube_api = api_.url();
    options_.kube_namespace_file = cleatd_.directory() + "/namespace";
    options_.node_loss_after = 1s;
  }
  template <class Condition>
  static bool wait_until(Condition condition) {
    for (int i = 0; i < 3000 && !condition(); ++i) std::this_thread::sleep_for(10ms);
    return condition();
  }
  bool ready(const std::string& mode) {
    options_.mode = mode;
    Server server(options_, "", mounts_, file_systems_);
    EXPECT_TRUE(server.start());
    auto stub = ::csi::v1::Identity::NewStub(grpc::CreateChannel(
        "unix:" + cleatd_.directory() + "/csi.sock", grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    ::csi::v1::ProbeResponse answer;
    EXPECT_TRUE(stub->Probe(&context, {}, &answer).ok());
    return answer.ready().value();
  }

  FakeCleatd cleatd_;
  FakeApi api_;
  FakeMounts mounts_;
  FakeFileSystems file_systems_;
  CsiOptions options_;
};

// A restart helps a controller, whose work another takes over, and ends the mkfs of a node.
TEST_F(ServerTest, WithoutCleatdOnlyAControllerIsNotReady) {
  options_.node_loss = false;
  EXPECT_TRUE(ready("controller"));
  options_.cleatd = cleatd_.directory() + "/nobody.sock";
  EXPECT_FALSE(ready("controller"));
  EXPECT_TRUE(ready("node"));
  EXPECT_TRUE(ready("all")) << "it is a node's plugin too";
}

TEST_F(ServerTest, DoesNothingForALostNodeUntilItHoldsTheLease) {
  Server server(options_, "", mounts_, file_systems_);
  ASSERT_TRUE(server.start());
  ASSERT_TRUE(wait_until([&] { return api_.looks >= 4; }));
  EXPECT_EQ(api_.taints, 0);
  EXPECT_EQ(api_.holder(), "other");
  api_.set_holder("");
  ASSERT_TRUE(wait_until([&] { return api_.taints > 0; }));
  EXPECT_NE(api_.holder(), "");
  server.stop(0s);
  EXPECT_EQ(api_.holder(), "") << "it is released";
}

TEST_F(ServerTest, WithoutTheRightToTheLeaseALostNodeIsTaintedAllTheSame) {
  api_.refuses = true;
  Server server(options_, "", mounts_, file_systems_);
  ASSERT_TRUE(server.start());
  EXPECT_TRUE(wait_until([&] { return api_.taints > 0; }));
  EXPECT_EQ(api_.holder(), "other");
}

}  // namespace
}  // namespace cleat::csi
