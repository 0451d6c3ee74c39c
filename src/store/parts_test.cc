// The small parts, each alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/random.h"
#include "sim/simulated_loop.h"
#include "sim/simulated_scratch.h"
#include "store/allocator.h"
#include "store/async_mutex.h"
#include "store/intent_map.h"
#include "store/layer_tree.h"
#include "store/read_tracker.h"
#include "store/recent_list.h"
#include "store/scratch_log.h"

namespace cleat::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Allocator, GivesEachFreeSlotOnceAndNeighboursInTurn) {
  Allocator a(100, 200);
  EXPECT_FALSE(a.allocate());
  for (uint32_t slot = 100; slot < 300; ++slot) a.release(slot);
  std::set<uint32_t> given;
  for (uint32_t i = 0; i < 200; ++i) {
    auto slot = a.allocate();
    ASSERT_TRUE(slot);
    EXPECT_EQ(*slot, 100 + i);
    given.insert(*slot);
  }
  EXPECT_EQ(given.size(), 200u);
  EXPECT_FALSE(a.allocate());
  a.release(150);
  EXPECT_TRUE(a.is_free(150));
  EXPECT_EQ(*a.allocate(), 150u);
}

// A snapshot waited, with the volume's writes held, for all of a deletion's many steps.
TEST(AsyncMutex, WhoLocksAgainAndAgainLeavesOthersTheirTurn) {
  sim::SimulatedLoop loop(7);
  AsyncMutex mutex(loop);
  int steps = 0;
  int steps_before = -1;
  auto many = [](AsyncMutex& at, sim::SimulatedLoop& on, int& done) -> io::Task<void> {
    for (int i = 0; i < 100; ++i) {
      co_await at.lock();
      AsyncMutex::Guard guard(at);
      co_await on.sleep(Duration(1000));
      ++done;
    }
  };
  auto once = [](AsyncMutex& at, int& done, int& seen) -> io::Task<void> {
    co_await at.lock();
    AsyncMutex::Guard guard(at);
    seen = done;
  };
  loop.spawn(many(mutex, loop, steps));
  loop.spawn(once(mutex, steps, steps_before));
  loop.run();
  EXPECT_EQ(steps, 100);
  EXPECT_LE(steps_before, 1);
  loop.spawn(once(mutex, steps, steps_before));
  loop.run();
  EXPECT_EQ(steps_before, 100) << "it is free again";
}

TEST(SlotIndex, BehavesLikeAMap) {
  SlotIndex index;
  std::map<uint32_t, uint32_t> model;
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    auto logical = static_cast<uint32_t>(random.below(1000));
    if (random.chance(0.4)) {
      index.set(logical, kNoSlot);
      model.erase(logical);
    } else {
      auto slot = static_cast<uint32_t>(random.below(5000));
      index.set(logical, slot);
      model[logical] = slot;
    }
  }
  EXPECT_EQ(index.count(), model.size());
  for (uint32_t logical = 0; logical < 1000; ++logical) {
    auto found = model.find(logical);
    EXPECT_EQ(index.find(logical), found == model.end() ? kNoSlot : found->second);
  }
  EXPECT_EQ(index.some(10).size(), 10u);
}

TEST(IntentMap, IsIdleAfterThreeTicksWithoutWork) {
  IntentMap map(10 * kBlocksPerZone);
  map.open(2);
  map.open(5);
  EXPECT_TRUE(map.covers({2 * kBlocksPerZone, kBlocksPerZone}));
  EXPECT_FALSE(map.covers({2 * kBlocksPerZone, kBlocksPerZone + 1}));
  EXPECT_THAT(map.tick(), IsEmpty());
  EXPECT_THAT(map.tick(), IsEmpty());
  map.touch({5 * kBlocksPerZone, 1});
  EXPECT_THAT(map.tick(), ElementsAre(2u));
  map.clear(2);
  EXPECT_EQ(map.runs(100), (std::vector<ZoneRun>{{5, 1}}));
  map.clear(5);
  EXPECT_TRUE(map.empty());
}

TEST(IntentMap, JoinsOverGapsRatherThanForget) {
  IntentMap map(100 * kBlocksPerZone);
  for (uint32_t zone = 0; zone < 100; zone += 10) map.open(zone);
  auto runs = map.runs(3);
  EXPECT_LE(runs.size(), 3u);
  for (uint32_t zone = 0; zone < 100; zone += 10) {
    bool covered = false;
    for (const ZoneRun& run : runs) covered |= zone >= run.first && zone < run.first + run.count;
    EXPECT_TRUE(covered) << zone;
  }
}

TEST(RecentList, ForgetsWhatIsEverywhereAlsoOutOfOrder) {
  RecentList list;
  list.add({Seq(2), {0, 1}});
  list.add({Seq(1), {1, 1}});
  list.add({Seq(3), {2, 1}});
  list.known_everywhere(Seq(1));
  EXPECT_EQ(list.list().size(), 2u);
  list.known_everywhere(Seq(2));
  EXPECT_THAT(list.list(), ElementsAre(core::RecentWrite{Seq(3), {2, 1}}));
  list.restart_numbers();
  list.add({Seq(1), {5, 1}});
  EXPECT_EQ(list.list().size(), 2u) << "a new epoch's first write is not taken for an old one";
}

