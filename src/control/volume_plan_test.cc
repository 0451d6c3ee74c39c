#include "control/volume_plan.h"

#include <gtest/gtest.h>

#include "common/random.h"
#include "control/record_codec.h"

namespace cleat::control {
namespace {

using Step = VolumePlan::Step;
constexpr uint64_t kNow = 10'000'000;

struct World {
  Topology topology;
  VolumeView volume;
  ControlLimits limits;

  explicit World(uint32_t ha) {
    for (uint64_t i = 1; i <= 4; ++i) {
      topology.nodes[NodeId{i}].node.set_id(i);
      topology.nodes[NodeId{i}].alive = true;
    }
    volume.spec.set_state(meta::VolumeSpec::UP);
    volume.spec.set_ha_level(ha);
    volume.record.id = VolumeId{1};
  }
  World& replica(uint64_t node, core::ReplicaState state = core::ReplicaState::kInSync) {
    auto index = static_cast<core::MemberIndex>(volume.record.replicas.size());
    volume.record.replicas.push_back({index, NodeId{node}, PoolId{node}, state, {}});
    return *this;
  }
  World& offline(uint64_t node, uint64_t for_s) {
    topology.nodes[NodeId{node}].alive = false;
    topology.nodes[NodeId{node}].node.set_last_seen_unix_ms(kNow - for_s * 1000);
    return *this;
  }
  World& pool(uint64_t node, double used_share) {
    meta::Pool& to = topology.pools[PoolId{node}];
    to.set_node(node);
    to.set_capacity_bytes(100 * kGiB);
    to.set_free_bytes(static_cast<uint64_t>((1 - used_share) * 100 * static_cast<double>(kGiB)));
    return *this;
  }
  VolumePlan plan() const { return plan_volume(volume, topology, limits, kNow); }
};

TEST(VolumePlan, NothingWhenAllIsWell) {
  EXPECT_EQ(World(2).replica(1).replica(2).plan().step, Step::kNothing);
}

TEST(VolumePlan, AShortAbsenceIsWaitedFor) {
  EXPECT_EQ(World(2).replica(1).replica(2).offline(2, 100).plan().step, Step::kNothing);
}

TEST(VolumePlan, AfterTheDelayANewReplicaIsMadeThenTheLostOneGoes) {
  World world(2);
  world.replica(1).replica(2).offline(2, 601);
  EXPECT_EQ(world.plan().step, Step::kAddReplica);
  world.replica(3, core::ReplicaState::kNew);
  EXPECT_EQ(world.plan().step, Step::kHeal) << "the lost one stays until the new one is in sync";
  world.volume.record.replicas[2].state = core::ReplicaState::kInSync;
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 1}));
}

TEST(VolumePlan, MaintenanceIsNoReasonToRebuild) {
  World world(2);
  world.replica(1).replica(2).offline(2, 9999);
  world.topology.nodes[NodeId{2}].node.set_maintenance(true);
  EXPECT_EQ(world.plan().step, Step::kNothing);
}

TEST(VolumePlan, ADecommissionedNodesReplicaMoves) {
  World world(1);
  world.replica(1);
  world.topology.nodes[NodeId{1}].node.set_decommissioning(true);
  EXPECT_EQ(world.plan().step, Step::kAddReplica);
  world.replica(2);
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 0}));
}

TEST(VolumePlan, AStaleReplicaOfADetachedVolumeIsHealed) {
  World world(2);
  world.replica(1).replica(2, core::ReplicaState::kStale);
  EXPECT_EQ(world.plan().step, Step::kHeal);
  world.volume.record.primary = NodeId{1};
  EXPECT_EQ(world.plan().step, Step::kNothing) << "the primary resyncs it";
}

TEST(VolumePlan, PendingReplicasAreWaitedForThenFinished) {
  World world(2);
  world.replica(1);
  auto* pending = world.volume.spec.add_pending();
  pending->set_index(5);
  pending->set_pending_since_unix_ms(kNow - 1000);
  EXPECT_EQ(world.plan().step, Step::kNothing);
  pending->set_pending_since_unix_ms(kNow - 61'000);
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kFinishPending, 5}));
}

