// What a volume that follows does next, in each state that it may be found in.
#include "control/follow_plan.h"

#include <gtest/gtest.h>

#include "control/replica_choice.h"

namespace cleat::control {
namespace {

using Step = FollowPlan::Step;
using State = core::ReplicaState;
constexpr uint64_t kNow = 10'000'000;
constexpr VolumeId kVolume{1};

// Four nodes with a pool each; a volume of HA level 2 on nodes 1 and 2, attached on node 3.
class FollowPlanTest : public ::testing::Test {
 protected:
  FollowPlanTest() {
    for (uint64_t i = 1; i <= 4; ++i) {
      NodeView& node = view.topology.nodes[NodeId{i}];
      node.node.set_id(i);
      node.node.set_name(fmt::format("n{}", i));
      node.alive = true;
      pool(i).set_node(i);
      pool(i).set_capacity_bytes(100 * kGiB);
      pool(i).set_free_bytes(90 * kGiB);
    }
    VolumeView& volume = add_volume(kVolume, {1, 2});
    volume.spec.set_follow(true);
    attach(3, 60);
  }
  meta::Pool& pool(uint64_t node) { return view.topology.pools[PoolId{node}]; }
  VolumeView& add_volume(VolumeId id, const std::vector<uint64_t>& nodes) {
    VolumeView& volume = view.volumes[id];
    volume.spec.set_id(id.value);
    volume.spec.set_state(meta::VolumeSpec::UP);
    volume.spec.set_ha_level(2);
    volume.record.id = id;
    volume.record.size_blocks = 10 * kGiB / kBlockSize;
    for (uint64_t node : nodes) add_replica(volume, node);
    return volume;
  }
  static void add_replica(VolumeView& volume, uint64_t node, State state = State::kInSync) {
    auto index = static_cast<core::MemberIndex>(volume.record.replicas.size());
    volume.record.replicas.push_back({index, NodeId{node}, PoolId{node}, state, {}});
  }
  VolumeView& volume() { return view.volumes[kVolume]; }
  void attach(uint64_t node, uint64_t for_s) {
    volume().record.primary = NodeId{node};
    volume().spec.mutable_attachment()->set_node(node);
    volume().spec.set_attached_unix_ms(kNow - for_s * 1000);
  }
  FollowPlan plan(uint64_t used_bytes = 0) {
    return FollowPlanner(view, limits, kNow).plan(volume(), used_bytes);
  }
  void expect_wait(const std::string& words, uint64_t used_bytes = 0) {
    const FollowPlan waits = plan(used_bytes);
    EXPECT_EQ(waits.step, Step::kWait);
    EXPECT_NE(waits.words.find(words), std::string::npos) << waits.words;
  }

  ClusterView view;
  ControlLimits limits;
};

TEST_F(FollowPlanTest, AReplicaIsMadeWhereItStaysAttached) {
  EXPECT_EQ(plan().step, Step::kAddReplica);
  EXPECT_EQ(plan().place, (core::PlacementChoice{PoolId{3}, NodeId{3}}));
}

TEST_F(FollowPlanTest, NotForOneThatDoesNotFollowOrIsWhereItsDataIs) {
  volume().spec.set_follow(false);
  EXPECT_EQ(plan().step, Step::kNothing);
  volume().spec.set_follow(true);
  attach(2, 60);
  EXPECT_EQ(plan().step, Step::kNothing);
  attach(3, 60);
  volume().spec.clear_attachment();
  EXPECT_EQ(plan().step, Step::kNothing) << "it is only open to heal";
  attach(3, 60);
  view.topology.nodes[NodeId{3}].alive = false;
  EXPECT_EQ(plan().step, Step::kNothing) << "it is down";
}

TEST_F(FollowPlanTest, NotBeforeItHasSettled) {
  attach(3, 12);
  expect_wait("in 18 s");
  limits.follow_delay = 10s;
  EXPECT_EQ(plan().step, Step::kAddReplica);
}

TEST_F(FollowPlanTest, NotWhileAnotherChangeIsUnderWay) {
  volume().record.replicas[1].state = State::kStale;
  expect_wait("once 2 others are in sync");
  volume().record.replicas[1].state = State::kInSync;
  view.topology.nodes[NodeId{2}].alive = false;
  expect_wait("once 2 others are in sync");
  view.topology.nodes[NodeId{2}].alive = true;
  volume().spec.add_pending()->set_node(4);
  expect_wait("no other change");
  volume().spec.mutable_pending(0)->set_node(3);
  expect_wait("being made on n3");
  volume().spec.clear_pending();
  add_replica(volume(), 4);
  expect_wait("no other change");
}

TEST_F(FollowPlanTest, TheCopyIsWaitedForAndThenTheRemoval) {
  add_replica(volume(), 3, State::kNew);
  expect_wait("copying to n3");
  volume().record.replicas[2].state = State::kInSync;
  expect_wait("one of the other replicas goes");
  volume().record.replicas.erase(volume().record.replicas.begin());
  EXPECT_EQ(plan().step, Step::kNothing);
}

TEST_F(FollowPlanTest, ThePoolThereMustTakeIt) {
  pool(3).set_free_bytes(10 * kGiB);
  expect_wait("nearly full");
  pool(3).set_free_bytes(20 * kGiB);
  EXPECT_EQ(plan(kGiB).step, Step::kAddReplica);
  expect_wait("would be with the data", 8 * kGiB);
  pool(3).set_free_bytes(90 * kGiB);
  limits.placement.overcommit = 0.05;
  expect_wait("too much is promised");
  limits.placement.overcommit = 4;
  pool(3).set_failed(true);
  expect_wait("its pool has failed");
  view.topology.pools.erase(PoolId{3});
  expect_wait("it has no pool");
}

TEST_F(FollowPlanTest, TheVolumesLimitsHold) {
  volume().spec.add_allowed_nodes(1);
  volume().spec.add_allowed_nodes(2);
  expect_wait("limited to");
  volume().spec.clear_allowed_nodes();
  volume().spec.add_zones("z9");
  expect_wait("limited to");
}

TEST_F(FollowPlanTest, AGroupIsKeptApart) {
  auto join = [](VolumeView& member) {
    (*member.spec.mutable_labels())[kGroupLabel] = "ring";
    (*member.spec.mutable_labels())[kApartLabel] = "true";
  };
  join(volume());
  join(add_volume(VolumeId{2}, {1, 3}));
  EXPECT_EQ(plan().step, Step::kAddReplica) << "2 and 3 are left, or 1 and 2";
  join(add_volume(VolumeId{3}, {2, 3}));
  expect_wait("would not be kept apart");
  (*volume().spec.mutable_labels())[kApartLabel] = "false";
  EXPECT_EQ(plan().step, Step::kAddReplica);
}

TEST_F(FollowPlanTest, NotTooManyCopiesAtOnce) {
  limits.follow_copies_max = 2;
  add_replica(add_volume(VolumeId{2}, {1, 2}), 3, State::kNew);
  FollowPlanner planner(view, limits, kNow);
  EXPECT_EQ(planner.plan(volume()).step, Step::kAddReplica);
  planner.started(NodeId{3});
  EXPECT_EQ(planner.plan(volume()).step, Step::kWait);
  EXPECT_NE(planner.plan(volume()).words.find("after the 2"), std::string::npos);
}

}  // namespace
}  // namespace cleat::control
