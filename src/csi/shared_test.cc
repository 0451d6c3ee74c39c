// Shared volumes through the Controller service and the node-loss controller, against a cleatd that
// keeps volumes in a map.
#include <gtest/gtest.h>

#include "csi/lister.h"
#include "csi/names.h"
#include "csi/node_loss.h"
#include "csi/publisher.h"
#include "csi/testing/fake_cleatd.h"
#include "csi/volume_controller.h"

namespace cleat::csi {
namespace {

using Mode = spec::VolumeCapability::AccessMode;

class OneLostNode final : public KubePort {
 public:
  Outcome<std::vector<KubeNode>> nodes() override { return known; }
  Outcome<> set_taint(const std::string&, bool on) override {
    known[0].tainted = on;
    return {};
  }
  Outcome<> remove_ending_pods(const std::string&) override { return {}; }
  std::vector<KubeNode> known{{"k1", "n1", true, false, true}};
};

class SharedVolumeTest : public ::testing::Test {
 protected:
  static spec::VolumeCapability capability(Mode::Mode mode, bool block = true) {
    spec::VolumeCapability out;
    if (block) out.mutable_block();
    if (!block) out.mutable_mount();
    out.mutable_access_mode()->set_mode(mode);
    return out;
  }
  Outcome<spec::CreateVolumeResponse> make(const std::string& name, Mode::Mode mode, bool block,
                                           const std::string& parameter = {},
                                           const std::string& value = "true") {
    spec::CreateVolumeRequest request;
    request.set_name(name);
    request.mutable_capacity_range()->set_required_bytes(kGiB);
    *request.add_volume_capabilities() = capability(mode, block);
    if (!parameter.empty()) (*request.mutable_parameters())[parameter] = value;
    return volumes.create(request);
  }
  std::string create(const std::string& name, Mode::Mode mode = Mode::MULTI_NODE_MULTI_WRITER,
                     bool block = true) {
    auto made = make(name, mode, block);
    EXPECT_TRUE(made) << made.error().message;
    return made ? made->volume().volume_id() : "";
  }
  Outcome<spec::ControllerPublishVolumeResponse> publish(
      const std::string& id, const std::string& node,
      Mode::Mode mode = Mode::MULTI_NODE_MULTI_WRITER, bool read_only = false) {
    spec::ControllerPublishVolumeRequest request;
    request.set_volume_id(id);
    request.set_node_id(node);
    request.set_readonly(read_only);
    *request.mutable_volume_capability() = capability(mode);
    return publisher.publish(request);
  }
  Outcome<> unpublish(const std::string& id, const std::string& node) {
    spec::ControllerUnpublishVolumeRequest request;
    request.set_volume_id(id);
    request.set_node_id(node);
    return publisher.unpublish(request);
  }
  std::string published(const std::string& id) {
    spec::ControllerGetVolumeRequest request;
    request.set_volume_id(id);
    std::string out;
    auto got = lister.volume(request);
    EXPECT_TRUE(got);
    for (const auto& node : got->status().published_node_ids()) out += node + " ";
    return out;
  }
  void set_online(const std::string& node, bool online) {
    fake.set_online(node, online);
    for (auto& each : state().nodes) {
      if (each.name() != node) continue;
      each.set_state(online ? api::NODE_STATE_ONLINE : api::NODE_STATE_OFFLINE);
    }
  }
  FakeState& state() { return fake.state(); }

