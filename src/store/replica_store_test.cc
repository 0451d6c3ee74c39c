// One replica: usage, changed blocks, intents, dirty regions, recent writes, and what its I/O
// costs.
#include "store/replica_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/superblock.h"
#include "store/testing/pool_fixture.h"

namespace cleat::store {
namespace {

using ::testing::ElementsAre;
using testing::FixtureOptions;
using ::testing::IsEmpty;
using testing::PoolFixture;
using Values = std::vector<uint64_t>;
using namespace std::chrono_literals;

constexpr uint64_t kVolume = 100;

class ReplicaStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    f.must_open();
    v = f.create(kVolume, 100000);
  }
  void reopen() {
    f.must_open();
    v = f.pool().find(VolumeId(kVolume));
  }
  void freeze(uint64_t id) { ASSERT_TRUE(f.loop().wait(v->freeze(SnapshotId(id)))); }

  PoolFixture f;
  ReplicaStore* v = nullptr;
};

// --- usage

TEST_F(ReplicaStoreTest, ReclaimableIsWhatDeletingAllSnapshotsFrees) {
  ASSERT_TRUE(f.write(v, 0, Values(96, 1)));  // 3 extents
  freeze(1);
  ASSERT_TRUE(f.write(v, 0, Values(32, 2)));  // hides all of the first
  ASSERT_TRUE(f.write(v, 40, {3}));           // part of the second
  ASSERT_TRUE(f.zero(v, {64, 32}));           // all of the third
  freeze(2);
  ASSERT_TRUE(f.write(v, 41, {4}));
  ASSERT_TRUE(f.write(v, 320, {5}));
  Usage before = v->usage();
  EXPECT_EQ(before.used_bytes, 7 * kExtentSize);
  EXPECT_EQ(before.snapshot_bytes, 5 * kExtentSize);
  EXPECT_EQ(before.shared_bytes, 0u);
  ASSERT_TRUE(f.delete_snapshot(v, SnapshotId(1)));
  ASSERT_TRUE(f.delete_snapshot(v, SnapshotId(2)));
  ASSERT_TRUE(f.flush(v));
  EXPECT_EQ(v->usage().used_bytes, before.used_bytes - before.reclaimable_bytes);
  EXPECT_EQ(f.pool().stats().used_bytes, v->usage().used_bytes);
  EXPECT_EQ(f.read(v, {40, 2}), (Values{3, 4}));
  EXPECT_EQ(f.read(v, {64, 1}), Values{0});
}

TEST_F(ReplicaStoreTest, SharedIsWhatAClonesReadsNeed) {
  ASSERT_TRUE(f.write(v, 0, Values(64, 1)));
  freeze(1);
  ASSERT_TRUE(f.write(v, 0, {2}));
  auto clone = f.loop().wait(f.pool().clone(VolumeId(200), VolumeId(kVolume), SnapshotId(1)));
  ASSERT_TRUE(clone);
  EXPECT_EQ(v->usage().shared_bytes, 2 * kExtentSize);
  EXPECT_EQ(v->usage().reclaimable_bytes, 0u);
  EXPECT_EQ((*clone)->usage().used_bytes, 0u);
  ASSERT_TRUE(f.write(*clone, 1, {9}));
  EXPECT_EQ(f.read(*clone, {0, 3}), (Values{1, 9, 1}));
  EXPECT_EQ(f.read(v, {0, 3}), (Values{2, 1, 1}));
  EXPECT_EQ((*clone)->usage().used_bytes, kExtentSize);
  ASSERT_TRUE(f.loop().wait(f.pool().remove(VolumeId(200))));
  ASSERT_TRUE(f.delete_snapshot(v, SnapshotId(1)));
  EXPECT_EQ(f.read(v, {0, 3}), (Values{2, 1, 1}));
}

TEST_F(ReplicaStoreTest, DiscardFreesAndRemovalFreesAll) {
  ASSERT_TRUE(f.write(v, 0, Values(320, 1)));
  EXPECT_EQ(f.pool().stats().used_bytes, 10 * kExtentSize);
  ASSERT_TRUE(f.zero(v, {0, 100000}));
  ASSERT_TRUE(f.flush(v));
  EXPECT_EQ(f.pool().stats().used_bytes, 0u);
  ASSERT_TRUE(f.write(v, 0, Values(320, 1)));
  freeze(1);
  ASSERT_TRUE(f.write(v, 0, Values(320, 2)));
  ASSERT_TRUE(f.loop().wait(f.pool().remove(VolumeId(kVolume))));
  EXPECT_EQ(f.pool().stats().used_bytes, 0u);
  EXPECT_EQ(f.pool().find(VolumeId(kVolume)), nullptr);
}

