// Bad input, damage, full pools and failing devices: each has a clear error or a defined behaviour.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "common/crc32c.h"
#include "store/extent_table.h"
#include "store/journal_format.h"
#include "store/superblock.h"
#include "store/testing/pool_fixture.h"

namespace cleat::store {
namespace {

using testing::FixtureOptions;
using testing::PoolFixture;
using Values = std::vector<uint64_t>;

constexpr uint64_t kVolume = 100;

Code code_of(const Result<void>& result) { return result ? Code{} : result.error().code; }

Superblock stored_superblock(PoolFixture& f) {
  AlignedBuffer block(kBlockSize);
  f.medium()->read_current(0, block.span());
  return *decode_superblock(block.span());
}

void damage(PoolFixture& f, uint64_t offset) {
  for (uint64_t at : {offset, offset + 1, offset + 5}) f.medium()->flip_bit(at, 3);
}

// --- superblock and identity

TEST(PoolFormat, RefusesToFormatOverAPool) {
  PoolFixture f;
  sim::SimulatedDisk disk(f.loop(), f.medium());
  FormatOptions format;
  format.capacity_bytes = 256 * kMiB;
  format.journal_bytes = 256 * kKiB;
  EXPECT_EQ(code_of(f.loop().wait(Pool::format(disk, format))), Code::kAlreadyExists);
  format.overwrite = true;
  EXPECT_TRUE(f.loop().wait(Pool::format(disk, format)));
}

TEST(PoolFormat, RefusesToFormatOverAPoolThatCannotBeOpened) {
  PoolFixture f;
  for (uint64_t offset : kSuperblockOffsets) damage(f, offset + 50);
  sim::SimulatedDisk disk(f.loop(), f.medium());
  FormatOptions format;
  format.capacity_bytes = 256 * kMiB;
  format.journal_bytes = 256 * kKiB;
  EXPECT_EQ(code_of(f.loop().wait(Pool::format(disk, format))), Code::kAlreadyExists);
}

TEST(PoolFormat, RefusesToFormatOverOtherData) {
  constexpr uint64_t kBtrfsSuperblock = 64 * kKiB;
  for (uint64_t offset : {uint64_t{0}, 2 * kBlockSize, kBtrfsSuperblock, kMiB - 1}) {
    sim::SimulatedLoop loop(1);
    auto medium = std::make_shared<sim::Medium>(300 * kMiB);
    medium->flip_bit(offset, 3);
    sim::SimulatedDisk disk(loop, medium);
    FormatOptions format;
    EXPECT_EQ(code_of(loop.wait(Pool::format(disk, format))), Code::kAlreadyExists) << offset;
    format.overwrite = true;
    EXPECT_TRUE(loop.wait(Pool::format(disk, format)));
  }
}

TEST(PoolFormat, RefusesWhatIsTooSmall) {
  sim::SimulatedLoop loop(1);
  sim::SimulatedDisk disk(loop, std::make_shared<sim::Medium>(0));
  FormatOptions format;
  format.capacity_bytes = 100 * kMiB;
  EXPECT_EQ(code_of(loop.wait(Pool::format(disk, format))), Code::kInvalidArgument);
}

TEST(PoolFormat, UsesADeviceAsItIs) {
  sim::SimulatedLoop loop(1);
  auto medium = std::make_shared<sim::Medium>(300 * kMiB);
  auto disk = std::make_unique<sim::SimulatedDisk>(loop, medium);
  disk->faults().can_grow = false;
  FormatOptions format;
  ASSERT_TRUE(loop.wait(Pool::format(*disk, format)));
  auto pool = loop.wait(Pool::open(loop, std::move(disk), nullptr, OpenOptions{}));
  ASSERT_TRUE(pool);
  EXPECT_GT((*pool)->stats().free_bytes, 260 * kMiB);
  EXPECT_TRUE(loop.wait((*pool)->close()));
}

TEST(PoolOpen, RefusesWhatIsNoPool) {
  sim::SimulatedLoop loop(1);
  auto disk = std::make_unique<sim::SimulatedDisk>(loop, std::make_shared<sim::Medium>(kGiB));
  auto pool = loop.wait(Pool::open(loop, std::move(disk), nullptr, OpenOptions{}));
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code, Code::kCorrupt);
}

TEST(PoolOpen, RepairsOneSuperblockAndRefusesTwoDamaged) {
  PoolFixture f;
  damage(f, kSuperblockOffsets[0] + 50);
  f.must_open();
  EXPECT_EQ(f.pool().stats().superblocks_repaired, 1u);
  ASSERT_TRUE(f.close());
  f.must_open();
  EXPECT_EQ(f.pool().stats().superblocks_repaired, 0u) << "it was written anew";
  ASSERT_TRUE(f.close());
  damage(f, kSuperblockOffsets[0] + 50);
  damage(f, kSuperblockOffsets[1] + 50);
  EXPECT_EQ(code_of(f.open()), Code::kCorrupt);
}

TEST(PoolOpen, RefusesAnotherVersion) {
  PoolFixture f;
  for (uint64_t offset : kSuperblockOffsets) {
    AlignedBuffer block(kBlockSize);
    f.medium()->read_current(offset, block.span());
    uint32_t version = kPoolVersion + 1;
    uint32_t check = 0;
    std::memcpy(block.data() + 8, &version, 4);
    std::memcpy(block.data() + 12, &check, 4);
    check = crc32c(block.data(), 512);
    std::memcpy(block.data() + 12, &check, 4);
    f.medium()->write_current(offset, block.span());
  }
  EXPECT_EQ(code_of(f.open()), Code::kUnsupported);
}

TEST(PoolOpen, RefusesAnotherClustersPool) {
  PoolFixture f;
  auto disk = std::make_unique<sim::SimulatedDisk>(f.loop(), f.medium());
  OpenOptions options;
  options.identity = testing::test_identity();
  options.identity.cluster = 78;
  auto pool = f.loop().wait(Pool::open(f.loop(), std::move(disk), nullptr, options));
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code, Code::kPermission);
}

