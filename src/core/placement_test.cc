#include "core/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "common/random.h"
#include "common/units.h"

namespace cleat::core {
namespace {

PoolCandidate pool(uint64_t id, uint64_t node, uint64_t free_gib = 90) {
  PoolCandidate out;
  out.pool = PoolId{id};
  out.node = NodeId{node};
  out.capacity_bytes = 100 * kGiB;
  out.free_bytes = free_gib * kGiB;
  return out;
}

std::vector<uint64_t> nodes_of(const PlacementResult& result) {
  std::vector<uint64_t> out;
  for (const auto& choice : result.choices) out.push_back(choice.node.value);
  return out;
}

TEST(Placement, PreferredNodesComeFirstInTheirOrder) {
  PlacementRequest request{.count = 2, .size_bytes = kGiB, .preferred = {NodeId{3}, NodeId{1}}};
  auto result = place(request, {pool(1, 1, 10), pool(2, 2, 99), pool(3, 3, 5)}, {});
  EXPECT_EQ(nodes_of(result), (std::vector<uint64_t>{3, 1}));
}

TEST(Placement, TheEmptierPoolWins) {
  PlacementRequest request{.count = 1, .size_bytes = kGiB};
  EXPECT_EQ(nodes_of(place(request, {pool(1, 1, 50), pool(2, 2, 80)}, {})),
            std::vector<uint64_t>{2});
}

TEST(Placement, NodesCanBeALimit) {
  PlacementRequest request{.count = 2, .size_bytes = kGiB, .nodes = {NodeId{1}}};
  auto result = place(request, {pool(1, 1, 10), pool(2, 2, 99)}, {});
  EXPECT_EQ(nodes_of(result), std::vector<uint64_t>{1});
  EXPECT_EQ(result.filtered, 1U);
}

TEST(Placement, SpreadsOverZonesThenRacks) {
  std::vector<PoolCandidate> pools{pool(1, 1, 99), pool(2, 2, 98), pool(3, 3, 10), pool(4, 4, 5)};
  pools[0].zone = pools[1].zone = pools[2].zone = "z1";
  pools[0].rack = pools[1].rack = "r1";
  pools[2].rack = "r2";
  pools[3].zone = "z2";
  PlacementRequest request{.count = 3, .size_bytes = kGiB};
  EXPECT_EQ(nodes_of(place(request, pools, {})), (std::vector<uint64_t>{1, 4, 3}));
}

TEST(Placement, ExistingReplicasCountForTheSpread) {
  std::vector<PoolCandidate> pools{pool(1, 1), pool(2, 2, 99), pool(3, 3, 10)};
  pools[0].zone = pools[1].zone = "z1";
  pools[2].zone = "z2";
  PlacementRequest request{.count = 1, .size_bytes = kGiB, .taken = {NodeId{1}}};
  EXPECT_EQ(nodes_of(place(request, pools, {})), std::vector<uint64_t>{3});
}

TEST(Placement, SaysWhyThereIsNoPlace) {
  std::vector<PoolCandidate> pools{pool(1, 1), pool(2, 2), pool(3, 3, 0), pool(4, 4), pool(5, 5)};
  pools[0].usable = false;
  pools[1].pool_class = "hdd";
  pools[3].provisioned_bytes = 400 * kGiB;
  for (size_t i : {2U, 3U, 4U}) pools[i].pool_class = "ssd";
  PlacementRequest request{
      .count = 1, .size_bytes = kGiB, .pool_class = "ssd", .taken = {NodeId{5}}};
  auto result = place(request, pools, {});
  EXPECT_TRUE(result.choices.empty());
  EXPECT_EQ(result.pools, 5U);
  EXPECT_EQ(result.unusable, 1U);
  EXPECT_EQ(result.filtered, 1U);
  EXPECT_EQ(result.full, 1U);
  EXPECT_EQ(result.overcommitted, 1U);
  EXPECT_EQ(result.same_node, 1U);
}

struct Case {
  std::vector<PoolCandidate> pools;
  PlacementRequest request;
};

Case random_case(Random& random) {
  Case out;
  const uint64_t count = random.below(12);
  for (uint64_t i = 1; i <= count; ++i) {
    auto next = pool(i, 1 + random.below(6), random.below(100));
    next.usable = random.chance(0.8);
    next.pool_class = random.chance(0.5) ? "ssd" : "hdd";
    next.zone = "z" + std::to_string(next.node.value % 3);
    next.rack = "r" + std::to_string(next.node.value % 2);
    next.provisioned_bytes = random.below(450) * kGiB;
    out.pools.push_back(next);
  }
  out.request.count = static_cast<uint32_t>(1 + random.below(3));
  out.request.size_bytes = (1 + random.below(50)) * kGiB;
  if (random.chance(0.5)) out.request.pool_class = "ssd";
  if (random.chance(0.3)) out.request.zones = {"z1"};
  if (random.chance(0.3)) out.request.taken = {NodeId{1 + random.below(6)}};
  if (random.chance(0.5)) out.request.preferred = {NodeId{1 + random.below(6)}};
  return out;
}

bool fits(const Case& c, const PoolCandidate& p, const PlacementLimits& limits) {
  return p.usable && (c.request.pool_class.empty() || p.pool_class == c.request.pool_class) &&
         (c.request.zones.empty() || p.zone == "z1") && p.free_bytes >= limits.free_bytes_min &&
         static_cast<double>(p.provisioned_bytes + c.request.size_bytes) <=
             limits.overcommit * static_cast<double>(p.capacity_bytes) &&
         std::find(c.request.taken.begin(), c.request.taken.end(), p.node) == c.request.taken.end();
}

// As many replicas as nodes with a fitting pool allow, never two on one, only fitting ones, and the
// preferred node whenever it fits; the order of the candidates doesn't matter.
TEST(Placement, HoldsItsRulesForRandomClusters) {
  const PlacementLimits limits;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Case c = random_case(random);
    auto result = place(c.request, c.pools, limits);
    std::set<NodeId> possible;
    for (const auto& p : c.pools) {
      if (fits(c, p, limits)) possible.insert(p.node);
    }
    ASSERT_EQ(result.choices.size(), std::min<size_t>(c.request.count, possible.size()));
    std::set<NodeId> used;
    for (const auto& choice : result.choices) {
      ASSERT_TRUE(used.insert(choice.node).second);
      auto p = std::find_if(c.pools.begin(), c.pools.end(),
                            [&](const auto& x) { return x.pool == choice.pool; });
      ASSERT_TRUE(p != c.pools.end() && p->node == choice.node && fits(c, *p, limits));
    }
    for (NodeId node : c.request.preferred) {
      if (possible.contains(node)) {
        ASSERT_EQ(result.choices.front().node, node);
      }
    }
    std::reverse(c.pools.begin(), c.pools.end());
    ASSERT_EQ(place(c.request, c.pools, limits).choices, result.choices);
  }
}

}  // namespace
}  // namespace cleat::core