// --- layers

TEST_F(ReplicaStoreTest, HundredsOfSnapshotsReadBack) {
  for (uint64_t i = 1; i <= 300; ++i) {
    ASSERT_TRUE(f.write(v, i % 50, {i}));
    freeze(i);
  }
  EXPECT_EQ(v->snapshots().size(), 300u);
  for (uint64_t i = 50; i <= 300; i += 50) {
    Values seen = f.read(v, {0, 50}, View{SnapshotId(i)});
    for (uint64_t block = 0; block < 50; ++block) {
      EXPECT_EQ(seen[block], block == 0 ? i : i - 50 + block);
    }
  }
  f.power_loss(sim::lose_all());
  reopen();
  EXPECT_EQ(v->snapshots().size(), 300u);
  for (uint64_t i = 2; i <= 300; i += 2) {
    ASSERT_TRUE(f.delete_snapshot(v, SnapshotId(i)));
  }
  EXPECT_EQ(f.read(v, {1, 1}, View{SnapshotId(51)}), Values{51});
  EXPECT_EQ(f.read(v, {49, 1}), Values{299});
}

TEST_F(ReplicaStoreTest, ADeletionReturnsBeforeItsLayerIsMerged) {
  ASSERT_TRUE(f.write(v, 0, Values(320, 1)));  // 10 extents
  freeze(1);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(f.write(v, i * kBlocksPerExtent, {2}));
  ASSERT_TRUE(f.loop().wait(v->delete_snapshot(SnapshotId(1))));
  EXPECT_THAT(v->snapshots(), IsEmpty());
  EXPECT_EQ(v->usage().used_bytes, 20 * kExtentSize);
  EXPECT_EQ(v->usage().reclaimable_bytes, 10 * kExtentSize);
  ASSERT_TRUE(f.loop().wait(v->freeze(SnapshotId(1)))) << "its id is free at once";
  ASSERT_TRUE(f.loop().wait(v->delete_snapshot(SnapshotId(1)))) << "beside the first one";
  f.loop().run();
  EXPECT_EQ(v->usage().used_bytes, 10 * kExtentSize);
  EXPECT_EQ(v->usage().reclaimable_bytes, 0u);
  EXPECT_EQ(f.read(v, {0, 2}), (Values{2, 1}));
}

// Blocks of the upper layer are copied over those that they hide in the lower one.
TEST_F(ReplicaStoreTest, AReadOfASnapshotEndsAsItBeganWhateverIsDeleted) {
  ASSERT_TRUE(f.write(v, 0, Values(32, 1)));
  freeze(1);
  ASSERT_TRUE(f.write(v, 0, {2}));
  auto read = [](ReplicaStore& store, MutableBuffer into, bool& done) -> io::Task<void> {
    auto got = co_await store.read(View{SnapshotId(1)}, {0, 1}, into);
    EXPECT_TRUE(got);
    done = true;
  };
  AlignedBuffer data(kBlockSize);
  bool done = false;
  f.disk().faults().latency_min = f.disk().faults().latency_max = 10s;
  uint64_t before = f.disk().counts().reads;
  f.loop().spawn(read(*v, data.span(), done));
  while (f.disk().counts().reads == before) ASSERT_TRUE(f.loop().step());
  f.disk().faults().latency_min = f.disk().faults().latency_max = 100us;
  ASSERT_TRUE(f.loop().wait(v->delete_snapshot(SnapshotId(1))));
  f.loop().run();
  ASSERT_TRUE(done);
  EXPECT_EQ(testing::block_value(data.span()), 1u);
  EXPECT_EQ(f.read(v, {0, 2}), (Values{2, 1}));
}