// --- damage

TEST(Damage, ASlotWithOneFlippedBitIsRepaired) {
  PoolFixture f;
  f.must_open();
  ASSERT_TRUE(f.write(f.create(kVolume, 100), 0, {1}));
  ASSERT_TRUE(f.close());
  uint64_t table = stored_superblock(f).geometry.table_offset;
  f.medium()->flip_bit(table + 8, 0);  // "valid" of the first block
  f.must_open();
  EXPECT_EQ(f.pool().stats().slots_repaired, 1u);
  EXPECT_EQ(f.read(f.pool().find(VolumeId(kVolume)), {0, 1}), Values{1});
}

TEST(Damage, ASlotThatSaysNothingIsRefused) {
  PoolFixture f;
  f.must_open();
  ASSERT_TRUE(f.write(f.create(kVolume, 100), 0, {1}));
  ASSERT_TRUE(f.close());
  damage(f, stored_superblock(f).geometry.table_offset);
  EXPECT_EQ(code_of(f.open()), Code::kCorrupt);
}

TEST(Damage, ACatalogOlderThanWhatIsKnownIsRefused) {
  PoolFixture f;
  f.must_open();
  f.create(kVolume, 100);
  ASSERT_TRUE(f.close());
  Superblock s = stored_superblock(f);
  uint64_t newest = s.geometry.catalog_offset + (s.catalog_count % 2) * s.geometry.catalog_bytes;
  damage(f, newest + 100);
  EXPECT_EQ(code_of(f.open()), Code::kCorrupt);
}

TEST(Damage, AJournalDamagedInItsMiddleIsRefused) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 100);
  for (uint64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(f.write(v, i, {i + 1}));
    ASSERT_TRUE(f.flush(v));
  }
  f.power_loss(sim::keep_all());
  Superblock s = stored_superblock(f);
  damage(f, s.geometry.journal_offset + s.tail_position + kBlockSize + 70);
  EXPECT_EQ(code_of(f.open()), Code::kCorrupt);
}

// --- arguments

