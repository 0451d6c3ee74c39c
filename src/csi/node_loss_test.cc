#include "csi/node_loss.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "csi/names.h"
#include "csi/testing/fake_cleatd.h"

namespace cleat::csi {
namespace {

class FakeKube final : public KubePort {
 public:
  Outcome<std::vector<KubeNode>> nodes() override { return known; }
  Outcome<> set_taint(const std::string& node, bool on) override {
    for (auto& each : known) {
      if (each.name == node) each.tainted = on;
    }
    return {};
  }
  Outcome<> remove_ending_pods(const std::string& node) override {
    removed_from.push_back(node);
    return {};
  }
  std::vector<std::string> removed_from;
  std::vector<KubeNode> known{{"k1", "n1", true, false, true}, {"k2", "n2", true, false, false}};
};

// What is logged while it lives.
class Said {
 public:
  Said() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
  }
  ~Said() { spdlog::set_default_logger(former_); }
  Said(const Said&) = delete;
  int count(const std::string& words) const {
    const std::string text = text_.str();
    int out = 0;
    for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
      ++out;
    return out;
  }

 private:
  std::shared_ptr<spdlog::logger> former_ = spdlog::default_logger();
  std::ostringstream text_;
};

class NodeLossTest : public ::testing::Test {
 protected:
  void SetUp() override { add("77", "data", "n1", {"n1", "n3"}); }
  void add(const std::string& id, const std::string& name, const std::string& node,
           const std::vector<std::string>& replicas) {
    api::Volume volume;
    volume.set_id(id);
    volume.set_name(name);
    volume.mutable_attachment()->set_node(node);
    volume.mutable_attachment()->set_node_online(true);
    for (const std::string& place : replicas) {
      auto* replica = volume.add_replicas();
      replica->set_node(place);
      replica->set_state(api::REPLICA_STATE_IN_SYNC);
      replica->set_reachable(true);
    }
    fake.state().volumes[id] = volume;
  }
  void lose(bool to_kubernetes, bool to_cleat) {
    kube.known[0].ready = !to_kubernetes;
    fake.state().nodes[0].set_state(to_cleat ? api::NODE_STATE_OFFLINE : api::NODE_STATE_ONLINE);
    fake.set_online("n1", !to_cleat);
  }
  bool tainted() const { return kube.known[0].tainted; }
  Outcome<> after(Duration time) {
    now += time;
    return loss.step(now);
  }

  FakeCleatd fake;
  Cleatd cleatd{{fake.address(), "", 5s}};
  FakeKube kube;
  InFlight in_flight;
  NodeLoss loss{cleatd, in_flight, kube, {10s, 30s}};
  TimePoint now{};
};

TEST_F(NodeLossTest, FencedFirstThenTainted) {
  ASSERT_TRUE(after(0s));
  lose(true, true);
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(5s));
  EXPECT_FALSE(tainted()) << "not long enough";
  fake.state().fails["Attach"] = Code::kUnreachable;
  EXPECT_FALSE(after(6s));
  EXPECT_FALSE(tainted()) << "the fence does not hold";
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(tainted());
  EXPECT_EQ(fake.state().count("Attach data n3 force"), 2) << "where the data is; one failed";
  EXPECT_EQ(fake.state().count("Detach data n3"), 1);
  EXPECT_FALSE(fake.state().find("data")->has_attachment());
  EXPECT_EQ(label_of(*fake.state().find("data"), kLabelUnpublished), "")
      << "who gets it next keeps it";
  EXPECT_FALSE(kube.known[1].tainted);
}

TEST_F(NodeLossTest, AVolumeThatNobodyElseCanOpenKeepsNoTaintAway) {
  add("10", "a", "n1", {"n1"});
  add("11", "b", "n1", {"n1", "n3"});
  add("12", "c", "n2", {"n2", "n3"});
  ASSERT_TRUE(after(0s));
  lose(true, true);
  fake.state().find("a")->mutable_replicas(0)->set_reachable(false);
  ASSERT_TRUE(after(10s));
  EXPECT_TRUE(tainted());
  EXPECT_FALSE(fake.state().find("b")->has_attachment());
  EXPECT_EQ(fake.state().find("a")->attachment().node(), "n1") << "whoever opens it must fence it";
  kube.known[1] = {"k2", "n2", false, false, true};
  fake.state().nodes[1].set_state(api::NODE_STATE_OFFLINE);
  fake.set_online("n2", false);
  ASSERT_TRUE(after(10s));
  EXPECT_TRUE(kube.known[1].tainted);
  EXPECT_FALSE(fake.state().find("c")->has_attachment());
}