TEST_F(ReplicaStoreTest, RestoreKeepsNewerSnapshots) {
  ASSERT_TRUE(f.write(v, 0, {1}));
  freeze(1);
  ASSERT_TRUE(f.write(v, 0, {2}));
  freeze(2);
  ASSERT_TRUE(f.write(v, 0, {3}));
  ASSERT_TRUE(f.loop().wait(v->restore(SnapshotId(1))));
  EXPECT_EQ(f.read(v, {0, 1}), Values{1});
  EXPECT_EQ(f.read(v, {0, 1}, View{SnapshotId(2)}), Values{2});
  EXPECT_THAT(v->snapshots(), ElementsAre(SnapshotId(1), SnapshotId(2)));
  // Two states are based on the first: it goes out of sight now, and away with the other one.
  ASSERT_TRUE(f.delete_snapshot(v, SnapshotId(1)));
  EXPECT_THAT(v->snapshots(), ElementsAre(SnapshotId(2)));
  EXPECT_EQ(f.read(v, {0, 1}), Values{1});
  ASSERT_TRUE(f.delete_snapshot(v, SnapshotId(2)));
  ASSERT_TRUE(f.loop().wait(f.pool().tick()));
  f.loop().run();
  ASSERT_TRUE(f.flush(v));
  EXPECT_EQ(v->usage().used_bytes, kExtentSize);
  EXPECT_EQ(f.read(v, {0, 1}), Values{1});
}

TEST_F(ReplicaStoreTest, GrowsAndKeepsItsData) {
  ASSERT_TRUE(f.write(v, 99999, {1}));
  ASSERT_TRUE(f.loop().wait(v->resize(200000)));
  EXPECT_EQ(f.read(v, {99999, 2}), (Values{1, 0}));
  ASSERT_TRUE(f.write(v, 199999, {2}, 1, 3));
  EXPECT_THAT(
      v->dirty_regions(Generation(3)),
      ElementsAre(core::DirtyRegion{199999 / kBlocksPerRegion,
                                    core::pieces_in(199999 / kBlocksPerRegion, {199999, 1})}));
}

// --- changed blocks

Values changed_blocks(ReplicaStore* v, View view, std::optional<View> base, uint32_t count_max) {
  Values blocks;
  for (uint64_t from = 0;;) {
    BlockRange run = v->next_changed(view, base, from, count_max).value();
    if (run.count == 0) return blocks;
    EXPECT_GE(run.first, from);
    EXPECT_LE(run.count, count_max);
    for (uint64_t block = run.first; block < run.end(); ++block) blocks.push_back(block);
    from = run.end();
  }
}

TEST_F(ReplicaStoreTest, NextChangedFindsWhatALayerSays) {
  ASSERT_TRUE(f.write(v, 10, {1, 2}));
  ASSERT_TRUE(f.write(v, 31, {1, 2}));
  ASSERT_TRUE(f.write(v, 90000, {3}));
  freeze(1);
  ASSERT_TRUE(f.write(v, 11, {4, 5}));
  ASSERT_TRUE(f.zero(v, {31, 1}));
  for (uint32_t count_max : {1u, 3u, 1000u}) {
    EXPECT_EQ(changed_blocks(v, View{SnapshotId(1)}, std::nullopt, count_max),
              (Values{10, 11, 31, 32, 90000}));
    EXPECT_EQ(changed_blocks(v, View::top(), std::nullopt, count_max),
              (Values{10, 11, 12, 32, 90000}));
    EXPECT_EQ(changed_blocks(v, View::top(), View{SnapshotId(1)}, count_max), (Values{11, 12, 31}));
  }
}

TEST_F(ReplicaStoreTest, NextChangedJoinsRunsOverExtents) {
  ASSERT_TRUE(f.write(v, 20, Values(100, 7)));
  EXPECT_EQ(v->next_changed(View::top(), std::nullopt, 0, 1000), (BlockRange{20, 100}));
  EXPECT_EQ(v->next_changed(View::top(), std::nullopt, 25, 50), (BlockRange{25, 50}));
  EXPECT_EQ(v->next_changed(View::top(), std::nullopt, 120, 50)->count, 0u);
  // "Nothing has changed" would leave out what a copy of a snapshot needs.
  Result<BlockRange> unknown = v->next_changed(View{SnapshotId(9)}, std::nullopt, 0, 50);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kNotFound);
  EXPECT_FALSE(v->next_changed(View::top(), View{SnapshotId(9)}, 0, 50));
}

// --- intents and dirty regions

TEST_F(ReplicaStoreTest, IntentsCoverWritesAndGoWhenIdle) {
  ASSERT_TRUE(f.write(v, 0, {1}, 1));
  ASSERT_TRUE(f.write(v, 5 * kBlocksPerZone, {2}, 2));
  EXPECT_EQ(v->intent_regions().size(), 32u);
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(f.loop().wait(f.pool().tick()));
  EXPECT_EQ(v->intent_regions().size(), 32u) << "the writes may not be everywhere yet";
  v->known_everywhere(Seq(2));
  ASSERT_TRUE(f.write(v, 0, {3}));
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(f.loop().wait(f.pool().tick()));
  EXPECT_THAT(v->intent_regions(), IsEmpty());
  f.power_loss(sim::lose_all());
  reopen();
  EXPECT_THAT(v->intent_regions(), IsEmpty());
  EXPECT_FALSE(v->recent_lost());
  EXPECT_EQ(f.read(v, {0, 1}), Values{3});
}

