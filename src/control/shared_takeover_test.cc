// Shared volumes whose nodes are lost, or away: who becomes primary, and who is expelled.
#include <atomic>

#include "control/shared_attachments.h"
#include "control/testing/shared_cluster.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

using SharedTakeoverTest = SharedCluster;

TEST_F(SharedTakeoverTest, ALostPrimaryIsTakenOverByAnotherNodeOnlyWithForce) {
  VolumeId id = create_shared("s", 3);
  ASSERT_TRUE(attach("s", "n1"));
  kill(1);
  EXPECT_EQ(attach("s", "n2").error().code, Code::kBusy);
  auto taken = attach("s", "n2", true);
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->epoch(), 2U);
  EXPECT_EQ(nodes_of("s"), "n2");
  EXPECT_EQ(sharers(id), Ids{2}) << "n1 is expelled";
}

TEST_F(SharedTakeoverTest, TheSharerThatTakesOverKeepsItsDevice) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  ASSERT_TRUE(attach("s", "n3", true));
  EXPECT_EQ(nodes_of("s"), "n3 n2");
  EXPECT_EQ(sharers(id), (Ids{2, 3}));
}

TEST_F(SharedTakeoverTest, ATakeoverThatCannotExpelFailsAndIsFinishedLater) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  state(2).after_attach = [&] { state(2).volume_call_fails = Code::kTimedOut; };
  EXPECT_EQ(attach("s", "n2", true).error().code, Code::kTimedOut);
  EXPECT_EQ(sharers(id), (Ids{1, 2}));
  EXPECT_EQ(inspect("s").shared_attachments(0).node(), "n1") << "not fenced yet: seen as attached";
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(sharers(id), Ids{2});
  EXPECT_EQ(nodes_of("s"), "n2");
}

TEST_F(SharedTakeoverTest, ATakeoverThatFailsLeavesAllAsItWas) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  const std::string before = nodes_of("s");
  state(2).volume_call_fails = Code::kIoError;
  EXPECT_EQ(attach("s", "n2", true).error().code, Code::kIoError);
  EXPECT_EQ(nodes_of("s"), "n1 n2 n3");
  EXPECT_EQ(record(id).primary, NodeId{1});
  revive(1);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n1 n2 n3") << "it was only away";
  EXPECT_EQ(sharers(id), (Ids{1, 2, 3}));
}

TEST_F(SharedTakeoverTest, WhereTheFirstRefusesAnotherSharerTakesOver) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  state(2).volume_call_fails = Code::kIoError;
  reconcile_for_a_while();
  EXPECT_EQ(nodes_of("s"), "n3 n2");
  EXPECT_EQ(sharers(id), (Ids{2, 3}));
}

TEST_F(SharedTakeoverTest, ATakeoverWhoseAnswerIsLostIsSeenLater) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  state(2).attach_answer_lost = true;
  reconcile_for_a_while();
  EXPECT_EQ(record(id).primary, NodeId{2});
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n2 n3");
  EXPECT_EQ(sharers(id), (Ids{2, 3}));
  EXPECT_EQ(record(id).epoch.value, 2U) << "one takeover was enough";
}

TEST_F(SharedTakeoverTest, APrimaryWhoseCleatdIsRestartedStaysIt) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  for (int i = 0; i < 3; ++i) {
    kill(1);
    ASSERT_TRUE(reconciler.run_once());
    pass_time(2);
    ASSERT_TRUE(reconciler.run_once());
    revive(1);
    ASSERT_TRUE(reconciler.run_once());
    pass_time(2);
  }
  EXPECT_EQ(nodes_of("s"), "n1 n2");
  EXPECT_EQ(record(id).epoch.value, 1U);
}

// Between the reading and the takeover others are taken over, which takes many seconds.
TEST_F(SharedTakeoverTest, APrimaryThatCameBackSinceTheReadingStaysIt) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  ASSERT_TRUE(reconciler.run_once());
  pass_time(20);
  auto view = ClusterView::load(context);
  ASSERT_TRUE(view);
  revive(1);
  SharedAttachments shared(context);
  auto lacking = shared.look_after(view->volumes[id], view->topology);
  ASSERT_TRUE(lacking);
  EXPECT_FALSE(*lacking);
  EXPECT_EQ(nodes_of("s"), "n1 n2");
  EXPECT_EQ(sharers(id), (Ids{1, 2}));
  EXPECT_EQ(record(id).epoch.value, 1U);
}

