// Short histories, crashed at every event of the disk with every subset of the unflushed writes
// kept.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "store/testing/store_model.h"

namespace cleat::store {
namespace {

using testing::BlockModel;
using testing::check_and_adopt;
using testing::CrashKind;
using testing::FixtureOptions;
using testing::PoolFixture;
using testing::StoreModel;
using testing::uniform;
using testing::VolumeModel;

constexpr uint64_t kVolume = 1;
constexpr size_t kSubsetWritesMax = 8;

class History {
 public:
  History() : fixture_(FixtureOptions{}) {
    fixture_.must_open();
    fixture_.create(kVolume, 96);
    v().top.resize(96);
    fixture_.disk().observe([this] { crash_everywhere(); });
  }
  ~History() { EXPECT_GT(crashes_, 10u); }

  void write(uint64_t first, uint32_t count) {
    std::vector<uint64_t> values;
    for (uint32_t i = 0; i < count; ++i) values.push_back(++last_value_);
    change({first, count}, values, fixture_.loop().wait(write_task(first, values)));
  }
  void zero(uint64_t first, uint32_t count) {
    std::vector<uint64_t> zeros(count, 0);
    begin({first, count}, zeros);
    Result<void> done = fixture_.zero(store(), {first, count}, ++seq_);
    change({first, count}, zeros, done);
  }
  void flush() {
    uint64_t begun = ++model_.now;
    ASSERT_TRUE(fixture_.flush(store()));
    for (BlockModel& block : v().top) block.flushed(begun);
  }
  void freeze(uint64_t id) {
    v().freezing = id;
    uint64_t begun = ++model_.now;
    ASSERT_TRUE(fixture_.loop().wait(store()->freeze(SnapshotId(id))));
    v().freezing = 0;
    v().snapshots[id] = v().contents();
    for (BlockModel& block : v().top) block.flushed(begun);
  }
  void delete_snapshot(uint64_t id) {
    v().deleting = id;
    ASSERT_TRUE(fixture_.loop().wait(store()->delete_snapshot(SnapshotId(id))));
    v().deleting = 0;
    v().snapshots.erase(id);
    fixture_.loop().run();  // its layer is merged
  }
  // Something is written while the deletion is `steps` steps of the loop old.
  void delete_snapshot_and_write(uint64_t id, int steps, uint64_t first, uint32_t count) {
    v().deleting = id;
    bool done = false;
    fixture_.loop().spawn(delete_task(id, done));
    for (; steps > 0; --steps) fixture_.loop().step();
    write(first, count);
    flush();
    fixture_.loop().run();
    ASSERT_TRUE(done);
    v().deleting = 0;
    v().snapshots.erase(id);
  }
  void restore(uint64_t id) {
    v().restoring = id;
    ASSERT_TRUE(fixture_.loop().wait(store()->restore(SnapshotId(id))));
    v().restoring = 0;
    for (size_t i = 0; i < v().top.size(); ++i) v().top[i].reset(v().snapshots.at(id)[i]);
  }
  void tick() { ASSERT_TRUE(fixture_.loop().wait(fixture_.pool().tick())); }

 private:
  VolumeModel& v() { return model_.volumes[kVolume]; }
  ReplicaStore* store() { return fixture_.pool().find(VolumeId(kVolume)); }

  io::Task<Result<void>> write_task(uint64_t first, const std::vector<uint64_t>& values) {
    BlockRange range{first, static_cast<uint32_t>(values.size())};
    begin(range, values);
    AlignedBuffer data = testing::blocks_of(values);
    WriteAt at{range, Generation(1), Seq(++seq_)};
    Result<void> done = co_await store()->write(at, data.span());
    co_return done;
  }
  io::Task<void> delete_task(uint64_t id, bool& done) {
    Result<void> deleted = co_await store()->delete_snapshot(SnapshotId(id));
    EXPECT_TRUE(deleted);
    done = true;
  }
  void begin(BlockRange range, const std::vector<uint64_t>& values) {
    ++model_.now;
    for (uint32_t i = 0; i < range.count; ++i) {
      v().top[range.first + i].begin(uniform(values[i]), model_.now);
    }
  }
  void change(BlockRange range, const std::vector<uint64_t>&, const Result<void>& done) {
    ASSERT_TRUE(done) << to_string(done.error());
    ++model_.now;
    for (uint32_t i = 0; i < range.count; ++i) v().top[range.first + i].end(model_.now);
  }

