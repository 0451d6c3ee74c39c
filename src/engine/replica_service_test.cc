#include "engine/replica_service.h"

#include <gtest/gtest.h>

#include "store/testing/pool_fixture.h"

namespace cleat::engine {
namespace {

using namespace std::chrono_literals;

class ReplicaServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    pool.must_open();
    service.add(*pool.create(7, 1000));
    ASSERT_TRUE(fence(1));
  }
  Result<Answer> fence(uint32_t number) {
    wire::Header request = of(wire::Type::kFence, number);
    return pool.loop().wait(member.query(request, {}, 2s));
  }
  static wire::Header of(wire::Type type, uint32_t number) {
    wire::Header request;
    request.type = type;
    request.volume = VolumeId(7);
    request.epoch = Epoch(1);
    request.fence = number;
    return request;
  }
  io::Task<void> call(wire::Header request, ConstBuffer data, std::optional<Result<void>>& done) {
    auto reply = co_await member.call(request, data, {}, 20s);
    done = reply ? Result<void>{} : fail(reply.error());
  }
  void latency(Duration of_each) {
    pool.disk().faults().latency_min = pool.disk().faults().latency_max = of_each;
  }

  store::testing::PoolFixture pool;
  io::BufferPool buffers;
  ReplicaService service{pool.loop(), buffers};
  LocalMember member{service};
};

TEST_F(ReplicaServiceTest, AFenceOfAReplicaWhoseDiskIsStuckTimesOut) {
  AlignedBuffer data = store::testing::blocks_of({5});
  wire::Header write = of(wire::Type::kWrite, 1);
  write.range = BlockRange{3, 1};
  write.generation = Generation(1);
  latency(1h);
  std::optional<Result<void>> written;
  pool.loop().spawn(call(write, data.span(), written));
  pool.loop().run_until(pool.loop().now() + 1s);
  latency(100us);
  for (uint32_t number = 2; number < 12; ++number) {
    auto fenced = fence(number);
    ASSERT_FALSE(fenced);
    EXPECT_EQ(fenced.error().code, Code::kTimedOut);
  }
  pool.loop().run_until(pool.loop().now() + 3h);
  ASSERT_TRUE(written) << "the disk has answered";
  EXPECT_TRUE(fence(12));
}

// No fence waits for it; its answer would tell the older primary that its lease goes on.
TEST_F(ReplicaServiceTest, R5ADeletionThatEndsAfterAFenceIsNotAnsweredToTheOlderPrimary) {
  wire::Header freeze = of(wire::Type::kFreeze, 1);
  freeze.snapshot = SnapshotId(3);
  std::optional<Result<void>> frozen;
  pool.loop().spawn(call(freeze, {}, frozen));
  pool.loop().run();
  ASSERT_TRUE(frozen && *frozen);
  wire::Header drop = freeze;
  drop.type = wire::Type::kDeleteSnapshot;
  std::optional<Result<void>> dropped;
  latency(1s);
  pool.loop().spawn(call(drop, {}, dropped));
  latency(100us);
  wire::Header newer = of(wire::Type::kFence, 1);
  newer.epoch = Epoch(2);
  ASSERT_TRUE(pool.loop().wait(member.query(newer, {}, 2s)));
  pool.loop().run();
  ASSERT_TRUE(dropped);
  ASSERT_FALSE(*dropped);
  EXPECT_EQ(dropped->error().code, Code::kStaleEpoch);
}

TEST_F(ReplicaServiceTest, AResizeIsDurableWhenAnotherOneIsUnderWay) {
  wire::Header larger = of(wire::Type::kResize, 1);
  larger.range.first = 3000;
  wire::Header smaller = of(wire::Type::kResize, 1);
  smaller.range.first = 2000;
  latency(5s);
  std::optional<Result<void>> first;
  std::optional<Result<void>> second;
  pool.loop().spawn(call(larger, {}, first));
  pool.loop().spawn(call(smaller, {}, second));
  while (!second) pool.loop().run_until(pool.loop().now() + 10ms);
  EXPECT_TRUE(*second);
  pool.power_loss(sim::lose_all());
  pool.must_open();
  EXPECT_GE(pool.pool().find(VolumeId(7))->size_blocks(), 2000U);
}

}  // namespace
}  // namespace cleat::engine