TEST(VolumePlan, OfOneTooManyTheOneThatIsNotInSyncGoesThenTheOfflineThenTheFullest) {
  World world(2);
  world.replica(1).replica(2).replica(3).replica(4, core::ReplicaState::kStale);
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 3}));
  world.volume.record.replicas.pop_back();
  world.offline(2, 10);
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 1}));
  world.topology.nodes[NodeId{2}].alive = true;
  world.pool(1, 0.9).pool(2, 0.2).pool(3, 0.5);
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 0}));
  world.volume.record.primary = NodeId{1};
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 2})) << "not where it is attached";
}

TEST(VolumePlan, OneTooManyStaysUntilTheOthersAreInSync) {
  World world(2);
  world.replica(1).replica(2).replica(3, core::ReplicaState::kNew);
  world.volume.record.primary = NodeId{3};
  EXPECT_EQ(world.plan().step, Step::kNothing) << "it is being copied to where it is attached";
  world.volume.record.replicas[2].state = core::ReplicaState::kInSync;
  world.volume.record.replicas[1].state = core::ReplicaState::kStale;
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 1}));
  world.offline(1, 10);
  EXPECT_EQ(world.plan().step, Step::kNothing) << "only one of the others is there now";
}

TEST(VolumePlan, ACopyThatNobodyNeedsAnyMoreIsGivenUp) {
  World world(2);
  world.replica(1).replica(2).replica(3, core::ReplicaState::kNew);
  world.volume.record.primary = NodeId{1};
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 2})) << "it moved back meanwhile";
}

TEST(VolumePlan, WhatFollowsKeepsTheReplicaWhereItWasAttachedLast) {
  World world(2);
  world.replica(1).replica(2).replica(3);
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 2}));
  world.volume.spec.set_follow(true);
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 1}));
}

TEST(VolumePlan, TheLossOfOneTooManyKeepsZonesAndGroupsApart) {
  World world(2);
  world.replica(1).replica(2).replica(3);
  world.volume.record.primary = NodeId{3};
  for (uint64_t i = 1; i <= 3; ++i) world.topology.nodes[NodeId{i}].node.set_zone("z1");
  world.topology.nodes[NodeId{2}].node.set_zone("z2");
  EXPECT_EQ(world.plan(), (VolumePlan{Step::kRemoveReplica, 0})) << "the only one in z2 stays";
  const std::vector<NodeSet> group{{NodeId{2}, NodeId{3}}};
  EXPECT_EQ(plan_volume(world.volume, world.topology, world.limits, kNow, group),
            (VolumePlan{Step::kRemoveReplica, 1}))
      << "another volume of its group is on nodes 2 and 3";
}

// Whatever the state: no plan leaves the volume with no in-sync replica, and following the plans
// ends.
TEST(VolumePlan, NeverRemovesTheLastGoodReplicaAndComesToAnEnd) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    World world(static_cast<uint32_t>(1 + random.below(3)));
    const uint64_t count = 1 + random.below(4);
    for (uint64_t i = 1; i <= count; ++i) {
      world.replica(i, i == 1 ? core::ReplicaState::kInSync
                              : static_cast<core::ReplicaState>(1 + random.below(3)));
    }
    for (uint64_t i = 1; i <= 4; ++i) {
      if (random.chance(0.3)) world.offline(i, random.below(1200));
      if (random.chance(0.1)) world.topology.nodes[NodeId{i}].node.set_decommissioning(true);
    }
    uint64_t next_node = 10;
    int steps = 0;
    for (; steps < 20; ++steps) {
      VolumePlan plan = world.plan();
      if (plan.step == Step::kNothing) break;
      if (plan.step == Step::kAddReplica) {
        world.topology.nodes[NodeId{next_node}].alive = true;
        core::MemberIndex index = 0;
        while (world.volume.record.find(index) != nullptr) ++index;
        world.volume.record.replicas.push_back(
            {index, NodeId{next_node}, PoolId{next_node}, core::ReplicaState::kInSync, {}});
        ++next_node;
      } else if (plan.step == Step::kRemoveReplica) {
        std::erase_if(world.volume.record.replicas,
                      [&](const auto& r) { return r.index == plan.member; });
        ASSERT_GE(world.volume.in_sync_count(), 1U);
      } else if (plan.step == Step::kHeal) {
        for (auto& r : world.volume.record.replicas) {
          if (world.topology.alive(r.node)) r.state = core::ReplicaState::kInSync;
        }
      }
      ASSERT_LE(world.volume.record.replicas.size(), core::kReplicasMax);
    }
    ASSERT_LT(steps, 20);
  }
}

}  // namespace
}  // namespace cleat::control
