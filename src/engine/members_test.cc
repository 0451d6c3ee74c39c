#include "engine/members.h"

#include <gtest/gtest.h>

#include "engine/testing/fake_member.h"

namespace cleat::engine {
namespace {

using namespace std::chrono_literals;

class MembersTest : public testing::Test {
 protected:
  MembersTest() {
    core::VolumeRecord record;
    record.id = VolumeId(7);
    record.replicas.push_back({0, NodeId(1), PoolId(1), core::ReplicaState::kInSync, Generation{}});
    members.set_epoch(VolumeId(7), Epoch(3));
    members.adopt(record);
  }
  io::Task<void> wait_ready() {
    auto ready = co_await members.ready(0, 2s);
    (ready ? ready_count : failed_count) += 1;
  }

  sim::SimulatedLoop loop{1};
  OperationGate gate{loop};
  FakeReplica replica;
  Members members{loop, gate, [this](const core::ReplicaRecord&) {
                    return std::make_unique<FakeMember>(loop, replica);
                  }};
  int ready_count = 0;
  int failed_count = 0;
};

TEST_F(MembersTest, ACallNeedsAFenceThatWasAnswered) {
  wire::Header request;
  request.type = wire::Type::kHeartbeat;
  auto early = loop.wait(members.call(0, request, {}, {}));
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, Code::kNotInSync);
  ASSERT_TRUE(loop.wait(members.ready(0, 2s)));
  EXPECT_TRUE(loop.wait(members.call(0, request, {}, {})));
  EXPECT_EQ(replica.calls.back().epoch, Epoch(3));
  EXPECT_EQ(replica.calls.back().fence, 1U);
}

TEST_F(MembersTest, WhoWaitsForAFenceSharesItsOutcome) {
  replica.silent = true;
  io::TaskGroup group;
  for (int i = 0; i < 50; ++i) group.spawn(wait_ready());
  loop.run();
  EXPECT_EQ(failed_count, 50);
  EXPECT_EQ(replica.count(wire::Type::kFence), 1U);
  EXPECT_EQ(loop.now().time_since_epoch(), Duration(2s));

  replica.silent = false;
  for (int i = 0; i < 50; ++i) group.spawn(wait_ready());
  loop.run();
  EXPECT_EQ(ready_count, 50);
  EXPECT_EQ(replica.count(wire::Type::kFence), 2U);
}

}  // namespace
}  // namespace cleat::engine