// Its zone was open when the write began and idle for long; while the write waited for a merge the
// intent was cleared, and after a power loss nobody compared what it wrote.
TEST_F(ReplicaStoreTest, AnIntentStaysForAWriteThatWaits) {
  ASSERT_TRUE(f.write(v, 0, {1}));
  freeze(1);
  ASSERT_TRUE(f.write(v, 1, {2}));
  for (int i = 0; i < 13; ++i) ASSERT_TRUE(f.loop().wait(f.pool().tick()));
  ASSERT_EQ(v->intent_regions().size(), 16u);
  auto merge = [](ReplicaStore& store) -> io::Task<void> {
    auto merged = co_await store.delete_snapshot(SnapshotId(1));
    EXPECT_TRUE(merged);
  };
  auto write = [](ReplicaStore& store, ConstBuffer data, bool& done) -> io::Task<void> {
    auto written = co_await store.write({{2, 1}, Generation(3), Seq(9)}, data);
    EXPECT_TRUE(written);
    done = true;
  };
  f.disk().faults().latency_min = f.disk().faults().latency_max = 10s;
  f.loop().spawn(merge(*v));
  f.loop().run_until(f.loop().now() + 12s);
  f.disk().faults().latency_min = f.disk().faults().latency_max = 100us;
  AlignedBuffer data = testing::blocks_of({3});
  bool done = false;
  f.loop().spawn(write(*v, data.span(), done));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(f.loop().wait(f.pool().tick()));
  ASSERT_FALSE(done) << "the merge has the extent";
  EXPECT_EQ(v->intent_regions().size(), 16u);
  f.loop().run();
  ASSERT_TRUE(done);
  f.power_loss(sim::keep_all());
  reopen();
  EXPECT_EQ(v->intent_regions().size(), 16u);
  EXPECT_TRUE(v->recent_lost());
}

// Seed 750317: a write whose piece the map had listed already left no trace in the scratch log, and
// a restart that found only stamps in the catalog did not know the piece any more.
TEST_F(ReplicaStoreTest, AKilledProcessLosesNoPieceOfItsDirtyMap) {
  ASSERT_TRUE(f.write(v, 0, {1}, 1, 1));
  ASSERT_TRUE(f.write(v, 4, {2}, 2, 2));
  ASSERT_TRUE(f.loop().wait(v->set_record("r"))) << "writes the catalog";
  ASSERT_TRUE(f.write(v, 8, {3}, 3, 3));
  ASSERT_TRUE(f.write(v, 4, {4}, 4, 3));
  f.kill(sim::keep_all());
  reopen();
  std::vector<core::DirtyRegion> dirty = v->dirty_regions(Generation(3));
  ASSERT_EQ(dirty.size(), 1u);
  EXPECT_EQ(dirty[0].pieces & 0b110, 0b110u);
}

TEST_F(ReplicaStoreTest, PowerLossMakesOpenZonesDirtyForEveryQuestion) {
  ASSERT_TRUE(f.write(v, 0, {1}, 1, 5));
  f.power_loss(sim::keep_all());
  reopen();
  EXPECT_EQ(v->dirty_regions(Generation(1000)).size(), 16u);
  v->set_generation(Generation(9));
  v->forget_dirty(Generation(9));
  EXPECT_EQ(v->dirty_regions(Generation(1000)).size(), 16u);
  v->forget_dirty(Generation(10));
  EXPECT_THAT(v->dirty_regions(Generation(0)), IsEmpty());
}

TEST_F(ReplicaStoreTest, DirtyRegionsSurviveTheProcessExactly) {
  using core::DirtyRegion;
  ASSERT_TRUE(f.write(v, 0, {1}, 1, 5));
  ASSERT_TRUE(f.write(v, 7, {1, 1}, 1, 6));
  ASSERT_TRUE(f.write(v, 3 * kBlocksPerRegion, {1}, 2, 6));
  f.kill(sim::lose_all());
  reopen();
  EXPECT_THAT(v->dirty_regions(Generation(5)),
              ElementsAre(DirtyRegion{0, 0b111}, DirtyRegion{3, 1}));
  EXPECT_THAT(v->dirty_regions(Generation(6)),
              ElementsAre(DirtyRegion{0, 0b110}, DirtyRegion{3, 1}));
  EXPECT_THAT(v->dirty_regions(Generation(6), 1), ElementsAre(DirtyRegion{3, 1}));
  EXPECT_EQ(v->generation(), Generation(6));
}

