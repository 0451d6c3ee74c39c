#include "control/reconciler.h"

#include <thread>

#include "control/findings.h"
#include "control/testing/fake_cluster.h"

namespace cleat::control {
namespace {

using ReconcilerTest = FakeCluster;

TEST_F(ReconcilerTest, AGoneNodesReplicaIsMadeElsewhereAfterTheDelay) {
  VolumeId id = create("data1", 2);
  const uint64_t lost = replica_nodes(id)[1];
  kill(static_cast<int>(lost));
  ASSERT_TRUE(reconciler.run_once());
  pass_time(300);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(replica_nodes(id).size(), 2U) << "not yet";
  pass_time(301);
  ASSERT_TRUE(reconciler.run_once());
  ASSERT_EQ(replica_nodes(id).size(), 3U);
  EXPECT_EQ(record(id).replicas[2].state, core::ReplicaState::kNew);
  fakes[NodeId{1}]->finish_resync(id);
  auto stale = records.load(id);  // the lost node's own replica did not take part
  stale->value.replicas[1].state = core::ReplicaState::kStale;
  ASSERT_TRUE(records.compare_and_store(stale->revision, stale->value));
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(replica_nodes(id).size(), 2U);
  EXPECT_FALSE(has_replica_on(id, lost));
}

TEST_F(ReconcilerTest, AHalfDoneCreateIsUndone) {
  const size_t before = keys_left();
  VolumeId id = create("data1", 2);
  ASSERT_TRUE(update<meta::VolumeSpec>(store, keys.spec(id), [](auto& spec) {
    spec.set_state(meta::VolumeSpec::CREATING);
    return true;
  }));
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_TRUE(state(1).replicas.contains(id)) << "it may still be going on";
  pass_time(61);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_FALSE(state(1).replicas.contains(id));
  reconciler.stop();
  EXPECT_EQ(keys_left(), before);
}

TEST_F(ReconcilerTest, HalfDoneSnapshotsComeToTheirEnd) {
  VolumeId id = create("data1", 2);
  ASSERT_TRUE(snapshot("data1", "frozen"));
  ASSERT_TRUE(snapshot("data1", "going"));
  auto set = [&](const char* name, meta::Snapshot::State to) {
    SnapshotId snapshot_id{*Keys::id_of(inspect(name).id())};
    ASSERT_TRUE(update<meta::Snapshot>(store, keys.snapshot(snapshot_id), [&](auto& s) {
      s.set_state(to);
      return true;
    }));
  };
  set("frozen", meta::Snapshot::CREATING);
  set("going", meta::Snapshot::DELETING);
  pass_time(61);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(inspect("frozen").state(), v1::VOLUME_STATE_DETACHED);
  EXPECT_EQ(inspect("data1").snapshot_count(), 1U);
  EXPECT_EQ(record(id).snapshots.size(), 1U);
}

TEST_F(ReconcilerTest, ADecommissionedNodeIsEmptiedAndForgotten) {
  VolumeId id = create("data1", 2);
  v1::DecommissionRequest in;
  in.set_node("n1");
  auto begun = nodes.decommission(in);
  ASSERT_TRUE(begun) << begun.error().message;
  EXPECT_FALSE(begun->done());
  ASSERT_TRUE(reconciler.run_once());
  fakes[NodeId{1}]->finish_resync(id);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_FALSE(has_replica_on(id, 1));
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes.list()->nodes_size(), 2);
}

TEST_F(ReconcilerTest, DecommissionIsRefusedWithoutAnotherPlace) {
  create("data1", 3);
  v1::DecommissionRequest in;
  in.set_node("n1");
  auto refused = nodes.decommission(in);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("data1"), std::string::npos);
}

