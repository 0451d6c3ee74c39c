// Two whole control planes on one real etcd, with their gRPC and HTTP servers on 127.0.0.1 and .2,
// and fake data planes: forwarding, tokens, sockets.
#include "control/control_plane.h"

#include <httplib.h>
#include <sys/stat.h>

#include "api/control.grpc.pb.h"
#include "control/api_server.h"
#include "control/grpc_channel.h"
#include "control/scheduler_extender.h"
#include "control/status_codes.h"
#include "control/testing/fake_node.h"
#include "control/testing/test_etcd.h"

namespace cleat::control {
namespace {

constexpr const char* kSecret = "0123456789abcdef0123456789abcdef";

struct Node {
  TestDirectory data;
  TestDirectory run;
  std::unique_ptr<FakeNode> fake;
  std::unique_ptr<ControlPlane> plane;  // goes first: it uses the other
  ControlOptions options;

  Node(int i, const std::string& etcd, uint16_t control_port, uint16_t http_port) {
    options.node = fmt::format("n{}", i);
    options.address = fmt::format("127.0.0.{}", i);
    options.data_dir = data.path();
    options.run_dir = run.path();
    options.etcd = etcd;
    options.secret = kSecret;
    options.version = "0.1.0";
    options.control_port = control_port;
    options.http_port = http_port;
    options.reconcile_period = 200ms;
  }
  void start() {
    auto made = ControlPlane::create(options);
    ASSERT_TRUE(made) << made.error().message;
    plane = std::move(*made);
    if (!fake) {
      fake = std::make_unique<FakeNode>(plane->node_id(), plane->records());
      PoolId pool{plane->node_id().value + 1};
      fake->state().pools[pool] = {pool, "/pool", "ssd", 100 * kGiB, 0, 100 * kGiB, false, {}};
    }
    auto started = plane->start(fake->ports());
    ASSERT_TRUE(started) << started.error().message;
  }
  void stop() { plane.reset(); }
  std::shared_ptr<grpc::Channel> socket() const {
    auto channel = make_channel("unix:" + run.path() + "/cleatd.sock");
    EXPECT_TRUE(connect_now(*channel, 5s));
    return channel;
  }
};

class ControlPlaneTest : public ::testing::Test {
 protected:
  TestEtcd etcd;
  uint16_t control_port = free_port();
  uint16_t http_port = free_port();
  Node a{1, etcd.endpoint(), control_port, http_port};
  Node b{2, etcd.endpoint(), control_port, http_port};