// The catalog has only stamps: whole regions, until they are written again.
TEST_F(ReplicaStoreTest, DirtyRegionsOfTheCatalogAreWhole) {
  using core::DirtyRegion;
  ASSERT_TRUE(f.write(v, 0, {1}, 1, 6));
  ASSERT_TRUE(f.close());
  reopen();
  EXPECT_THAT(v->dirty_regions(Generation(6)), ElementsAre(DirtyRegion{0, core::kAllPieces}));
  ASSERT_TRUE(f.write(v, 4, {1}, 2, 7));
  f.kill(sim::lose_all());
  reopen();
  EXPECT_THAT(v->dirty_regions(Generation(6)), ElementsAre(DirtyRegion{0, core::kAllPieces}));
  EXPECT_THAT(v->dirty_regions(Generation(7)), ElementsAre(DirtyRegion{0, 0b10}));
}

TEST_F(ReplicaStoreTest, RecentWritesSurviveRestartsUntilTheyAreEverywhere) {
  ASSERT_TRUE(f.write(v, 0, {1}, 1));
  ASSERT_TRUE(f.write(v, 1, {1}, 2));
  v->known_everywhere(Seq(1));
  for (int i = 0; i < 3; ++i) {
    f.kill(sim::lose_all());
    reopen();
    EXPECT_THAT(v->recent(), ElementsAre(core::RecentWrite{Seq(2), {1, 1}}));
  }
  ASSERT_TRUE(f.loop().wait(v->set_epoch(Epoch(2))));
  ASSERT_TRUE(f.write(v, 2, {1}, 1));
  EXPECT_EQ(v->recent().size(), 2u);
  v->clear_recent();
  f.kill(sim::lose_all());
  reopen();
  EXPECT_THAT(v->recent(), IsEmpty());
  EXPECT_FALSE(v->recent_lost());
}

TEST_F(ReplicaStoreTest, ALostListStaysLostUntilItIsCleared) {
  ASSERT_TRUE(f.write(v, 0, {1}, 1));
  f.power_loss(sim::keep_all());
  reopen();
  EXPECT_TRUE(v->recent_lost());
  f.kill(sim::keep_all());
  reopen();
  EXPECT_TRUE(v->recent_lost());
  ASSERT_TRUE(f.close());
  reopen();
  EXPECT_TRUE(v->recent_lost());
  v->clear_recent();
  ASSERT_TRUE(f.close());
  reopen();
  EXPECT_FALSE(v->recent_lost());
}

// --- reuse

io::Task<void> read_one(ReplicaStore* store, AlignedBuffer& into, bool& done) {
  Result<void> read = co_await store->read(View::top(), {0, 1}, into.span());
  EXPECT_TRUE(read);
  done = true;
}

// No volume ever sees another's data, also not by a read that was slow.
TEST_F(ReplicaStoreTest, AFreedExtentIsNotUsedAgainUnderARead) {
  ReplicaStore* other = f.create(200, 100000);
  f.disk().faults().fail = [](sim::DiskOp op, uint64_t, uint64_t) {
    return op == sim::DiskOp::kGrow;
  };
  ASSERT_TRUE(f.write(v, 0, {1}));
  ASSERT_TRUE(f.flush(v));
  f.disk().faults().latency_min = f.disk().faults().latency_max = 1s;
  AlignedBuffer data(kBlockSize);
  bool done = false;
  f.loop().spawn(read_one(v, data, done));
  f.disk().faults().latency_min = f.disk().faults().latency_max = 20us;
  ASSERT_TRUE(f.zero(v, {0, 1}));
  ASSERT_TRUE(f.flush(v));
  // Everything that can be allocated is.
  for (uint64_t block = 0; f.pool().stats().free_bytes > 0 && !done; block += kBlocksPerExtent) {
    if (!f.write(other, block, {77})) break;
  }
  f.loop().run();
  ASSERT_TRUE(done);
  EXPECT_EQ(testing::block_value(data.span()), 1u);
}

