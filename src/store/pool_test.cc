#include "store/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/testing/pool_fixture.h"

namespace cleat::store {
namespace {

using ::testing::ElementsAre;
using testing::PoolFixture;
using Values = std::vector<uint64_t>;

constexpr uint64_t kVolume = 100;

TEST(Pool, BlocksNeverWrittenAreZeros) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  EXPECT_EQ(f.read(v, {10, 3}), (Values{0, 0, 0}));
}

TEST(Pool, ReadsBackWhatWasWritten) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 30, {1, 2, 3, 4}));  // over the border of an extent
  ASSERT_TRUE(f.write(v, 31, {5}));
  EXPECT_EQ(f.read(v, {29, 6}), (Values{0, 1, 5, 3, 4, 0}));
}

TEST(Pool, CloseAndOpenKeepsEverything) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 0, {1, 2, 3}, 7));
  ASSERT_TRUE(f.loop().wait(v->set_epoch(Epoch(4))));
  ASSERT_TRUE(f.loop().wait(v->set_record("hello")));
  ASSERT_TRUE(f.close());
  f.must_open();
  v = f.pool().find(VolumeId(kVolume));
  ASSERT_NE(v, nullptr);
  EXPECT_EQ(f.read(v, {0, 4}), (Values{1, 2, 3, 0}));
  EXPECT_EQ(v->epoch(), Epoch(4));
  EXPECT_EQ(v->record(), "hello");
  EXPECT_EQ(v->size_blocks(), 1000u);
  EXPECT_EQ(v->recent().size(), 1u);
  EXPECT_FALSE(v->recent_lost());
}

TEST(Pool, FlushedBlocksSurvivePowerLoss) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 0, {1, 2, 3}));
  ASSERT_TRUE(f.flush(v));
  ASSERT_TRUE(f.write(v, 100, {9}));
  f.power_loss(sim::lose_all());
  f.must_open();
  v = f.pool().find(VolumeId(kVolume));
  EXPECT_EQ(f.read(v, {0, 3}), (Values{1, 2, 3}));
  EXPECT_EQ(f.read(v, {100, 1}), (Values{0}));
  EXPECT_TRUE(v->recent_lost());
}

TEST(Pool, CompletedWritesSurviveTheProcess) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 0, {1, 2, 3}, 1));
  ASSERT_TRUE(f.zero(v, {1, 1}, 2));
  f.kill(sim::lose_all());
  f.must_open();
  v = f.pool().find(VolumeId(kVolume));
  EXPECT_EQ(f.read(v, {0, 3}), (Values{1, 0, 3}));
  EXPECT_FALSE(v->recent_lost());
  EXPECT_EQ(v->recent().size(), 2u);
}

TEST(Pool, EpochIsDurableWhenSetEpochReturns) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.loop().wait(v->set_epoch(Epoch(9))));
  f.power_loss(sim::lose_all());
  f.must_open();
  v = f.pool().find(VolumeId(kVolume));
  EXPECT_EQ(v->epoch(), Epoch(9));
  Result<void> lower = f.loop().wait(v->set_epoch(Epoch(8)));
  ASSERT_FALSE(lower);
  EXPECT_EQ(lower.error().code, Code::kStaleEpoch);
}

TEST(Pool, SnapshotKeepsItsState) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 0, {1, 2, 3}));
  ASSERT_TRUE(f.loop().wait(v->freeze(SnapshotId(1))));
  ASSERT_TRUE(f.write(v, 1, {7}));
  ASSERT_TRUE(f.zero(v, {2, 1}));
  View snapshot{SnapshotId(1)};
  EXPECT_EQ(f.read(v, {0, 3}), (Values{1, 7, 0}));
  EXPECT_EQ(f.read(v, {0, 3}, snapshot), (Values{1, 2, 3}));
  EXPECT_THAT(v->snapshots(), ElementsAre(SnapshotId(1)));
  ASSERT_TRUE(f.close());
  f.must_open();
  v = f.pool().find(VolumeId(kVolume));
  EXPECT_EQ(f.read(v, {0, 3}), (Values{1, 7, 0}));
  EXPECT_EQ(f.read(v, {0, 3}, snapshot), (Values{1, 2, 3}));
  ASSERT_TRUE(f.delete_snapshot(v, SnapshotId(1)));
  EXPECT_EQ(f.read(v, {0, 3}), (Values{1, 7, 0}));
  EXPECT_TRUE(v->snapshots().empty());
  EXPECT_EQ(v->usage().used_bytes, kExtentSize);
  ASSERT_TRUE(f.close());
  f.must_open();
  v = f.pool().find(VolumeId(kVolume));
  EXPECT_EQ(f.read(v, {0, 3}), (Values{1, 7, 0}));
}

}  // namespace
}  // namespace cleat::store
