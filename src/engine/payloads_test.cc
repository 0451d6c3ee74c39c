#include "engine/payloads.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "wire/messages.h"

namespace cleat::engine {
namespace {

bool covered(const std::vector<core::RecentWrite>& by, BlockRange range) {
  for (uint64_t block = range.first; block < range.end(); ++block) {
    bool found = std::ranges::any_of(by, [block](const core::RecentWrite& write) {
      return block >= write.range.first && block < write.range.end();
    });
    if (!found) return false;
  }
  return true;
}

TEST(Payloads, AFenceAnswerComesBackAsItWas) {
  FenceAnswer answer;
  answer.reply.recent = {{Seq(3), BlockRange{5, 2}}, {Seq(4), BlockRange{900, 1}}};
  answer.reply.generation = Generation(9);
  answer.size_blocks = 4096;
  answer.snapshots = {SnapshotId(7)};
  auto read = decode_fence(encode_fence(answer));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->reply.recent, answer.reply.recent);
  EXPECT_EQ(read->reply.generation, Generation(9));
  EXPECT_EQ(read->snapshots, answer.snapshots);
}

TEST(Payloads, DirtyRegionsComeBackAsTheyWere) {
  std::vector<core::DirtyRegion> regions = {{0, 1}, {5, core::kAllPieces}, {1u << 28, 6}};
  auto read = decode_dirty(encode_dirty(regions));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, regions);
}

TEST(Payloads, DirtyRegionsThatMakeNoSenseAreRefused) {
  EXPECT_FALSE(decode_dirty(encode_dirty({{5, 1}, {5, 2}}))) << "twice";
  EXPECT_FALSE(decode_dirty(encode_dirty({{5, 1}, {4, 2}}))) << "out of order";
  EXPECT_FALSE(decode_dirty(encode_dirty({{5, 0}}))) << "nothing is dirty";
  EXPECT_FALSE(decode_dirty(encode_dirty({{UINT64_MAX, 1}}))) << "no such blocks";
  std::vector<std::byte> bytes = encode_dirty({{5, 1}});
  bytes.pop_back();
  EXPECT_FALSE(decode_dirty(bytes));
}

TEST(Payloads, UnansweredChangesComeBackAsTheyWere) {
  std::vector<core::UnansweredChange> changes = {{7, BlockRange{5, 2}},
                                                 {3, BlockRange{1u << 30, 1}}};
  auto read = decode_unanswered(encode_unanswered(changes));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, changes);
  EXPECT_TRUE(decode_unanswered({})->empty());
}

TEST(Payloads, UnansweredChangesThatMakeNoSenseAreRefused) {
  std::vector<std::byte> bytes = encode_unanswered({{7, BlockRange{5, 2}}});
  for (size_t size = 1; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_unanswered(ConstBuffer(bytes).first(size))) << size;
  }
  EXPECT_FALSE(decode_unanswered(encode_unanswered({{7, BlockRange{UINT64_MAX - 1, 2}}})));
  auto many = decode_unanswered(std::vector<std::byte>((kUnansweredMax + 1) * 20));
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, Code::kLimit);
}

TEST(Payloads, AShortListOfRecentWritesStaysAsItIs) {
  std::vector<core::RecentWrite> recent = {{Seq(3), BlockRange{5, 2}}, {Seq(4), BlockRange{9, 1}}};
  EXPECT_EQ(coarse_recent(recent, 2), recent);
}

TEST(Payloads, ALongListIsCoveredByACoarserOne) {
  std::vector<core::RecentWrite> recent;
  for (uint64_t i = 0; i < 100; ++i) {
    recent.push_back({Seq(i + 1), BlockRange{i * i * 37, static_cast<uint32_t>(1 + i * 5)}});
  }
  for (size_t count_max : {1, 3, 20, 99}) {
    std::vector<core::RecentWrite> coarse = coarse_recent(recent, count_max);
    EXPECT_LE(coarse.size(), count_max);
    for (const core::RecentWrite& write : recent) {
      EXPECT_TRUE(covered(coarse, write.range)) << write.range.first << " in " << count_max;
    }
    EXPECT_EQ(coarse.front().seq, Seq(100));
  }
}

TEST(Payloads, TheLongestFenceAnswerFitsIntoAFrame) {
  FenceAnswer answer;
  std::vector<core::RecentWrite> recent;
  for (uint64_t i = 0; i < 4 * kRecentWritesMax; ++i) {
    recent.push_back({Seq(i + 1), BlockRange{i * 1000, 1}});
  }
  answer.reply.recent = coarse_recent(std::move(recent), kRecentWritesMax);
  answer.snapshots.resize(1024, SnapshotId(1));
  EXPECT_LE(encode_fence(answer).size(), wire::kPayloadBytesMax);
}

}  // namespace
}  // namespace cleat::engine