TEST_F(ReplicaStoreTest, UnflushedWritesOutliveManyRefillsOfTheScratchLog) {
  ASSERT_TRUE(f.write(v, 0, {1}));
  ASSERT_TRUE(f.flush(v));
  ASSERT_TRUE(f.write(v, 0, {2}));
  ASSERT_TRUE(f.write(v, 100, {3}, 1));
  for (uint64_t seq = 2; seq < 40000; ++seq) {
    WriteAt at{{0, 1}, Generation(1), Seq(seq)};
    ASSERT_TRUE(f.loop().wait(v->write(at, testing::blocks_of({seq}).span())));
    v->known_everywhere(Seq(seq));
  }
  f.kill(sim::lose_all());
  reopen();
  EXPECT_EQ(f.read(v, {100, 1}), Values{3});
  EXPECT_EQ(f.read(v, {0, 1}), Values{39999});
  EXPECT_THAT(v->recent(), IsEmpty());
}

// --- cost

TEST_F(ReplicaStoreTest, AnOverwriteInPlaceIsOneDeviceWrite) {
  ASSERT_TRUE(f.write(v, 0, Values(64, 1)));
  ASSERT_TRUE(f.flush(v));
  ASSERT_TRUE(f.write(v, 0, {2}));  // the first one marks the batch
  uint64_t before = f.disk().counts().writes;
  for (uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(f.write(v, i, {i + 5}));
  EXPECT_EQ(f.disk().counts().writes - before, 50u);
  uint64_t flushed = f.disk().counts().writes;
  ASSERT_TRUE(f.flush(v));
  EXPECT_EQ(f.disk().counts().writes, flushed) << "no metadata, no journal";
}

TEST_F(ReplicaStoreTest, ASequentialWriteIsOneDeviceWrite) {
  ASSERT_TRUE(f.write(v, 0, {1}));
  uint64_t before = f.disk().counts().writes;
  ASSERT_TRUE(f.write(v, 320, Values(256, 1)));
  EXPECT_EQ(f.disk().counts().writes - before, 1u);
}

io::Task<void> flush_one(ReplicaStore* store, size_t& done) {
  Result<void> flushed = co_await store->flush();
  EXPECT_TRUE(flushed);
  ++done;
}

TEST_F(ReplicaStoreTest, OneFlushServesAllWhoWait) {
  ASSERT_TRUE(f.write(v, 0, {1}));
  uint64_t before = f.disk().counts().flushes;
  size_t done = 0;
  for (int i = 0; i < 20; ++i) f.loop().spawn(flush_one(v, done));
  f.loop().run();
  EXPECT_EQ(done, 20u);
  EXPECT_LE(f.disk().counts().flushes - before, 2u);
  ASSERT_TRUE(f.flush(v));
  EXPECT_LE(f.disk().counts().flushes - before, 2u) << "nothing to flush";
}

io::Task<void> write_one(ReplicaStore* store, uint64_t block, size_t& done) {
  AlignedBuffer data = testing::blocks_of({block + 1});
  WriteAt at{{block, 1}, Generation(1), Seq(0)};
  Result<void> written = co_await store->write(at, data.span());
  EXPECT_TRUE(written) << to_string(written.error());
  ++done;
}

// Far more new extents than the journal can take at once: writers wait for flush and checkpoint.
// Regression: the flush that the journal begins by itself sealed a slot in the middle of its
// change.
TEST_F(ReplicaStoreTest, AFullJournalMakesWritersWaitNotFail) {
  size_t done = 0;
  for (uint64_t i = 0; i < 1000; ++i) f.loop().spawn(write_one(v, i * kBlocksPerExtent, done));
  f.loop().run();
  EXPECT_EQ(done, 1000u);
  EXPECT_LE(f.pool().stats().journal_used_bytes, f.pool().stats().journal_bytes);
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(f.read(v, {i * kBlocksPerExtent, 1}), Values{i * kBlocksPerExtent + 1});
  }
  f.kill(sim::lose_all());
  reopen();
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(f.read(v, {i * kBlocksPerExtent, 1}), Values{i * kBlocksPerExtent + 1});
  }
}

TEST_F(ReplicaStoreTest, ManyZonesShareAJournalWrite) {
  uint64_t before = f.disk().counts().writes;
  size_t done = 0;
  for (uint64_t i = 0; i < 20; ++i) f.loop().spawn(write_one(v, i * kBlocksPerZone, done));
  f.loop().run();
  EXPECT_EQ(done, 20u);
  EXPECT_LE(f.disk().counts().writes - before, 20u + 3u);
}

}  // namespace
}  // namespace cleat::store