  FakeCleatd fake;
  Cleatd cleatd{{fake.address(), "", 5s}};
  InFlight in_flight;
  VolumeController volumes{cleatd, in_flight};
  Publisher publisher{cleatd, in_flight, 2};
  Lister lister{cleatd};
  OneLostNode kube;
  NodeLoss loss{cleatd, in_flight, kube, {10s, 30s}};
};

TEST_F(SharedVolumeTest, TheAccessModeOrTheClassMakesIt) {
  EXPECT_TRUE(state().find(create("rwx"))->shared());
  EXPECT_TRUE(state().find(create("rox", Mode::MULTI_NODE_READER_ONLY, false))->shared());
  EXPECT_FALSE(state().find(create("rwo", Mode::SINGLE_NODE_WRITER))->shared());
  ASSERT_TRUE(make("class", Mode::SINGLE_NODE_WRITER, true, "sharedv4"));
  EXPECT_TRUE(state().find("class")->shared());
  ASSERT_TRUE(make("off", Mode::SINGLE_NODE_WRITER, true, "shared", "false"));
  EXPECT_FALSE(state().find("off")->shared());
  auto refused = make("fs", Mode::SINGLE_NODE_WRITER, false, "shared");
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("volumeMode: Block"), std::string::npos);
  refused = make("fs", Mode::MULTI_NODE_MULTI_WRITER, false);
  EXPECT_NE(refused.error().message.find("destroyed"), std::string::npos);
  refused = make("no", Mode::MULTI_NODE_MULTI_WRITER, true, "shared", "false");
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
}

TEST_F(SharedVolumeTest, ACloneIsSharedAsItWasAskedFor) {
  const std::string source = create("source");
  for (auto [name, mode] : {std::pair{"alone", Mode::SINGLE_NODE_WRITER},
                            std::pair{"many", Mode::MULTI_NODE_MULTI_WRITER}}) {
    spec::CreateVolumeRequest request;
    request.set_name(name);
    *request.add_volume_capabilities() = capability(mode);
    request.mutable_volume_content_source()->mutable_volume()->set_volume_id(source);
    ASSERT_TRUE(volumes.create(request));
    EXPECT_EQ(state().find(name)->shared(), mode != Mode::SINGLE_NODE_WRITER);
  }
}

TEST_F(SharedVolumeTest, ItIsPublishedToSeveralNodesAndUnpublishedFromOne) {
  const std::string id = create("data");
  ASSERT_TRUE(publish(id, "n1"));
  auto second = publish(id, "n2");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->publish_context().at("device"), "/dev/cleat/data");
  EXPECT_TRUE(publish(id, "n2")) << "repeatable";
  EXPECT_TRUE(publish(id, "n1"));
  EXPECT_EQ(published(id), "n1 n2 ");
  EXPECT_EQ(publish(id, "n3", Mode::SINGLE_NODE_WRITER).error().code, Code::kBusy);
  ASSERT_TRUE(publish(id, "n3"));
  ASSERT_TRUE(unpublish(id, "n2"));
  ASSERT_TRUE(unpublish(id, "n2"));
  EXPECT_EQ(published(id), "n1 n3 ");
  EXPECT_EQ(state().count("Detach data n2"), 1);
  ASSERT_TRUE(unpublish(id, "")) << "from all";
  EXPECT_EQ(published(id), "");
}

TEST_F(SharedVolumeTest, EachNodeHasItsOwnWayOfReading) {
  const std::string id = create("data");
  const auto many = Mode::MULTI_NODE_MULTI_WRITER;
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(publish(id, node, many, true));
  ASSERT_TRUE(publish(id, "n3", many, false));
  EXPECT_EQ(publish(id, "n1", many, true)->publish_context().at("readonly"), "true");
  EXPECT_EQ(publish(id, "n3", many, false)->publish_context().at("readonly"), "false");
  EXPECT_EQ(publish(id, "n1", many, false).error().code, Code::kAlreadyExists);
  EXPECT_EQ(publish(id, "n3", many, true).error().code, Code::kAlreadyExists);
  ASSERT_TRUE(unpublish(id, "n1"));
  EXPECT_TRUE(publish(id, "n1", many, false));
  EXPECT_TRUE(publish(id, "n2", many, true));
}

TEST_F(SharedVolumeTest, AVolumeOfEarlierTimesBecomesSharedWhileNobodyHasIt) {
  const std::string id = create("old", Mode::SINGLE_NODE_WRITER);
  ASSERT_TRUE(publish(id, "n1", Mode::SINGLE_NODE_WRITER));
  EXPECT_TRUE(publish(id, "n1")) << "it is there already";
  auto refused = publish(id, "n2");
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("not a shared one yet"), std::string::npos);
  ASSERT_TRUE(unpublish(id, "n1"));
  ASSERT_TRUE(publish(id, "n2"));
  EXPECT_TRUE(state().find(id)->shared());
  EXPECT_TRUE(publish(id, "n1"));
}

TEST_F(SharedVolumeTest, EveryNodeCountsTowardsItsLimit) {
  for (const char* name : {"a", "b"}) {
    ASSERT_TRUE(publish(create(name), "n1"));
    ASSERT_TRUE(publish(state().find(name)->id(), "n2"));
  }
  const std::string id = create("c");
  EXPECT_EQ(publish(id, "n2").error().code, Code::kLimit);
  EXPECT_TRUE(publish(state().find("a")->id(), "n2"));
  EXPECT_TRUE(publish(id, "n3"));
}

TEST_F(SharedVolumeTest, ASharerThatIsAwayIsExpelledAtOnce) {
  const std::string id = create("data");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(publish(id, node));
  set_online("n2", false);
  EXPECT_EQ(published(id), "n1 n2 ");
  ASSERT_TRUE(unpublish(id, "n2"));
  EXPECT_EQ(state().count("Detach data n2 force"), 1);
  EXPECT_EQ(published(id), "n1 ");
}

TEST_F(SharedVolumeTest, APrimaryThatIsAwayIsReplacedByOneThatHasItToo) {
  const std::string id = create("data");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(publish(id, node));
  set_online("n1", false);
  ASSERT_TRUE(unpublish(id, "n1"));
  EXPECT_EQ(state().find(id)->attachment().node(), "n2");
  EXPECT_EQ(published(id), "n2 ");
  EXPECT_TRUE(publish(id, "n3"));
}