TEST(Arguments, AreChecked) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 100);
  EXPECT_EQ(code_of(f.write(v, 99, {1, 2})), Code::kOutOfRange);
  EXPECT_EQ(code_of(f.zero(v, {200, 1})), Code::kOutOfRange);
  AlignedBuffer data(kBlockSize);
  WriteAt at{{0, 2}, Generation(1), Seq(0)};
  EXPECT_EQ(code_of(f.loop().wait(v->write(at, data.span()))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(f.loop().wait(v->read(View{SnapshotId(4)}, {0, 1}, data.span()))),
            Code::kNotFound);
  EXPECT_EQ(code_of(f.loop().wait(v->resize(50))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(f.loop().wait(v->set_record(std::string(65 * kKiB, 'x')))),
            Code::kInvalidArgument);
  EXPECT_EQ(code_of(f.loop().wait(v->delete_snapshot(SnapshotId(4)))), Code::kNotFound);
  EXPECT_EQ(code_of(f.loop().wait(v->restore(SnapshotId(4)))), Code::kNotFound);
  ASSERT_TRUE(f.loop().wait(v->freeze(SnapshotId(4))));
  EXPECT_EQ(code_of(f.loop().wait(v->freeze(SnapshotId(4)))), Code::kAlreadyExists);
  auto again = f.loop().wait(f.pool().create(VolumeId(kVolume), 10));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
  EXPECT_EQ(code_of(f.loop().wait(f.pool().remove(VolumeId(5)))), Code::kNotFound);
  ASSERT_TRUE(f.loop().wait(f.pool().clone(VolumeId(7), VolumeId(kVolume), SnapshotId(4))));
  EXPECT_EQ(code_of(f.loop().wait(v->delete_snapshot(SnapshotId(4)))), Code::kBusy);
  EXPECT_EQ(code_of(f.loop().wait(f.pool().remove(VolumeId(kVolume)))), Code::kBusy);
}

TEST(Arguments, AFullCatalogRefusesMoreAndKeepsWhatItHas) {
  PoolFixture f;
  f.must_open();
  std::string record(64 * kKiB, 'r');
  Result<void> last;
  uint64_t volume = 0;
  while (last && volume < 1000) {
    ReplicaStore* v = f.create(++volume, 10);
    last = f.loop().wait(v->set_record(record));
  }
  EXPECT_EQ(code_of(last), Code::kNoSpace);
  EXPECT_FALSE(f.pool().stats().failed);
  EXPECT_EQ(f.pool().find(VolumeId(volume))->record(), "");
  ASSERT_TRUE(f.close());
  f.must_open();
  EXPECT_EQ(f.pool().replicas().size(), volume);
  EXPECT_EQ(f.pool().find(VolumeId(1))->record(), record);
}

// --- full pools

TEST(FullPool, RefusesWritesWithoutChangeAndGoesOnWhenSpaceIsFreed) {
  FixtureOptions options;
  options.reserve_bytes = 8 * kMiB;
  options.slab_bytes = 32 * kMiB;
  PoolFixture f(options);
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 100000);
  uint64_t block = 0;
  Result<void> done;
  for (; done; block += kBlocksPerExtent) done = f.write(v, block, {block + 1});
  EXPECT_EQ(code_of(done), Code::kNoSpace);
  uint64_t full = block - kBlocksPerExtent;
  PoolStats stats = f.pool().stats();
  EXPECT_GE(stats.free_bytes, options.reserve_bytes);
  EXPECT_LT(stats.free_bytes, options.reserve_bytes + kExtentSize);
  EXPECT_EQ(stats.used_bytes, v->usage().used_bytes);
  EXPECT_EQ(f.read(v, {full, 1}), Values{0});
  EXPECT_EQ(f.read(v, {0, 1}), Values{1});
  ASSERT_TRUE(f.write(v, 0, {77})) << "what needs no space goes on";
  // A write over two extents, one of which it has: nothing of it is done.
  EXPECT_EQ(code_of(f.write(v, full - 1, {5, 6})), Code::kNoSpace);
  EXPECT_EQ(f.read(v, {full - 1, 2}), (Values{0, 0}));
  ASSERT_TRUE(f.zero(v, {32, 32}));
  ASSERT_TRUE(f.write(v, full, {88})) << "the freed extent is found without a flush by the caller";
  EXPECT_EQ(f.read(v, {full, 1}), Values{88});
}