TEST(ReadTracker, HoldsASlotUntilEarlierReadsEnd) {
  sim::SimulatedLoop loop(1);
  std::vector<uint32_t> released;
  ReadTracker reads(loop, [&](uint32_t slot) { released.push_back(slot); });
  reads.retire(1);
  EXPECT_THAT(released, ElementsAre(1u));
  uint64_t first = reads.begin();
  reads.retire(2);
  uint64_t second = reads.begin();
  reads.retire(3);
  EXPECT_THAT(released, ElementsAre(1u));
  reads.end(second);
  EXPECT_THAT(released, ElementsAre(1u)) << "the first read is older than both";
  reads.end(first);
  EXPECT_THAT(released, ElementsAre(1u, 2u, 3u));
  uint64_t third = reads.begin();
  bool drained = false;
  struct Waiter {
    static io::Task<void> run(ReadTracker& tracker, bool& done) {
      co_await tracker.drain();
      done = true;
    }
  };
  loop.spawn(Waiter::run(reads, drained));
  uint64_t later = reads.begin();
  loop.run();
  EXPECT_FALSE(drained);
  reads.end(third);
  loop.run();
  EXPECT_TRUE(drained) << "later reads don't matter";
  reads.end(later);
}

// --- scratch log

std::unique_ptr<sim::SimulatedScratch> area(std::vector<std::byte> bytes = {}) {
  if (bytes.empty()) bytes.resize(kScratchBytesMin);
  return std::make_unique<sim::SimulatedScratch>(std::move(bytes));
}

TEST(ScratchLog, GivesBackWhatItTookToTheRightOpenOnly) {
  auto memory = area();
  auto* raw = memory.get();
  ScratchLog log(std::move(memory));
  log.start(5, 1);
  log.slot(9, 3, {1, 2, 0xf0});
  log.recent(VolumeId(7), {Seq(4), {10, 20}});
  ScratchLog next(area(raw->contents()));
  auto records = next.load(5, 1);
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ((*records)[0].subject, 9u);
  EXPECT_EQ(scratch_slot((*records)[0]), 3u);
  EXPECT_EQ(scratch_slot_state((*records)[0]), (SlotState{1, 2, 0xf0}));
  EXPECT_EQ((*records)[1].count, 20u);
  EXPECT_FALSE(next.load(5, 2)) << "another open";
  EXPECT_FALSE(next.load(6, 1)) << "another pool";
}

TEST(ScratchLog, StartsOverWithTheLiveStateWhenFull) {
  auto memory = area();
  auto* raw = memory.get();
  ScratchLog log(std::move(memory));
  log.set_dump([&log] { log.slot(1, 77, {1, 1, 1}); });
  log.start(5, 1);
  for (uint32_t i = 0; i < 10 * log.half_records(); ++i) log.slot(2, i, {1, i, 1});
  EXPECT_GT(log.fills(), 9u);
  ScratchLog next(area(raw->contents()));
  auto records = next.load(5, 1);
  ASSERT_TRUE(records);
  EXPECT_EQ(scratch_slot(records->front()), 77u);
  EXPECT_EQ(scratch_slot(records->back()), 10 * log.half_records() - 1);
}

// Regression: after wipe() the fill count began anew, and the remains of an old fill passed their
// checks.
TEST(ScratchLog, NeverReadsTheRemainsOfAnEarlierOpen) {
  auto memory = area();
  auto* raw = memory.get();
  ScratchLog log(std::move(memory));
  log.start(5, 1);
  for (uint32_t i = 0; i < 100; ++i) log.slot(1, i, {1, i, 1});
  log.wipe();
  ScratchLog second(area(raw->contents()));
  second.start(5, 2);
  second.slot(1, 500, {1, 1, 1});
  // The second log writes to its own copy of the area.
  EXPECT_EQ(second.load(5, 2)->size(), 1u);
}

TEST(ScratchLog, AGroupCountsAllOrNotAtAll) {
  auto memory = area();
  auto* raw = memory.get();
  ScratchLog log(std::move(memory));
  log.start(5, 1);
  log.slot(1, 1, {});
  {
    ScratchLog::Group group(log);
    log.slot(1, 2, {});
    log.slot(1, 3, {});
    EXPECT_EQ(ScratchLog(area(raw->contents())).load(5, 1)->size(), 1u);
  }
  EXPECT_EQ(ScratchLog(area(raw->contents())).load(5, 1)->size(), 3u);
}

TEST(ScratchLog, ADamagedRecordEndsTheLog) {
  auto memory = area();
  auto* raw = memory.get();
  ScratchLog log(std::move(memory));
  log.start(5, 1);
  for (uint32_t i = 0; i < 10; ++i) log.slot(1, i, {1, i, 1});
  std::vector<std::byte> bytes = raw->contents();
  size_t header = 40;
  size_t base = bytes.size() / 2 / 64 * 64;  // the second half is the first in use
  bytes[base + header + 5 * sizeof(ScratchRecord) + 20] ^= std::byte{4};
  auto records = ScratchLog(area(bytes)).load(5, 1);
  ASSERT_TRUE(records);
  EXPECT_EQ(records->size(), 5u);
}

}  // namespace
}  // namespace cleat::store