TEST_F(NodeLossTest, AVolumeThatCantBeFencedKeepsNoOtherFromIt) {
  add("78", "last", "n1", {"n1", "n3"});
  ASSERT_TRUE(after(0s));
  lose(true, true);
  fake.state().fails["Attach"] = Code::kTimedOut;
  EXPECT_EQ(after(10s).error().code, Code::kTimedOut);
  EXPECT_FALSE(tainted());
  EXPECT_FALSE(fake.state().find("last")->has_attachment());
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(tainted());
}

TEST_F(NodeLossTest, AVolumeThatACallWorksOnIsFencedByALaterStep) {
  add("78", "last", "n1", {"n1", "n3"});
  lose(true, true);
  ASSERT_TRUE(after(1s));
  {
    auto turn = in_flight.begin("volume data");
    EXPECT_EQ(after(10s).error().code, Code::kConflict);
    EXPECT_EQ(fake.state().count("Attach data"), 0);
    EXPECT_FALSE(fake.state().find("last")->has_attachment()) << "it has its own turn";
    EXPECT_FALSE(tainted());
  }
  ASSERT_TRUE(after(1s));
  EXPECT_EQ(fake.state().count("Attach data n3 force"), 1);
  EXPECT_TRUE(tainted());
}

// After the list was made.
TEST_F(NodeLossTest, AVolumeThatWasMovedMeanwhileIsLeftWhereItIs) {
  add("78", "gone", "n1", {"n1", "n3"});
  lose(true, true);
  ASSERT_TRUE(after(1s));
  fake.state().meanwhile["List"] = [&] {
    api::Attachment& attachment = *fake.state().find("data")->mutable_attachment();
    attachment.set_node("n2");
    attachment.set_node_online(true);
    fake.state().volumes.erase("78");
  };
  ASSERT_TRUE(after(10s));
  EXPECT_TRUE(tainted());
  EXPECT_EQ(fake.state().count("Attach"), 0);
  EXPECT_EQ(fake.state().count("Update"), 0);
  EXPECT_EQ(fake.state().find("data")->attachment().node(), "n2");
}

TEST_F(NodeLossTest, ANodeThatCameBackMeanwhileKeepsItsVolumes) {
  lose(true, true);
  ASSERT_TRUE(after(1s));
  fake.state().meanwhile["List"] = [&] { fake.set_online("n1", true); };
  EXPECT_EQ(after(10s).error().code, Code::kConflict);
  EXPECT_FALSE(tainted());
  EXPECT_EQ(fake.state().count("Attach"), 0);
}

// The note of an unpublishing, or a takeover from another node that fails again and again.
TEST_F(NodeLossTest, AVolumeThatIsTakenFromAnotherNodeIsOfNoConcern) {
  add("10", "a", "n2", {"n2"});
  fake.state().find("a")->mutable_replicas(0)->set_reachable(false);
  (*fake.state().find("a")->mutable_labels())[kLabelUnpublished] = "n3,n2";
  lose(true, true);
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(10s));
  EXPECT_TRUE(tainted());
  EXPECT_EQ(fake.state().count("Attach a"), 0);
}

TEST_F(NodeLossTest, CleatAndKubernetesWaitAtTheSameTime) {
  ASSERT_TRUE(after(0s));
  lose(false, true);
  ASSERT_TRUE(after(12s));
  EXPECT_FALSE(tainted()) << "Kubernetes has not given it up";
  lose(true, true);
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(tainted());
}

TEST_F(NodeLossTest, WhatCleatHasSeenLatelyIsNotLost) {
  lose(true, false);
  ASSERT_TRUE(after(60s));
  lose(true, true);
  ASSERT_TRUE(after(9s));
  EXPECT_FALSE(tainted());
  lose(true, false);
  ASSERT_TRUE(after(1s));
  lose(true, true);
  ASSERT_TRUE(after(9s));
  EXPECT_FALSE(tainted()) << "it was back in between";
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(tainted());
}

