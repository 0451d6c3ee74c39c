#include "core/dirty_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "common/random.h"

namespace cleat::core {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The regions alone.
std::vector<uint64_t> regions_of(const DirtyMap& map, uint64_t generation) {
  std::vector<uint64_t> regions;
  for (const DirtyRegion& dirty : map.at_or_above(Generation(generation))) {
    regions.push_back(dirty.region);
  }
  return regions;
}

TEST(DirtyMap, AnswersByGeneration) {
  DirtyMap map(2000);
  EXPECT_TRUE(map.stamp(3, 1, Generation(5)));
  EXPECT_FALSE(map.stamp(3, 1, Generation(4))) << "a stamp never goes down";
  EXPECT_TRUE(map.stamp(1999, 1, Generation(7)));
  EXPECT_FALSE(map.stamp(2000, 1, Generation(7))) << "beyond the end";
  EXPECT_THAT(regions_of(map, 0), ElementsAre(3u, 1999u));
  EXPECT_THAT(regions_of(map, 6), ElementsAre(1999u));
  map.forget(Generation(7));
  EXPECT_THAT(regions_of(map, 0), ElementsAre(1999u));
}

TEST(DirtyMap, ListsInPages) {
  DirtyMap map(3000);
  for (uint64_t region : {1, 2, 700, 2999}) map.stamp(region, 1, Generation(5));
  EXPECT_THAT(map.at_or_above(Generation(5), 2, 2),
              ElementsAre(DirtyRegion{2, 1}, DirtyRegion{700, 1}));
  EXPECT_THAT(map.at_or_above(Generation(5), 701), ElementsAre(DirtyRegion{2999, 1}));
}

// What a resync asks for after an absence: exactly what was written since, not what was written in
// the same regions before.
TEST(DirtyMap, PiecesOfTheLastGenerationsAreExact) {
  DirtyMap map(10);
  map.stamp(1, 0b0001, Generation(5));
  map.stamp(1, 0b0010, Generation(6));
  EXPECT_EQ(map.pieces_of(1, Generation(6)), 0b0010u);
  EXPECT_EQ(map.pieces_of(1, Generation(5)), 0b0011u);
  map.stamp(1, 0b0100, Generation(7));
  EXPECT_EQ(map.pieces_of(1, Generation(7)), 0b0110u) << "no third set is kept";
  map.forget(Generation(6));
  map.stamp(1, 0b1000, Generation(8));
  EXPECT_EQ(map.pieces_of(1, Generation(8)), 0b1000u);
  map.stamp(2, 0b0001, Generation(3));
  map.stamp(2, 0b0010, Generation(9));
  EXPECT_EQ(map.pieces_of(2, Generation(6)), 0b0010u) << "no write had that generation";
}

TEST(DirtyMap, AfterARestartWholeRegionsAndFromThenOnPieces) {
  DirtyMap map(10);
  map.load({{2, 1, 5}}, 0);
  EXPECT_EQ(map.pieces_of(2, Generation(5)), kAllPieces);
  EXPECT_EQ(map.pieces_of(2, Generation(6)), 0u);
  EXPECT_FALSE(map.stamp(2, 0b1, Generation(5)));
  EXPECT_TRUE(map.stamp(2, 0b1, Generation(6)));
  EXPECT_TRUE(map.stamp(2, 0b10, Generation(7)));
  EXPECT_EQ(map.pieces_of(2, Generation(5)), kAllPieces);
  EXPECT_EQ(map.pieces_of(2, Generation(6)), 0b11u);
}

TEST(DirtyMap, PiecesInARange) {
  EXPECT_EQ(pieces_in(0, {0, 1}), 1u);
  EXPECT_EQ(pieces_in(0, {3, 2}), 0b11u);
  EXPECT_EQ(pieces_in(0, {0, 256}), kAllPieces);
  EXPECT_EQ(pieces_in(1, {255, 6}), 0b11u);
  EXPECT_EQ(pieces_in(1, {508, 400}), Pieces{1} << 63);
  EXPECT_EQ(pieces_in(7, {0, 256}), 0u);
}

TEST(DirtyMap, UnionOfTwoLists) {
  EXPECT_THAT(
      dirty_union({{1, 1}, {4, 2}}, {{0, 8}, {4, 5}, {9, 1}}),
      ElementsAre(DirtyRegion{0, 8}, DirtyRegion{1, 1}, DirtyRegion{4, 7}, DirtyRegion{9, 1}));
  EXPECT_THAT(dirty_union({}, {}), IsEmpty());
}

// Beside the map every write. For each generation that was not confirmed yet the map's answer
// covers what was written (R8); it is empty when nothing was; it has nothing that was not written
// since the region was last clean; and it is exact when that had at most two generations.
class Model {
 public:
  explicit Model(DirtyMap& map) : map_(map) {}