TEST(FullPool, AFullFilesystemIsNoSpaceUntilItHasSomeAgain) {
  FixtureOptions options;
  options.slab_bytes = 4 * kMiB;
  PoolFixture f(options);
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 100000);
  f.disk().faults().fail = [](sim::DiskOp op, uint64_t, uint64_t) {
    return op == sim::DiskOp::kGrow;
  };
  uint64_t block = 0;
  Result<void> done;
  for (; done; block += kBlocksPerExtent) done = f.write(v, block, {block + 1});
  EXPECT_EQ(code_of(done), Code::kNoSpace);
  f.disk().faults().fail = {};
  f.loop().run_until(f.loop().now() + 2s);
  EXPECT_TRUE(f.write(v, block, {1}));
}

TEST(FullPool, TheFileGrowsAheadOfNeed) {
  PoolFixture f;
  f.must_open();
  f.loop().run();
  uint64_t before = f.medium()->size_bytes();
  ReplicaStore* v = f.create(kVolume, 100000);
  for (uint64_t i = 0; i < 60; ++i) ASSERT_TRUE(f.write(v, i * kBlocksPerExtent, {i + 1}));
  f.loop().run();
  EXPECT_GT(f.medium()->size_bytes(), before);
}

// Replicas that all answer "full" are taken for equal.
TEST(FullPool, ADiscardThatIsFullHasChangedNothing) {
  PoolFixture f;
  f.must_open();
  uint64_t each = f.pool().stats().free_hole_slots * 11 / 20;  // both begin
  std::vector<ReplicaStore*> volumes{f.create(kVolume, 100000), f.create(kVolume + 1, 100000)};
  for (ReplicaStore* v : volumes) {
    for (uint64_t i = 0; i < each; ++i) ASSERT_TRUE(f.write(v, i * kBlocksPerExtent, {i + 1}));
    ASSERT_TRUE(f.loop().wait(v->freeze(SnapshotId(1))));
  }
  std::vector<Result<void>> outcomes(2);
  auto discard = [&](size_t i) -> io::Task<void> {
    WriteAt at;
    at.range = {0, static_cast<uint32_t>(each * kBlocksPerExtent)};
    auto zeroing = volumes[i]->zero(at);
    outcomes[i] = co_await std::move(zeroing);
  };
  f.loop().spawn(discard(0));
  f.loop().spawn(discard(1));
  f.loop().run();
  size_t failed = 0;
  for (size_t i = 0; i < 2; ++i) {
    if (outcomes[i]) continue;
    ++failed;
    bool changed = f.read(volumes[i], {0, 1}) != Values{1};
    EXPECT_EQ(code_of(outcomes[i]), changed ? Code::kIoError : Code::kNoSpace);
  }
  EXPECT_GE(failed, 1U) << "there are slots for one of them";
}

TEST(FullPool, HoleSlotsRunOutWithAClearError) {
  PoolFixture f;
  f.must_open();
  uint64_t holes = f.pool().stats().free_hole_slots;
  ReplicaStore* v = f.create(kVolume, 100000);
  for (uint64_t i = 0; i <= holes; ++i) ASSERT_TRUE(f.write(v, i * kBlocksPerExtent, {i + 1}));
  ASSERT_TRUE(f.loop().wait(v->freeze(SnapshotId(1))));
  uint64_t used = f.pool().stats().used_bytes;
  for (uint64_t i = 0; i < holes; ++i) ASSERT_TRUE(f.zero(v, {i * kBlocksPerExtent, 1}));
  EXPECT_EQ(code_of(f.zero(v, {holes * kBlocksPerExtent, 1})), Code::kNoSpace);
  EXPECT_EQ(f.pool().stats().used_bytes, used) << "zeros never grow usage";
  EXPECT_EQ(f.read(v, {0, 1}), Values{0});
  ASSERT_TRUE(f.delete_snapshot(v, SnapshotId(1)));
  ASSERT_TRUE(f.flush(v));
  EXPECT_EQ(f.pool().stats().free_hole_slots, holes);
  EXPECT_EQ(f.pool().stats().used_bytes, kExtentSize);
}

// --- failing devices