TEST_F(NodeLossTest, PodsThatEndAreTakenAwayOnlyFromANodeOutOfService) {
  ASSERT_TRUE(after(0s));
  lose(true, true);
  fake.state().fails["Attach"] = Code::kUnreachable;
  EXPECT_FALSE(after(10s));
  EXPECT_TRUE(kube.removed_from.empty()) << "the fence does not hold";
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(tainted());
  ASSERT_TRUE(after(1s));
  EXPECT_EQ(kube.removed_from, std::vector<std::string>{"k1"});
  lose(false, false);
  ASSERT_TRUE(after(1s));
  EXPECT_EQ(kube.removed_from.size(), 1U) << "its kubelet ends them";
}

// Another controller holds the lease.
TEST_F(NodeLossTest, WhoLooksOnDoesNothingButKnowsSinceWhenANodeIsLost) {
  ASSERT_TRUE(loss.step(now, true));
  lose(true, true);
  ASSERT_TRUE(loss.step(now += 60s, true));
  kube.known[0].tainted = true;
  ASSERT_TRUE(loss.step(now += 1s, true));
  kube.known[0].tainted = false;
  EXPECT_FALSE(tainted());
  EXPECT_TRUE(kube.removed_from.empty());
  EXPECT_EQ(fake.state().count("Attach"), 0);
  EXPECT_EQ(fake.state().count("Update"), 0);
  ASSERT_TRUE(after(0s));
  EXPECT_TRUE(tainted()) << "it waits no longer when it gets the lease";
  lose(false, false);
  ASSERT_TRUE(loss.step(now += 60s, true));
  EXPECT_TRUE(tainted());
  ASSERT_TRUE(after(0s));
  EXPECT_FALSE(tainted());
}

TEST_F(NodeLossTest, ANodeThatIsBeingDecommissionedCanBeLostToo) {
  lose(true, true);
  api::Node& node = fake.state().nodes[0];
  node.set_state(api::NODE_STATE_DECOMMISSIONING);
  node.set_health(api::HEALTH_DOWN);
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(10s));
  EXPECT_TRUE(tainted());
  EXPECT_FALSE(fake.state().find("data")->has_attachment());
  kube.known[0].ready = true;
  node.set_health(api::HEALTH_DEGRADED);
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(31s));
  EXPECT_FALSE(tainted()) << "it is back";
}

TEST_F(NodeLossTest, WhereOtherDriversHaveVolumesItIsFencedAndNotTainted) {
  Said said;
  const auto times = [&] { return said.count("isn't tainted"); };
  kube.known[0].other_attachers = {"a.dev", "ebs.dev"};
  lose(true, true);
  ASSERT_TRUE(after(1s));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(after(10s));
  EXPECT_FALSE(tainted());
  EXPECT_FALSE(fake.state().find("data")->has_attachment()) << "fenced";
  EXPECT_EQ(fake.state().count("List"), 1) << "and not again each second";
  EXPECT_EQ(said.count("volumes of a.dev, ebs.dev are attached there"), 1);
  EXPECT_EQ(times(), 1);
  kube.known[0].other_attachers = {"a.dev"};
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(after(1s));
  EXPECT_EQ(times(), 2) << "once a change";
  lose(false, false);
  ASSERT_TRUE(loss.step(now += 1s, true));
  lose(true, true);
  ASSERT_TRUE(after(10s));
  EXPECT_EQ(times(), 3) << "it was lost anew, and back while another controller held the lease";
  kube.known[0].other_attachers.clear();
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(tainted());
}

TEST_F(NodeLossTest, OtherDriversVolumesKeepNoTaintAwayWhereThatIsAllowed) {
  NodeLoss all{cleatd, in_flight, kube, {10s, 30s, true}};
  kube.known[0].other_attachers = {"ebs.dev"};
  lose(true, true);
  ASSERT_TRUE(all.step(now));
  ASSERT_TRUE(all.step(now + 10s));
  EXPECT_TRUE(tainted());
}

TEST_F(NodeLossTest, LostToOneOfTheTwoAloneIsNotLost) {
  for (bool to_cleat : {false, true}) {
    lose(!to_cleat, to_cleat);
    ASSERT_TRUE(after(1s));
    ASSERT_TRUE(after(600s));
    EXPECT_FALSE(tainted());
    EXPECT_EQ(fake.state().count("Attach"), 0);
  }
}

TEST_F(NodeLossTest, AVolumeThatStayedAttachedKeepsTheTaintAway) {
  lose(true, true);
  ASSERT_TRUE(after(1s));
  fake.state().fails["Detach"] = Code::kUnreachable;
  EXPECT_FALSE(after(11s));
  EXPECT_FALSE(tainted());
  EXPECT_EQ(label_of(*fake.state().find("data"), kLabelUnpublished), "n1,n3") << "to be taken back";
}