// data1 follows, has its replicas on nodes 1 and 2, and is attached on node 3.
class FollowTest : public FakeCluster {
 protected:
  FollowTest() {
    auto in = request("data1", 2);
    in.set_follow(true);
    in.add_nodes("n1");
    in.add_nodes("n2");
    auto made = volumes.create(in);
    EXPECT_TRUE(made) << made.error().message;
    id = VolumeId{*Keys::id_of(made->id())};
    EXPECT_TRUE(attach("data1", "n3"));
  }
  void pass(Reconciler& by) { ASSERT_TRUE(by.run_once()); }
  void pass() { pass(reconciler); }
  void set_state(uint64_t node, core::ReplicaState to) {
    auto now = records.load(id);
    for (auto& replica : now->value.replicas) {
      if (replica.node.value == node) replica.state = to;
    }
    ASSERT_TRUE(records.compare_and_store(now->revision, now->value));
  }
  std::string finding() {
    auto view = ClusterView::load(context);
    for (const auto& each : find_problems(context, *view, {})) {
      if (each.what() == "Volume data1 follows to n3") return each.doing();
    }
    return "none";
  }
  VolumeId id;
};

TEST_F(FollowTest, ItsDataComesAndARemoteReplicaGoes) {
  pass();
  EXPECT_FALSE(has_replica_on(id, 3)) << "it may be gone in a moment";
  EXPECT_NE(finding().find("in 30 s"), std::string::npos) << finding();
  pass_time(31);
  pass();
  ASSERT_TRUE(has_replica_on(id, 3));
  EXPECT_EQ(finding(), "copying to n3");
  EXPECT_EQ(inspect("data1").following(), "copying to n3");
  pass();
  EXPECT_EQ(replica_nodes(id).size(), 3U) << "nothing goes before the copy is in sync";
  fakes[NodeId{3}]->finish_resync(id);
  EXPECT_NE(finding().find("one of the other replicas goes"), std::string::npos) << finding();
  pass();
  EXPECT_EQ(replica_nodes(id).size(), 2U);
  EXPECT_TRUE(has_replica_on(id, 3));
  EXPECT_TRUE(inspect("data1").data_local());
  EXPECT_EQ(finding(), "none");
  EXPECT_EQ(alerts.list({})->alerts_size(), 0) << "it is no trouble";
  pass_time(600);
  pass();
  EXPECT_EQ(replica_nodes(id).size(), 2U) << "and that is the end of it";
}

TEST_F(FollowTest, OneThatMovesAllTheTimeIsNotFollowed) {
  for (int i = 0; i < 5; ++i) {
    pass_time(20);
    pass();
    ASSERT_TRUE(detach("data1"));
    ASSERT_TRUE(attach("data1", i % 2 == 0 ? "n1" : "n3"));
  }
  pass();
  EXPECT_EQ(replica_nodes(id), (std::vector<uint64_t>{1, 2}));
}

TEST_F(FollowTest, ACopyIsGivenUpWhenItMovesBack) {
  pass_time(31);
  pass();
  ASSERT_TRUE(has_replica_on(id, 3));
  ASSERT_TRUE(detach("data1"));
  ASSERT_TRUE(attach("data1", "n1"));
  pass();
  EXPECT_EQ(replica_nodes(id), (std::vector<uint64_t>{1, 2}));
}

TEST_F(FollowTest, NeverFewerInSyncThanWanted) {
  pass_time(31);
  pass();
  set_state(2, core::ReplicaState::kStale);  // before finish_resync() would make all equal
  set_state(3, core::ReplicaState::kInSync);
  kill(2);
  pass();
  EXPECT_EQ(replica_nodes(id), (std::vector<uint64_t>{1, 3})) << "the worst went";
}

TEST_F(FollowTest, AReplicaThatLeavesAtThatMomentKeepsTheOthers) {
  pass_time(31);
  pass();
  fakes[NodeId{3}]->finish_resync(id);
  bool left = false;
  state(3).before_change = [&](VolumeId) {
    if (!std::exchange(left, true)) set_state(1, core::ReplicaState::kStale);
  };
  pass();
  EXPECT_EQ(replica_nodes(id).size(), 3U) << "the primary knew better";
  pass();
  EXPECT_EQ(replica_nodes(id), (std::vector<uint64_t>{2, 3})) << "the one that left goes";
}

TEST_F(FollowTest, AnotherNodeGoesOnWhereTheOneThatReconciledEnded) {
  ControlContext other = context;
  other.self = NodeId{2};
  Reconciler next(other, volumes, snapshots, alerts);
  pass_time(31);
  pass();
  reconciler.stop();
  pass(next);
  EXPECT_EQ(replica_nodes(id).size(), 3U);
  fakes[NodeId{3}]->finish_resync(id);
  pass(next);
  EXPECT_EQ(replica_nodes(id).size(), 2U);
  EXPECT_TRUE(has_replica_on(id, 3));
}

