#include "core/resync_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

namespace cleat::core {
namespace {

using ::testing::ElementsAre;

std::vector<BlockRange> all(ResyncPlan plan) {
  std::vector<BlockRange> ranges;
  while (auto range = plan.next()) ranges.push_back(*range);
  return ranges;
}

TEST(ResyncPlan, AdjacentPiecesAreOneRange) {
  ResyncPlan plan({{0, 0b1101}, {2, Pieces{1} << 63}}, 10000);
  EXPECT_EQ(plan.total_bytes(), 4u * 16 * kKiB);
  EXPECT_THAT(all(plan), ElementsAre(BlockRange{0, 4}, BlockRange{8, 8}, BlockRange{764, 4}));
}

TEST(ResyncPlan, LongRunsAreCut) {
  EXPECT_THAT(all(ResyncPlan({{1, kAllPieces}}, 10000)),
              ElementsAre(BlockRange{256, 64}, BlockRange{320, 64}, BlockRange{384, 64},
                          BlockRange{448, 64}));
}

TEST(ResyncPlan, EndsWithTheVolume) {
  ResyncPlan plan({{0, kAllPieces}, {1, kAllPieces}}, 70);
  EXPECT_EQ(plan.total_bytes(), 70u * kBlockSize);
  EXPECT_THAT(all(plan), ElementsAre(BlockRange{0, 64}, BlockRange{64, 6}));
  EXPECT_THAT(all(ResyncPlan({}, 70)), ElementsAre());
}

TEST(ResyncPlan, EveryDirtyBlockOnceAndNoOther) {
  bool held = rc::check([](std::map<uint8_t, uint64_t> dirty, uint16_t size_blocks) {
    std::vector<DirtyRegion> regions;
    std::multiset<uint64_t> expected;
    for (auto [region, pieces] : dirty) {
      regions.push_back({region, pieces});
      for (uint64_t block = 0; block < kBlocksPerRegion; ++block) {
        uint64_t at = region * uint64_t{kBlocksPerRegion} + block;
        bool is_dirty = (pieces >> (block / kBlocksPerPiece) & 1) != 0;
        if (is_dirty && at < size_blocks) expected.insert(at);
      }
    }
    ResyncPlan plan(regions, size_blocks);
    RC_ASSERT(plan.total_bytes() == expected.size() * kBlockSize);
    std::multiset<uint64_t> given;
    for (BlockRange range : all(plan)) {
      RC_ASSERT(range.count > 0 && range.count <= kResyncBlocksMax);
      for (uint64_t block = range.first; block < range.end(); ++block) given.insert(block);
    }
    RC_ASSERT(given == expected);
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace cleat::core