  void write(uint64_t region, Pieces pieces, uint64_t generation) {
    map_.stamp(region, pieces, Generation(generation));
    known_[region].writes[generation] |= pieces;
  }
  void forget(uint64_t below) {
    map_.forget(Generation(below));
    confirmed_ = std::max(confirmed_, below);
    std::erase_if(known_, [below](const auto& region) {
      return region.second.writes.rbegin()->first < below;
    });
  }
  // Only the stamps are left.
  void restart() {
    map_.load(map_.runs(SIZE_MAX), map_.unknown_as_of());
    for (auto& [number, region] : known_) region.whole = true;
  }
  void check(uint64_t generation) const {
    if (generation < confirmed_) return;
    std::vector<uint64_t> dirty;
    for (const auto& [number, region] : known_) {
      Pieces due = 0;
      Pieces ever = 0;
      for (const auto& [at, pieces] : region.writes) {
        if (at >= generation) due |= pieces;
        ever |= pieces;
      }
      Pieces answer = map_.pieces_of(number, Generation(generation));
      if (answer != 0) dirty.push_back(number);
      RC_ASSERT((answer & due) == due);
      RC_ASSERT((answer == 0) == (due == 0));
      if (region.whole) continue;
      RC_ASSERT((answer & ~ever) == 0u);
      if (region.writes.size() <= 2) RC_ASSERT(answer == due);
    }
    RC_ASSERT(regions_of(map_, generation) == dirty);
  }
  uint64_t confirmed() const { return confirmed_; }

 private:
  struct Region {
    std::map<uint64_t, Pieces> writes;  // since it was clean, by generation
    bool whole = false;
  };
  DirtyMap& map_;
  std::map<uint64_t, Region> known_;
  uint64_t confirmed_ = 1;
};

void random_step(Model& model, uint64_t& generation) {
  switch (*rc::gen::weightedElement<int>({{12, 0}, {3, 1}, {2, 2}, {1, 3}})) {
    case 0: {
      auto region = *rc::gen::element<uint64_t>(0, 1, 511, 512, 1199);
      auto pieces = Pieces{1} << *rc::gen::inRange(0, 64);
      // A write may arrive after one of a later generation.
      uint64_t back = *rc::gen::inRange<uint64_t>(0, 2);
      model.write(region, pieces, std::max(model.confirmed(), generation - back));
      break;
    }
    case 1: ++generation; break;
    case 2: model.forget(*rc::gen::inRange<uint64_t>(generation - 2, generation + 1)); break;
    default: model.restart();
  }
}

TEST(DirtyMap, R8AnswersCoverWhatWasWritten) {
  bool held = rc::check([] {
    DirtyMap map(1200);
    Model model(map);
    uint64_t generation = 5;
    int steps = *rc::gen::inRange(1, 60);
    for (int step = 0; step < steps; ++step) {
      random_step(model, generation);
      for (uint64_t at = generation - 4; at <= generation + 1; ++at) model.check(at);
    }
  });
  EXPECT_TRUE(held);
}

// R9: what was lost with the power is dirty for everybody until a later copy is confirmed.
TEST(DirtyMap, UnknownStampsAnswerEveryQuestionUntilConfirmed) {
  DirtyMap map(100);
  map.stamp(1, 1, Generation(5));
  map.mark_unknown(9);
  EXPECT_THAT(regions_of(map, 1000), ElementsAre(9u));
  map.forget(Generation(1000));
  EXPECT_THAT(regions_of(map, 0), ElementsAre(9u)) << "no generation was set since";
  map.settle_unknown(Generation(20));
  map.settle_unknown(Generation(30));
  map.forget(Generation(20));
  EXPECT_THAT(regions_of(map, 0), ElementsAre(9u));
  map.forget(Generation(21));
  EXPECT_THAT(regions_of(map, 0), IsEmpty());
}

TEST(DirtyMap, RunsReadBackAndCoarseOnesCoverMore) {
  Random random(11);
  for (int round = 0; round < 50; ++round) {
    DirtyMap map(3000);
    for (int i = 0; i < 200; ++i) {
      map.stamp(random.below(3000), 1, Generation(random.between(1, 9)));
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
  map.stamp(9, 1, Generation(2));
  map.resize(5000);
  EXPECT_TRUE(map.stamp(4999, 1, Generation(3)));
  EXPECT_THAT(regions_of(map, 1), ElementsAre(9u, 4999u));
}

}  // namespace
}  // namespace cleat::core