TEST_F(NodeLossTest, ANodeWithoutVolumesOfOursIsNoneOfOurs) {
  lose(true, true);
  kube.known[0].has_attachments = false;
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(60s));
  EXPECT_FALSE(tainted());
}

// The controller died after the fence and before the taint.
TEST_F(NodeLossTest, WhatIsFencedAlreadyIsTainted) {
  lose(true, true);
  fake.state().find("data")->clear_attachment();
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(10s));
  EXPECT_TRUE(tainted());
  EXPECT_EQ(fake.state().count("Attach"), 0);
}

// Another controller has begun: the record names the new node before the fence holds there, and
// only an attach of our own that succeeds says that it does.
TEST_F(NodeLossTest, WhatAnotherControllerHasBegunIsNotTakenForFenced) {
  lose(true, true);
  api::Volume* volume = fake.state().find("data");
  volume->mutable_attachment()->set_node("n3");
  volume->mutable_attachment()->set_node_online(true);
  (*volume->mutable_labels())[kLabelUnpublished] = "n1,n3";
  ASSERT_TRUE(after(1s));
  fake.state().fails["Attach"] = Code::kTimedOut;
  EXPECT_FALSE(after(10s));
  EXPECT_FALSE(tainted());
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(tainted());
  EXPECT_EQ(fake.state().count("Attach data n3 force"), 2);
  EXPECT_FALSE(fake.state().find("data")->has_attachment());
}

TEST_F(NodeLossTest, BackAndCleanForAWhileItIsInServiceAgain) {
  lose(true, true);
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(10s));
  ASSERT_TRUE(tainted());
  lose(false, false);
  fake.state().find("data")->mutable_attachment()->set_node("n1");
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(60s));
  EXPECT_TRUE(tainted()) << "a volume is attached there";
  fake.state().find("data")->clear_attachment();
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(tainted()) << "not for long enough";
  lose(true, false);
  ASSERT_TRUE(after(20s));
  lose(false, false);
  ASSERT_TRUE(after(20s));
  EXPECT_TRUE(tainted()) << "not ready in between";
  ASSERT_TRUE(after(31s));
  EXPECT_FALSE(tainted());
}

// Its only replica is on the node that was lost, so that nobody could take it from there.
TEST_F(NodeLossTest, OfANodeThatIsBackWhatWasGivenUpIsDetachedAndNothingElse) {
  add("10", "alone", "n1", {"n1"});
  add("11", "used", "n1", {"n1"});
  lose(true, true);
  for (const char* name : {"alone", "used"}) {
    fake.state().find(name)->mutable_replicas(0)->set_reachable(false);
  }
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(10s));
  ASSERT_TRUE(tainted());
  (*fake.state().find("alone")->mutable_labels())[kLabelUnpublished] = "n1,n2";
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(fake.state().find("alone")->has_attachment()) << "there is nobody to detach it";
  lose(false, true);
  ASSERT_TRUE(after(1s));
  EXPECT_TRUE(fake.state().find("alone")->has_attachment()) << "not back to Cleat yet";
  lose(false, false);
  {
    auto turn = in_flight.begin("volume alone");
    EXPECT_EQ(after(1s).error().code, Code::kConflict);
  }
  ASSERT_TRUE(after(1s));
  EXPECT_EQ(fake.state().count("Detach alone n1 force"), 1);
  EXPECT_FALSE(fake.state().find("alone")->has_attachment());
  EXPECT_EQ(label_of(*fake.state().find("alone"), kLabelUnpublished), "n2");
  EXPECT_TRUE(fake.state().find("used")->has_attachment()) << "nobody gave it up";
  ASSERT_TRUE(after(60s));
  EXPECT_TRUE(tainted()) << "it is in use there";
  fake.state().find("used")->clear_attachment();
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(31s));
  EXPECT_FALSE(tainted());
}

TEST_F(NodeLossTest, WithoutATaintAPublishDetachesWhatWasGivenUp) {
  (*fake.state().find("data")->mutable_labels())[kLabelUnpublished] = "n1";
  ASSERT_TRUE(after(1s));
  ASSERT_TRUE(after(60s));
  EXPECT_TRUE(fake.state().find("data")->has_attachment());
}

}  // namespace
}  // namespace cleat::csi
