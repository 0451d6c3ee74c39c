#include "core/dirty_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"

namespace cleat::core {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(DirtyMap, AnswersByGeneration) {
  DirtyMap map(2000);
  EXPECT_TRUE(map.stamp(3, Generation(5)));
  EXPECT_FALSE(map.stamp(3, Generation(4))) << "a stamp never goes down";
  EXPECT_TRUE(map.stamp(1999, Generation(7)));
  EXPECT_FALSE(map.stamp(2000, Generation(7))) << "beyond the end";
  EXPECT_THAT(map.at_or_above(Generation(0)), ElementsAre(3u, 1999u));
  EXPECT_THAT(map.at_or_above(Generation(6)), ElementsAre(1999u));
  map.forget(Generation(7));
  EXPECT_THAT(map.at_or_above(Generation(0)), ElementsAre(1999u));
}

// R9: what was lost with the power is dirty for everybody until a later copy is confirmed.
TEST(DirtyMap, UnknownStampsAnswerEveryQuestionUntilConfirmed) {
  DirtyMap map(100);
  map.stamp(1, Generation(5));
  map.mark_unknown(9);
  EXPECT_THAT(map.at_or_above(Generation(1000)), ElementsAre(9u));
  map.forget(Generation(1000));
  EXPECT_THAT(map.at_or_above(Generation(0)), ElementsAre(9u)) << "no generation was set since";
  map.settle_unknown(Generation(20));
  map.settle_unknown(Generation(30));
  map.forget(Generation(20));
  EXPECT_THAT(map.at_or_above(Generation(0)), ElementsAre(9u));
  map.forget(Generation(21));
  EXPECT_THAT(map.at_or_above(Generation(0)), IsEmpty());
}

TEST(DirtyMap, RunsReadBackAndCoarseOnesCoverMore) {
  Random random(11);
  for (int round = 0; round < 50; ++round) {
    DirtyMap map(3000);
    for (int i = 0; i < 200; ++i) {
      map.stamp(random.below(3000), Generation(random.between(1, 9)));
    }
    if (random.chance(0.3)) map.mark_unknown(random.below(3000));
    DirtyMap exact(3000);
    exact.load(map.runs(100000), map.unknown_as_of());
    DirtyMap coarse(3000);
    auto runs = map.runs(16);
    EXPECT_LE(runs.size(), 16u);
    coarse.load(runs, map.unknown_as_of());
    for (uint64_t region = 0; region < 3000; ++region) {
      EXPECT_EQ(exact.stamp_of(region), map.stamp_of(region));
      EXPECT_GE(coarse.stamp_of(region), map.stamp_of(region));
    }
  }
}

TEST(DirtyMap, GrowsWithTheVolume) {
  DirtyMap map(10);
  map.stamp(9, Generation(2));
  map.resize(5000);
  EXPECT_TRUE(map.stamp(4999, Generation(3)));
  EXPECT_THAT(map.at_or_above(Generation(1)), ElementsAre(9u, 4999u));
}

}  // namespace
}  // namespace cleat::core