// An upgrade of its cleatd.
TEST_F(SharedTakeoverTest, APrimaryThatWasStoppedInOrderIsWaitedForLonger) {
  create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  ASSERT_TRUE(update<meta::Node>(store, keys.node(NodeId{1}), [](auto& node) {
    node.set_restarting(true);
    return true;
  }));
  kill(1);
  ASSERT_TRUE(reconciler.run_once());
  pass_time(40);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n1 n2");
  pass_time(25);
  reconcile_for_a_while();
  EXPECT_EQ(nodes_of("s"), "n2");
}

TEST_F(SharedTakeoverTest, APrimaryThatStartedAnewIsReplacedAfterAWhile) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  state(1).attached.erase(id);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n1 n2") << "its cleatd may just be starting";
  pass_time(20);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n2");
  EXPECT_EQ(sharers(id), Ids{2});
}

TEST_F(SharedTakeoverTest, WithoutASharerThatIsOnlineNobodyTakesOver) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  kill(2);
  reconcile_for_a_while();
  EXPECT_EQ(record(id).primary, NodeId{1});
  EXPECT_EQ(inspect("s").status(), v1::VOLUME_STATUS_DOWN);
  revive(2);
  reconcile_for_a_while();
  EXPECT_EQ(nodes_of("s"), "n2");
}

TEST_F(SharedTakeoverTest, ManyAreTakenOverAtOnce) {
  context.random = [] {  // by several threads
    static std::atomic<uint64_t> next{1'000'000};
    return next++;
  };
  std::vector<VolumeId> ids;
  for (int i = 0; i < 20; ++i) {
    const std::string name = fmt::format("s{}", i);
    ids.push_back(create_shared(name, 3));
    for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach(name, node));
  }
  kill(1);
  reconcile_for_a_while();
  for (VolumeId id : ids) {
    EXPECT_EQ(record(id).primary, NodeId{2});
    EXPECT_EQ(sharers(id), Ids{2});
  }
}

TEST_F(SharedTakeoverTest, ASharerThatIsOfflineIsExpelledOnlyByForce) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  kill(2);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(sharers(id), (Ids{1, 2})) << "slow is not dead";
  auto refused = detach("s", "n2");
  EXPECT_EQ(refused.error().code, Code::kUnreachable);
  EXPECT_NE(refused.error().message.find("--force it is expelled"), std::string::npos);
  ASSERT_TRUE(detach("s", "n2", true));
  EXPECT_EQ(nodes_of("s"), "n1");
  EXPECT_EQ(sharers(id), Ids{1});
}

TEST_F(SharedTakeoverTest, APrimaryThatIsOfflineIsReplacedByForce) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  EXPECT_EQ(detach("s", "n1").error().code, Code::kUnreachable);
  ASSERT_TRUE(detach("s", "n1", true));
  EXPECT_EQ(nodes_of("s"), "n2");
  EXPECT_EQ(sharers(id), Ids{2});
}

TEST_F(SharedTakeoverTest, WithNobodyThereToExpelThemItIsSaid) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  kill(2);
  auto refused = detach("s", "n2", true);
  EXPECT_EQ(refused.error().code, Code::kUnreachable);
  EXPECT_NE(refused.error().message.find("n1 is offline too"), std::string::npos);
  EXPECT_EQ(detach("s", "n1", true).error().code, Code::kUnreachable);
  ASSERT_TRUE(attach("s", "n3", true));
  ASSERT_TRUE(detach("s", "n2", true));
  EXPECT_EQ(sharers(id), Ids{3});
  EXPECT_EQ(nodes_of("s"), "n3");
}

TEST_F(SharedTakeoverTest, WithoutAPrimaryTheRecordIsNobodys) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  kill(2);
  ASSERT_TRUE(detach("s", "n1"));
  EXPECT_EQ(record(id).primary, NodeId{});
  EXPECT_EQ(sharers(id), Ids{2});
  ASSERT_TRUE(detach("s", "n2", true));
  EXPECT_EQ(sharers(id), Ids{});
  EXPECT_EQ(inspect("s").state(), v1::VOLUME_STATE_DETACHED);
}

TEST_F(SharedTakeoverTest, WhoWasExpelledWhileOfflineIsForgotten) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  kill(2);
  ASSERT_TRUE(fakes[NodeId{1}]->ports().attach.expel(id, NodeId{2}));  // as the engine does
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n1");
}

TEST_F(SharedTakeoverTest, ADecommissionedNodeIsExpelled) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n3"}) ASSERT_TRUE(attach("s", node));
  v1::DecommissionRequest request;
  request.set_node("n3");
  EXPECT_EQ(nodes.decommission(request).error().code, Code::kBusy);
  kill(3);
  request.set_force(true);
  ASSERT_TRUE(nodes.decommission(request));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n1");
  EXPECT_EQ(sharers(id), Ids{1});
}

}  // namespace
}  // namespace cleat::control