  void crash_everywhere() {
    size_t count = fixture_.medium()->unflushed_count();
    uint64_t subsets = uint64_t{1} << std::min(count, kSubsetWritesMax);
    for (uint64_t mask = 0; mask < subsets; ++mask) {
      // Beyond the first few writes, the rest shares its fate with the highest bit.
      uint64_t extended = (mask >> (kSubsetWritesMax - 1) & 1) != 0 ? mask | ~uint64_t{0xff} : mask;
      crash(CrashKind::kPower, sim::keep_writes(extended));
    }
    crash(CrashKind::kPower, sim::keep_random(++crashes_));
    crash(CrashKind::kProcess, sim::lose_all());
    crash(CrashKind::kProcess, sim::keep_all());
  }

  void crash(CrashKind kind, const sim::CrashPolicy& policy) {
    if (::testing::Test::HasFailure()) return;
    ++crashes_;
    auto medium = std::make_shared<sim::Medium>(*fixture_.medium());
    std::vector<std::byte> scratch = fixture_.scratch()->contents();
    if (kind == CrashKind::kPower) {
      medium->crash(policy);
      std::fill(scratch.begin(), scratch.end(), std::byte{0});
    } else {
      medium->kill_process(policy);
    }
    PoolFixture copy(fixture_.options(), medium, scratch);
    Result<void> opened = copy.open();
    ASSERT_TRUE(opened) << to_string(opened.error());
    StoreModel model = model_;
    check_and_adopt(copy, model, kind);
  }

  PoolFixture fixture_;
  StoreModel model_;
  uint64_t last_value_ = 0;
  uint64_t seq_ = 0;
  uint64_t crashes_ = 0;
};

TEST(ExhaustiveCrash, NewBlocksAndTheirFlush) {
  History h;
  h.write(0, 2);
  h.write(40, 1);
  h.flush();
  h.write(1, 3);
  h.flush();
}

// A block whose flush completed is overwritten while only its check proves it.
TEST(ExhaustiveCrash, OverwriteRightAfterTheFlushThatMadeItValid) {
  History h;
  h.write(0, 2);
  h.flush();
  h.write(0, 1);
  h.write(0, 1);
  h.flush();
  h.write(1, 1);
}

TEST(ExhaustiveCrash, OverwriteOfAnUnflushedBlock) {
  History h;
  h.write(5, 1);
  h.write(5, 1);
  h.flush();
  h.write(5, 1);
}

// The block falls back to its last flushed data or zeros, never to what lies below it.
TEST(ExhaustiveCrash, ZeroAndRewriteOverASnapshot) {
  History h;
  h.write(0, 4);
  h.freeze(50);
  h.write(0, 3);
  h.flush();
  h.zero(0, 2);
  h.write(0, 1);
  h.flush();
  h.zero(2, 2);
  h.write(3, 1);
}

TEST(ExhaustiveCrash, ZeroOfAWholeExtentThenAnother) {
  History h;
  h.write(0, 32);
  h.flush();
  h.zero(0, 32);
  h.write(3, 1);
  h.flush();
  h.zero(0, 32);
  h.flush();
  h.write(64, 2);  // may get the freed extent
  h.flush();
}

TEST(ExhaustiveCrash, SnapshotDeletionWithExtentsInBothLayers) {
  History h;
  h.write(0, 40);
  h.freeze(50);
  h.write(0, 1);    // few blocks above: they move down
  h.write(33, 20);  // many blocks above: the rest moves up
  h.delete_snapshot(50);
  h.write(2, 1);
  h.flush();
}

TEST(ExhaustiveCrash, SnapshotDeletionWithHoles) {
  History h;
  h.write(0, 3);
  h.freeze(50);
  h.zero(1, 1);
  h.freeze(51);
  h.write(0, 1);
  h.delete_snapshot(51);
  h.delete_snapshot(50);
  h.flush();
}

// Regression: a block hidden by a hole, of an extent that a merge has just moved up, was written
// without a check, and after a crash read as it had before it was zeroed.
TEST(ExhaustiveCrash, WriteBesideSnapshotDeletion) {
  for (int steps = 0; steps < 40 && !::testing::Test::HasFailure(); ++steps) {
    History h;
    h.write(0, 64);
    h.freeze(50);
    h.zero(0, 2);
    h.write(32, 1);
    h.flush();
    h.delete_snapshot_and_write(50, steps, 1, 1);
  }
}

TEST(ExhaustiveCrash, Restore) {
  History h;
  h.write(0, 3);
  h.freeze(50);
  h.write(1, 33);
  h.flush();
  h.restore(50);
  h.write(2, 1);
  h.flush();
}

TEST(ExhaustiveCrash, Ticks) {
  History h;
  h.write(0, 2);
  for (int i = 0; i < 40; ++i) h.tick();
  h.write(1, 2);
}

}  // namespace
}  // namespace cleat::store
