// The stored forms: what is written reads back, what is damaged is refused, nothing crashes.
#include <gtest/gtest.h>

#include <cstring>

#include "common/random.h"
#include "store/catalog_format.h"
#include "store/extent_table.h"
#include "store/journal_format.h"
#include "store/superblock.h"

namespace cleat::store {
namespace {

Superblock example_superblock() {
  Superblock s;
  s.write_count = 3;
  s.cluster = 1;
  s.node = 2;
  s.pool = 4;
  s.salt = 0x1122334455667788;
  s.tail_sequence = 9;
  s.tail_position = 8192;
  s.geometry = *plan_geometry(kGiB, kMiB);
  return s;
}

TEST(SuperblockFormat, ReadsBack) {
  AlignedBuffer block(kBlockSize);
  Superblock s = example_superblock();
  encode_superblock(s, block.span());
  auto read = decode_superblock(block.span());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->salt, s.salt);
  EXPECT_EQ(read->tail_position, s.tail_position);
  EXPECT_EQ(read->geometry, s.geometry);
}

TEST(SuperblockFormat, EveryFlippedBitIsSeen) {
  AlignedBuffer block(kBlockSize);
  encode_superblock(example_superblock(), block.span());
  for (size_t bit = 0; bit < 512 * 8; ++bit) {
    block.data()[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(decode_superblock(block.span())) << bit;
    block.data()[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
  }
}

TEST(Geometry, FitsInThePoolWithoutOverlap) {
  for (uint64_t size : {256 * kMiB, 256 * kMiB + 12345 * kBlockSize, 5 * kGiB, 3 * kTiB}) {
    auto g = plan_geometry(size, 16 * kMiB);
    ASSERT_TRUE(g);
    EXPECT_LE(g->end(), size);
    EXPECT_GT(g->end() + 2 * kMiB, size) << "space is wasted";
    EXPECT_GE(g->table_bytes, g->slot_count() * kSlotBytes);
  }
}

TEST(Geometry, RefusesWhatIsTooSmall) {
  EXPECT_EQ(plan_geometry(255 * kMiB, kMiB).error().code, Code::kInvalidArgument);
  EXPECT_EQ(plan_geometry(kGiB, 4096).error().code, Code::kInvalidArgument);
  EXPECT_EQ(plan_geometry(kGiB, kGiB).error().code, Code::kInvalidArgument);
  EXPECT_EQ(plan_geometry(kGiB, kMiB + 1).error().code, Code::kInvalidArgument);
}

TEST(SlotFormat, ReadsBackOnlyInItsPlaceAndPool) {
  SlotState state{7, 1234, 0xff00ff00};
  SlotImage image = encode_slot(99, 5, state);
  uint64_t repaired = 0;
  EXPECT_EQ(*decode_slot(99, 5, image, repaired), state);
  EXPECT_FALSE(decode_slot(99, 6, image, repaired));
  EXPECT_FALSE(decode_slot(98, 5, image, repaired));
  EXPECT_EQ(repaired, 0u);
  EXPECT_EQ(*decode_slot(99, 5, SlotImage{}, repaired), SlotState{});
}

TEST(SlotFormat, OneFlippedBitIsRepairedTwoAreRefused) {
  SlotState state{7, 1234, 0xff00ff00};
  for (size_t a = 0; a < 128; ++a) {
    SlotImage image = encode_slot(99, 5, state);
    auto* bytes = reinterpret_cast<unsigned char*>(&image);
    bytes[a / 8] = static_cast<unsigned char>(bytes[a / 8] ^ (1U << a % 8));
    uint64_t repaired = 0;
    auto once = decode_slot(99, 5, image, repaired);
    ASSERT_TRUE(once);
    EXPECT_EQ(*once, state);
    EXPECT_EQ(repaired, 1u);
    size_t b = (a + 37) % 128;
    bytes[b / 8] = static_cast<unsigned char>(bytes[b / 8] ^ (1U << b % 8));
    EXPECT_FALSE(decode_slot(99, 5, image, repaired)) << a;
  }
}

Batch example_batch(BatchWriter& writer, std::vector<std::byte>& bytes) {
  BatchHeader header;
  header.salt = 5;
  header.sequence = 17;
  header.complete_through = 16;
  header.seal = 4;
  writer.begin(header);
  SlotRecord record;
  record.slot = 3;
  record.state = {1, 2, 0xf};
  record.fresh = 0x5;
  record.crcs[0] = 11;
  record.crcs[2] = 22;
  writer.add(record);
  writer.add(Note{RecordType::kEpoch, VolumeId(8), 9, 0});
  ConstBuffer finished = writer.finish();
  bytes.assign(finished.begin(), finished.end());
  return {};
}

TEST(BatchFormat, ReadsBack) {
  BatchWriter writer;
  std::vector<std::byte> bytes;
  example_batch(writer, bytes);
  ASSERT_EQ(bytes.size(), kBlockSize);
  auto batch = decode_batch(bytes, 5);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->slots.size(), 1u);
  EXPECT_EQ(batch->slots[0].crcs[2], 22u);
  EXPECT_EQ(batch->slots[0].state, (SlotState{1, 2, 0xf}));
  ASSERT_EQ(batch->notes.size(), 1u);
  EXPECT_EQ(batch->notes[0].first, 9u);
  EXPECT_FALSE(decode_batch(bytes, 6)) << "another pool's";
}

TEST(BatchFormat, EveryFlippedBitIsSeen) {
  BatchWriter writer;
  std::vector<std::byte> bytes;
  example_batch(writer, bytes);
  size_t used = sizeof(BatchHeader) + 24 + 8 + BatchWriter::kNoteBytes;
  for (size_t bit = 0; bit < used * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(decode_batch(bytes, 5)) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
  }
}

TEST(BatchFormat, GrowsBeyondItsFirstBuffer) {
  BatchWriter writer;
  writer.begin(BatchHeader{});
  SlotRecord record;
  record.state.bits = record.fresh = kAllBlocks;
  for (uint32_t i = 0; i < 2000; ++i) {
    record.slot = i;
    writer.add(record);
  }
  auto batch = decode_batch(writer.finish(), 0);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->slots.size(), 2000u);
  EXPECT_EQ(batch->slots[1999].slot, 1999u);
}

CatalogImage example_catalog() {
  CatalogImage image;
  image.count = 5;
  image.applied_sequence = 6;
  image.next_layer = 4;
  image.layers.push_back({1, 0, VolumeId(10), SnapshotId(3), true, false});
  image.layers.push_back({3, 1, VolumeId(10), SnapshotId(0), false, false});
  CatalogVolume v;
  v.volume = VolumeId(10);
  v.size_blocks = 1000;
  v.epoch = Epoch(2);
  v.generation = Generation(8);
  v.top = 3;
  v.recent_lost = true;
  v.record = "seven b";
  v.intents.push_back({1, 2});
  v.dirty.push_back({0, 3, 8});
  v.recent.push_back({Seq(4), {7, 8}});
  image.volumes.push_back(v);
  return image;
}

TEST(CatalogFormat, ReadsBack) {
  AlignedBuffer bytes = encode_catalog(example_catalog(), 5);
  auto image = decode_catalog(bytes.span(), 5);
  ASSERT_TRUE(image);
  ASSERT_EQ(image->layers.size(), 2u);
  EXPECT_TRUE(image->layers[0].frozen);
  ASSERT_EQ(image->volumes.size(), 1u);
  const CatalogVolume& v = image->volumes[0];
  EXPECT_EQ(v.record, "seven b");
  EXPECT_EQ(v.intents, (std::vector<ZoneRun>{{1, 2}}));
  EXPECT_EQ(v.dirty, (std::vector<core::DirtyRun>{{0, 3, 8}}));
  EXPECT_EQ(v.recent, (std::vector<core::RecentWrite>{{Seq(4), {7, 8}}}));
  EXPECT_TRUE(v.recent_lost);
}

TEST(CatalogFormat, EveryFlippedBitIsSeen) {
  AlignedBuffer bytes = encode_catalog(example_catalog(), 5);
  uint64_t length = catalog_length(bytes.span(), 5);
  for (size_t bit = 0; bit < length * 8; ++bit) {
    bytes.data()[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(decode_catalog(bytes.span(), 5)) << bit;
    bytes.data()[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
  }
}

// Checks that match senseless contents: a parser must not trust its own check.
TEST(Formats, RandomBytesNeverCrashTheParsers) {
  Random random(7);
  AlignedBuffer bytes(2 * kBlockSize);
  for (int round = 0; round < 2000; ++round) {
    for (size_t i = 0; i < bytes.size(); i += 8) {
      uint64_t word = random();
      std::memcpy(bytes.data() + i, &word, 8);
    }
    EXPECT_FALSE(decode_superblock(bytes.span()));
    EXPECT_FALSE(decode_batch(bytes.span(), 5));
    EXPECT_FALSE(decode_catalog(bytes.span(), 5));
  }
}

TEST(Formats, UnknownVersionsAreRefused) {
  AlignedBuffer block(kBlockSize);
  BatchWriter writer;
  BatchHeader header;
  header.version = 2;
  writer.begin(header);
  EXPECT_EQ(decode_batch(writer.finish(), 0).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace cleat::store