TEST(DeviceError, OnDataIsTheWritesAlone) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 0, {1, 2}));
  ASSERT_TRUE(f.flush(v));
  f.disk().faults().fail = [](sim::DiskOp op, uint64_t, uint64_t) {
    return op == sim::DiskOp::kWrite || op == sim::DiskOp::kRead;
  };
  EXPECT_EQ(code_of(f.write(v, 40, {3})), Code::kIoError);
  AlignedBuffer data(kBlockSize);
  EXPECT_EQ(code_of(f.loop().wait(v->read(View::top(), {0, 1}, data.span()))), Code::kIoError);
  f.disk().faults().fail = {};
  EXPECT_FALSE(f.pool().stats().failed);
  EXPECT_EQ(f.read(v, {40, 1}), Values{0});
  EXPECT_EQ(f.pool().stats().used_bytes, kExtentSize) << "the extent of the failed write is free";
  EXPECT_TRUE(f.write(v, 40, {3}));
}

// Seed 710010: what was acknowledged and not flushed yet read as before it was written.
TEST(DeviceError, OnAnOverwriteOfUnflushedBlocksKeepsThem) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 0, {1, 2}));
  f.disk().faults().fail = [](sim::DiskOp op, uint64_t, uint64_t) {
    return op == sim::DiskOp::kWrite;
  };
  EXPECT_EQ(code_of(f.write(v, 1, {8, 9})), Code::kIoError);
  f.disk().faults().fail = {};
  EXPECT_FALSE(f.pool().stats().failed);
  EXPECT_EQ(f.read(v, {0, 3}), (Values{1, 2, 0}));
  ASSERT_TRUE(f.flush(v));
  f.power_loss(sim::lose_all());
  f.must_open();
  EXPECT_EQ(f.read(f.pool().find(VolumeId(kVolume)), {0, 3}), (Values{1, 2, 0}));
}

TEST(DeviceError, ThatHidesWhatIsUnflushedMakesThePoolReadOnly) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 0, {1}));
  f.disk().faults().fail = [](sim::DiskOp op, uint64_t, uint64_t) {
    return op == sim::DiskOp::kWrite || op == sim::DiskOp::kRead;
  };
  EXPECT_EQ(code_of(f.write(v, 0, {2})), Code::kIoError);
  f.disk().faults().fail = {};
  EXPECT_TRUE(f.pool().stats().failed);
  EXPECT_EQ(code_of(f.flush(v)), Code::kIoError);
  EXPECT_EQ(f.read(v, {0, 1}), Values{1});
}

TEST(DeviceError, OnAFlushMakesThePoolReadOnlyUntilItIsOpenedAgain) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 1000);
  ASSERT_TRUE(f.write(v, 0, {1}));
  ASSERT_TRUE(f.flush(v));
  ASSERT_TRUE(f.write(v, 1, {2}));
  f.disk().faults().fail = [](sim::DiskOp op, uint64_t, uint64_t) {
    return op == sim::DiskOp::kFlush;
  };
  EXPECT_EQ(code_of(f.flush(v)), Code::kIoError);
  f.disk().faults().fail = {};
  EXPECT_TRUE(f.pool().stats().failed);
  EXPECT_EQ(code_of(f.flush(v)), Code::kIoError) << "a failed flush is never made good by a second";
  EXPECT_EQ(code_of(f.write(v, 0, {5})), Code::kIoError);
  EXPECT_EQ(code_of(f.loop().wait(v->set_epoch(Epoch(3)))), Code::kIoError);
  EXPECT_EQ(f.read(v, {0, 1}), Values{1});
  f.power_loss(sim::lose_all());
  f.must_open();
  EXPECT_EQ(f.read(f.pool().find(VolumeId(kVolume)), {0, 1}), Values{1});
}

TEST(DeviceError, OnTheJournalReachesEverybodyWhoWaits) {
  PoolFixture f;
  f.must_open();
  ReplicaStore* v = f.create(kVolume, 100000);
  ASSERT_TRUE(f.write(v, 0, {1}));
  uint64_t journal_end = kJournalOffset + f.options().journal_bytes;
  f.disk().faults().fail = [journal_end](sim::DiskOp op, uint64_t offset, uint64_t) {
    return op == sim::DiskOp::kWrite && offset >= kJournalOffset && offset < journal_end;
  };
  EXPECT_EQ(code_of(f.write(v, 50000, {2})), Code::kIoError) << "its intent was not durable";
  EXPECT_EQ(code_of(f.flush(v)), Code::kIoError);
  EXPECT_FALSE(f.close());
}

}  // namespace
}  // namespace cleat::store
