// A pool of format version 1, byte by byte, as a power loss left it. It must stay readable for
// ever; and as long as the version is 1 the same operations must give the same bytes.
// After an intended change of the format: raise the version, keep this image, add one for the new
// version (CLEAT_UPDATE_GOLDEN=1 writes it).
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "store/testing/pool_fixture.h"

namespace cleat::store {
namespace {

using testing::FixtureOptions;
using testing::PoolFixture;
using Values = std::vector<uint64_t>;

const char* const kGoldenPath = CLEAT_STORE_TESTDATA "/pool_v1.golden";
constexpr uint64_t kVolume = 7;

// Each sector that is not all zeros: its offset and its bytes, runs of zeros at its end left out.
std::string to_text(const sim::Medium& medium) {
  std::string text = "size " + std::to_string(medium.size_bytes()) + "\n";
  AlignedBuffer block(kBlockSize);
  const char* digits = "0123456789abcdef";
  for (uint64_t at = 0; at < medium.size_bytes(); at += kBlockSize) {
    medium.read_current(at, block.span());
    for (size_t sector = 0; sector < kBlockSize; sector += sim::kSectorSize) {
      size_t used = sim::kSectorSize;
      while (used > 0 && block.data()[sector + used - 1] == std::byte{0}) --used;
      if (used == 0) continue;
      text += std::to_string(at + sector) + " ";
      for (size_t i = 0; i < used; ++i) {
        auto byte = static_cast<unsigned>(block.data()[sector + i]);
        text += digits[byte / 16];
        text += digits[byte % 16];
      }
      text += "\n";
    }
  }
  return text;
}

std::shared_ptr<sim::Medium> from_text(const std::string& text) {
  std::istringstream lines(text);
  std::string word;
  uint64_t size = 0;
  lines >> word >> size;
  auto medium = std::make_shared<sim::Medium>(size);
  uint64_t offset = 0;
  while (lines >> offset >> word) {
    std::vector<std::byte> sector(sim::kSectorSize);
    for (size_t i = 0; i * 2 < word.size(); ++i) {
      unsigned byte = 0;
      std::from_chars(word.data() + i * 2, word.data() + i * 2 + 2, byte, 16);
      sector[i] = static_cast<std::byte>(byte);
    }
    medium->write_current(offset, sector);
  }
  return medium;
}

// A volume with a snapshot, a hole, a clone, and a journal to replay.
void build(PoolFixture& f) {
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 5000);
  ASSERT_TRUE(f.loop().wait(v->set_record("golden")));
  ASSERT_TRUE(f.loop().wait(v->set_epoch(Epoch(3))));
  ASSERT_TRUE(f.write(v, 0, {1, 2}, 1, 4));
  ASSERT_TRUE(f.loop().wait(v->freeze(SnapshotId(70))));
  ASSERT_TRUE(f.loop().wait(f.pool().clone(VolumeId(8), VolumeId(kVolume), SnapshotId(70))));
  ASSERT_TRUE(f.zero(v, {0, 1}, 2, 5));
  ASSERT_TRUE(f.write(v, 4500, {3}, 3, 5));
  ASSERT_TRUE(f.flush(v));
  f.loop().run();
  f.power_loss(sim::lose_all());
}

std::string golden_text() {
  std::ifstream file(kGoldenPath);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Golden, TheSameOperationsGiveTheSameBytes) {
  PoolFixture f;
  build(f);
  std::string text = to_text(*f.medium());
  if (std::getenv("CLEAT_UPDATE_GOLDEN") != nullptr) std::ofstream(kGoldenPath) << text;
  std::string golden = golden_text();
  EXPECT_EQ(text.size(), golden.size());
  EXPECT_TRUE(text == golden) << "the stored format has changed: raise its version";
}

TEST(Golden, Version1IsReadable) {
  FixtureOptions options;
  std::vector<std::byte> no_scratch(options.scratch_bytes);
  PoolFixture f(options, from_text(golden_text()), no_scratch);
  f.must_open();
  ReplicaStore* v = f.pool().find(VolumeId(kVolume));
  ASSERT_NE(v, nullptr);
  EXPECT_EQ(v->record(), "golden");
  EXPECT_EQ(v->epoch(), Epoch(3));
  EXPECT_EQ(v->size_blocks(), 5000u);
  EXPECT_EQ(f.read(v, {0, 3}), (Values{0, 2, 0}));
  EXPECT_EQ(f.read(v, {4500, 1}), Values{3});
  EXPECT_EQ(f.read(v, {0, 3}, View{SnapshotId(70)}), (Values{1, 2, 0}));
  ReplicaStore* clone = f.pool().find(VolumeId(8));
  ASSERT_NE(clone, nullptr);
  EXPECT_EQ(f.read(clone, {0, 3}), (Values{1, 2, 0}));
  EXPECT_TRUE(v->recent_lost());
  EXPECT_EQ(v->intent_regions().size(), 16u + 4u);
}

}  // namespace
}  // namespace cleat::store