  void start_both() {
    a.start();
    b.start();
    ASSERT_TRUE(eventually([&] { return a.plane->joined() && b.plane->joined(); }));
    ASSERT_TRUE(eventually([&] {
      grpc::ClientContext context;
      v1::ListPoolsResponse pools;
      return v1::Pools::NewStub(a.socket())->List(&context, {}, &pools).ok() &&
             pools.pools_size() == 2;
    }));
  }
  grpc::Status create(const Node& node, const std::string& name, uint32_t ha, v1::Volume* out) {
    grpc::ClientContext context;
    v1::CreateVolumeRequest in;
    in.set_name(name);
    in.set_size_bytes(kGiB);
    in.set_ha(ha);
    return v1::Volumes::NewStub(node.socket())->Create(&context, in, out);
  }
};

TEST_F(ControlPlaneTest, AnyNodeServesAnyCall) {
  start_both();
  v1::Volume made;
  grpc::Status status = create(a, "data1", 2, &made);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(a.fake->state().replicas.size(), 1U);
  EXPECT_EQ(b.fake->state().replicas.size(), 1U) << "made over the network";

  grpc::ClientContext attach_context;
  v1::AttachRequest attach;
  attach.set_volume("data1");
  attach.set_node("n2");
  v1::AttachResponse attached;
  status = v1::Hosts::NewStub(a.socket())->Attach(&attach_context, attach, &attached);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(attached.attachment().address(), "127.0.0.2");
  EXPECT_EQ(b.fake->state().attached.size(), 1U);

  grpc::ClientContext refused_context;
  v1::DeleteVolumeRequest remove;
  remove.set_volume("data1");
  v1::DeleteVolumeResponse removed;
  status = v1::Volumes::NewStub(b.socket())->Delete(&refused_context, remove, &removed);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  auto word = refused_context.GetServerTrailingMetadata().find(kErrorMetadata);
  ASSERT_NE(word, refused_context.GetServerTrailingMetadata().end());
  EXPECT_EQ(std::string(word->second.data(), word->second.size()), "in use");

  auto peer = a.plane->peer(b.plane->node_id());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->address, "127.0.0.2");
}

TEST_F(ControlPlaneTest, TheAddressNeedsTheTokenAndTheSocketIsRootsAlone) {
  start_both();
  auto channel = make_channel(fmt::format("127.0.0.1:{}", control_port));
  ASSERT_TRUE(connect_now(*channel, 5s));
  auto status_with = [&](const std::string& token) {
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata(kTokenMetadata, "Bearer " + token);
    v1::StatusResponse out;
    return v1::Cluster::NewStub(channel)->Status(&context, {}, &out).error_code();
  };
  EXPECT_EQ(status_with(""), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(status_with("wrong"), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(status_with(control_token(kSecret)), grpc::StatusCode::OK);
  struct stat socket{};
  ASSERT_EQ(::stat((a.run.path() + "/cleatd.sock").c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0600U);
}

TEST_F(ControlPlaneTest, HttpServesHealthMetricsAndJson) {
  start_both();
  v1::Volume made;
  ASSERT_TRUE(create(a, "data1", 2, &made).ok());
  httplib::Client client("127.0.0.1", http_port);
  auto health = client.Get("/healthz");
  ASSERT_TRUE(health);
  EXPECT_EQ(health->status, 200);
  auto metrics = client.Get("/metrics");
  EXPECT_NE(metrics->body.find("cleat_volumes{condition=\"total\"} 1"), std::string::npos)
      << metrics->body;
  grpc::ClientContext context;
  v1::AttachRequest attach;
  attach.set_volume("data1");
  attach.set_node("n1");
  v1::AttachResponse attached;
  ASSERT_TRUE(v1::Hosts::NewStub(a.socket())->Attach(&context, attach, &attached).ok());
  metrics = client.Get("/metrics");
  EXPECT_NE(metrics->body.find("# TYPE cleat_volume_writes_total counter\n"
                               "cleat_volume_writes_total{volume=\""),
            std::string::npos)
      << metrics->body;
  EXPECT_EQ(client.Get("/v1/volumes")->status, 401);
  httplib::Headers token{{"Authorization", "Bearer " + control_token(kSecret)}};
  auto volumes = client.Get("/v1/volumes", token);
  EXPECT_EQ(volumes->status, 200);
  EXPECT_NE(volumes->body.find("\"name\":\"data1\""), std::string::npos) << volumes->body;
  EXPECT_EQ(client.Get("/v1/volumes/nope", token)->status, 404);
  EXPECT_EQ(client.Get("/v1/volumes/data1", token)->status, 200);
}

TEST_F(ControlPlaneTest, HttpAnswersASchedulerWithoutAToken) {
  start_both();
  httplib::Client client("127.0.0.1", http_port);
  const std::string question =
      R"({"Pod": {"metadata": {"name": "p", "namespace": "d"}}, "NodeNames": ["n1", "x"]})";
  auto filtered = client.Post("/scheduler/filter", question, "application/json");
  ASSERT_TRUE(filtered);
  EXPECT_EQ(filtered->status, 200);
  EXPECT_NE(filtered->body.find(R"("NodeNames":["n1","x"])"), std::string::npos) << filtered->body;
  auto scored = client.Post("/scheduler/prioritize", question, "application/json");
  ASSERT_TRUE(scored);
  EXPECT_EQ(scored->body, R"([{"Host":"n1","Score":0},{"Host":"x","Score":0}])");
  auto refused = client.Post("/scheduler/filter", "{}", "application/json");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 400);
  EXPECT_NE(refused->body.find("it has no Pod"), std::string::npos) << refused->body;
  auto large = client.Post("/scheduler/filter",
                           std::string(SchedulerExtender::kBodyBytesMax + 1, ' '), "text/plain");
  ASSERT_TRUE(large);
  EXPECT_EQ(large->status, 400);
  EXPECT_NE(large->body.find("nodeCacheCapable"), std::string::npos) << large->body;
}

TEST_F(ControlPlaneTest, ARestartedNodeIsTheSameNode) {
  start_both();
  const NodeId before = a.plane->node_id();
  a.stop();
  a.start();
  EXPECT_EQ(a.plane->node_id(), before);
  EXPECT_TRUE(eventually([&] { return a.plane->joined(); }));
}

TEST_F(ControlPlaneTest, ANodeThatIsGoneIsOfflineAndSaidSo) {
  start_both();
  b.stop();
  v1::StatusResponse status;
  EXPECT_TRUE(eventually(
      [&] {
        grpc::ClientContext context;
        status.Clear();
        if (!v1::Cluster::NewStub(a.socket())->Status(&context, {}, &status).ok()) return false;
        return status.health() == v1::HEALTH_DEGRADED;
      },
      15s));
  ASSERT_GE(status.findings_size(), 1);
  EXPECT_EQ(status.findings(0).node(), "n2");
}

class SharedPlaneTest : public ControlPlaneTest {
 protected:
  void SetUp() override {
    for (Node* node : {&a, &b}) node->options.reconcile_period = 60s;
    start_both();
    for (Node* node : {&a, &b}) {
      node->fake->state().serves = [this](NodeId primary, VolumeId) {
        return (primary == a.plane->node_id() ? a : b).fake->state().attached.size() == 1;
      };
    }
    grpc::ClientContext context;
    v1::CreateVolumeRequest in;
    in.set_name("s");
    in.set_size_bytes(kGiB);
    in.set_ha(2);
    in.set_shared(true);
    v1::Volume made;
    ASSERT_TRUE(v1::Volumes::NewStub(a.socket())->Create(&context, in, &made).ok());
  }
  grpc::Status attach(const Node& asked, const std::string& node) {
    grpc::ClientContext context;
    v1::AttachRequest in;
    in.set_volume("s");
    in.set_node(node);
    v1::AttachResponse out;
    return v1::Hosts::NewStub(asked.socket())->Attach(&context, in, &out);
  }
  v1::Volume inspect(const Node& asked) {
    grpc::ClientContext context;
    v1::InspectVolumeRequest in;
    in.set_volume("s");
    v1::Volume out;
    v1::Volumes::NewStub(asked.socket())->Inspect(&context, in, &out);
    return out;
  }
};

TEST_F(SharedPlaneTest, OtherNodesAreAskedOverTheNetwork) {
  ASSERT_TRUE(attach(a, "n1").ok());
  ASSERT_TRUE(attach(a, "n2").ok());
  EXPECT_EQ(b.fake->state().through.size(), 1U) << "through n1";
  const v1::Volume shown = inspect(b);
  EXPECT_EQ(shown.attachment().node(), "n1");
  EXPECT_EQ(shown.shared_attachments(0).node(), "n2");
  v1::ResizeVolumeRequest resize;
  resize.set_volume("s");
  resize.set_size_bytes(2 * kGiB);
  grpc::ClientContext context;
  v1::Volume out;
  auto status = v1::Volumes::NewStub(a.socket())->Resize(&context, resize, &out);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(b.fake->state().device_blocks.size(), 1U);
}

// Without the wake-up a pass would come after a minute. n1 is also who reconciles, as a rule.
TEST_F(SharedPlaneTest, ALostPrimaryIsReplacedSoonAfterItsLeaseIsGone) {
  ASSERT_TRUE(attach(b, "n1").ok());
  ASSERT_TRUE(attach(b, "n2").ok());
  a.fake->state().down = true;  // else it would be waited for: an orderly stop
  a.stop();
  EXPECT_TRUE(eventually(
      [&] {
        const v1::Volume shown = inspect(b);
        return shown.attachment().node() == "n2" && shown.shared_attachments_size() == 0;
      },
      12s));
}

TEST_F(ControlPlaneTest, LostEtcdDataAreRefusedUntilAPersonRebuilds) {
  start_both();
  v1::Volume made;
  ASSERT_TRUE(create(a, "data1", 2, &made).ok());
  a.stop();
  b.stop();
  auto store = etcd.store();
  auto all = store->list("/cleat/");
  for (const auto& entry : all->entries) ASSERT_TRUE(store->commit(Txn{}.erase(entry.key)));
  a.start();
  auto stub = v1::Cluster::NewStub(a.socket());
  v1::StatusResponse status;
  EXPECT_TRUE(eventually([&] {
    grpc::ClientContext context;
    return stub->Status(&context, {}, &status).ok() &&
           status.metadata().problem().find("rebuild-metadata") != std::string::npos;
  })) << status.metadata().problem();
  EXPECT_FALSE(a.plane->joined());
  b.start();
  v1::RebuildMetadataRequest rebuild;
  v1::RebuildMetadataResponse rebuilt;
  grpc::ClientContext refused;
  EXPECT_EQ(stub->RebuildMetadata(&refused, rebuild, &rebuilt).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION)
      << "not without force";
  rebuild.set_force(true);
  EXPECT_TRUE(eventually([&] {
    grpc::ClientContext context;
    rebuilt.Clear();
    return stub->RebuildMetadata(&context, rebuild, &rebuilt).ok() && rebuilt.volumes_size() == 1;
  }));
  EXPECT_EQ(rebuilt.volumes(0).name(), "data1");
  EXPECT_TRUE(eventually([&] { return b.plane->joined(); }));
  v1::Volume again;
  EXPECT_TRUE(create(b, "data1", 2, &again).ok());
  EXPECT_EQ(again.id(), made.id());
}

TEST_F(ControlPlaneTest, BadOptionsAreRefused) {
  Node bad{3, "embedded", control_port, http_port};
  bad.options.secret = "short";
  EXPECT_EQ(ControlPlane::create(bad.options).error().code, Code::kInvalidArgument);
  bad.options.secret = kSecret;
  bad.options.cluster = "a/b";
  EXPECT_EQ(ControlPlane::create(bad.options).error().code, Code::kInvalidArgument);
  bad.options.cluster = "cleat";
  bad.options.etcd = "nonsense";
  EXPECT_EQ(ControlPlane::create(bad.options).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace cleat::control