TEST_F(SharedVolumeTest, WhereNobodyIsThereToExpelThemTheNextPublishDoes) {
  const std::string id = create("data");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(publish(id, node));
  for (const char* node : {"n1", "n2"}) set_online(node, false);
  ASSERT_TRUE(unpublish(id, "n2"));
  ASSERT_TRUE(unpublish(id, "n1"));
  EXPECT_EQ(label_of(*state().find(id), kLabelUnpublished), "n2,n1");
  EXPECT_EQ(published(id), "");
  set_online("n2", true);
  ASSERT_TRUE(publish(id, "n3"));
  EXPECT_EQ(state().count("Detach data n2 force"), 1);
  EXPECT_EQ(state().count("Attach data n3 force"), 1) << "n1 is away still";
  EXPECT_EQ(published(id), "n3 ");
}

// n2 was given it again between the first look at the volume and the turn.
TEST_F(SharedVolumeTest, ANodeThatJustGotItIsNotExpelledByAnOldNote) {
  const std::string id = create("data");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(publish(id, node));
  (*state().find(id)->mutable_labels())[kLabelUnpublished] = "n2";
  state().meanwhile["Inspect"] = [&] { state().find(id)->clear_labels(); };
  ASSERT_TRUE(publish(id, "n3"));
  EXPECT_EQ(state().count("Detach data n2"), 0);
  EXPECT_EQ(published(id), "n1 n2 n3 ");
}

TEST_F(SharedVolumeTest, TheNoteOfANodeGoesBeforeItIsAttachedThereAgain) {
  const std::string id = create("data");
  ASSERT_TRUE(publish(id, "n1"));
  (*state().find(id)->mutable_labels())[kLabelUnpublished] = "n3,n2";
  state().fails["Attach"] = Code::kTimedOut;
  EXPECT_EQ(publish(id, "n2").error().code, Code::kTimedOut);
  EXPECT_EQ(label_of(*state().find(id), kLabelUnpublished), "n3") << "of others it is kept";
  ASSERT_TRUE(publish(id, "n2"));
  EXPECT_EQ(label_of(*state().find(id), kLabelUnpublished), "");
}

TEST_F(SharedVolumeTest, WhoIsAwayStillIsExpelledByWhoTookTheVolume) {
  const std::string id = create("data");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(publish(id, node));
  for (const char* node : {"n1", "n2"}) set_online(node, false);
  for (const char* node : {"n2", "n1"}) ASSERT_TRUE(unpublish(id, node));
  ASSERT_TRUE(publish(id, "n3"));
  EXPECT_EQ(published(id), "n3 ");
  ASSERT_TRUE(unpublish(id, "n3"));
  spec::DeleteVolumeRequest request;
  request.set_volume_id(id);
  auto removed = volumes.remove(request);
  EXPECT_TRUE(removed) << removed.error().message;
}

TEST_F(SharedVolumeTest, ItCanBeDeletedThoughNodesWereLost) {
  const std::string id = create("data");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(publish(id, node));
  for (const char* node : {"n1", "n2"}) set_online(node, false);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(unpublish(id, node));
  spec::DeleteVolumeRequest request;
  request.set_volume_id(id);
  auto removed = volumes.remove(request);
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_TRUE(state().volumes.empty());
}

TEST_F(SharedVolumeTest, OfALostNodeItIsFencedBeforeTheTaint) {
  for (bool primary : {true, false}) {
    kube.known[0].tainted = false;
    kube.known[0].ready = true;
    set_online("n1", true);
    const std::string id = create(primary ? "p" : "s");
    for (const char* node : {primary ? "n1" : "n2", primary ? "n2" : "n1"}) {
      ASSERT_TRUE(publish(id, node));
    }
    NodeLoss fresh{cleatd, in_flight, kube, {10s, 30s}};
    ASSERT_TRUE(fresh.step(TimePoint{}));
    set_online("n1", false);
    kube.known[0].ready = false;
    state().fails["Detach"] = Code::kUnreachable;
    EXPECT_FALSE(fresh.step(TimePoint{} + 11s));
    EXPECT_FALSE(kube.known[0].tainted) << "the fence does not hold";
    ASSERT_TRUE(fresh.step(TimePoint{} + 12s));
    EXPECT_TRUE(kube.known[0].tainted);
    EXPECT_EQ(published(id), "n2 ") << "it stays where it is used";
    EXPECT_EQ(state().find(id)->attachment().node(), "n2");
    ASSERT_TRUE(unpublish(id, "n2"));
  }
}

}  // namespace
}  // namespace cleat::csi
