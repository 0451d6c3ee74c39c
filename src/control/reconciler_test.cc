#include "control/reconciler.h"

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