TEST_F(FollowTest, WhatWasCutShortIsBroughtToItsEnd) {
  pass_time(31);
  state(3).volume_call_fails = Code::kTimedOut;  // made on its node, and not in the record
  pass();
  EXPECT_FALSE(has_replica_on(id, 3));
  EXPECT_TRUE(state(3).replicas.contains(id));
  pass();
  EXPECT_NE(inspect("data1").following().find("being made on n3"), std::string::npos);
  pass_time(61);
  pass();
  EXPECT_TRUE(has_replica_on(id, 3)) << "where the volume is open it can only go on";
  EXPECT_EQ(inspect("data1").following(), "copying to n3");
}

TEST_F(FollowTest, WhatWasCutShortIsTakenBackWhenTheVolumeHasMovedOn) {
  pass_time(31);
  state(3).volume_call_fails = Code::kTimedOut;
  pass();
  ASSERT_TRUE(detach("data1"));
  ASSERT_TRUE(attach("data1", "n1"));
  pass_time(61);
  pass();
  EXPECT_FALSE(state(3).replicas.contains(id));
  EXPECT_EQ(replica_nodes(id), (std::vector<uint64_t>{1, 2}));
}

TEST_F(FollowTest, WhoSwitchesItOffKeepsTheDataWhereItIs) {
  v1::UpdateVolumeRequest in;
  in.set_volume("data1");
  in.set_scale(2);
  ASSERT_TRUE(volumes.update(in));
  EXPECT_TRUE(inspect("data1").follow()) << "nothing was said of it";
  in.set_follow(false);
  ASSERT_TRUE(volumes.update(in));
  EXPECT_FALSE(inspect("data1").follow());
  pass_time(31);
  pass();
  EXPECT_EQ(replica_nodes(id), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(finding(), "none");
}

// Such a pass took 30 seconds of pause for work, and a copy that nobody needed went on for as long.
TEST_F(ReconcilerTest, APassThatWaitedForOthersIsFollowedByTheNextSoon) {
  VolumeId id = create("data1", 3);
  ASSERT_TRUE(attach("data1", "n1"));
  ASSERT_TRUE(update<meta::VolumeSpec>(store, keys.spec(id), [](auto& spec) {
    spec.set_ha_level(1);
    return true;
  }));
  state(1).before_change = [](VolumeId) { std::this_thread::sleep_for(500ms); };
  reconciler.start(10ms);
  for (int i = 0; i < 200 && replica_nodes(id).size() > 1; ++i) {
    std::this_thread::sleep_for(100ms);
  }
  reconciler.stop();
  EXPECT_EQ(replica_nodes(id), std::vector<uint64_t>{1}) << "two passes, one replica each";
}

TEST_F(ReconcilerTest, AlertsRiseAndClearWithTheirCause) {
  create("data1", 3);
  kill(2);
  ASSERT_TRUE(reconciler.run_once());
  auto standing = alerts.list({});
  ASSERT_EQ(standing->alerts_size(), 2) << "the node, and the volume";
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(alerts.list({})->alerts(0).count(), 1U) << "the same cause is one alert";
  revive(2);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(alerts.list({})->alerts_size(), 0);
  v1::ListAlertsRequest with_cleared;
  with_cleared.set_with_cleared(true);
  EXPECT_EQ(alerts.list(with_cleared)->alerts_size(), 2);
  pass_time(25 * 3600);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(alerts.list(with_cleared)->alerts_size(), 0);
}

TEST_F(ReconcilerTest, OnlyOneNodeDoesTheWork) {
  ControlContext second = context;
  second.self = NodeId{2};
  Election mine(context, "work");
  Election other(second, "work");
  EXPECT_TRUE(mine.holds());
  EXPECT_FALSE(other.holds());
  EXPECT_TRUE(mine.holds());
  mine.resign();
  EXPECT_TRUE(other.holds());
  EXPECT_FALSE(mine.holds());
}

}  // namespace
}  // namespace cleat::control
