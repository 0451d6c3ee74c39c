#include "core/placement.h"

#include <algorithm>
#include <tuple>

#include "common/units.h"

namespace cleat::core {
namespace {

template <class T>
bool contains(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

template <class T>
bool allows(const std::vector<T>& filter, const T& value) {
  return filter.empty() || contains(filter, value);
}

bool wanted(const PlacementRequest& request, const PoolCandidate& pool) {
  return (request.pool_class.empty() || request.pool_class == pool.pool_class) &&
         allows(request.racks, pool.rack) && allows(request.zones, pool.zone) &&
         allows(request.nodes, pool.node) &&
         (!request.only_preferred || contains(request.preferred, pool.node));
}

bool has_free_space(const PlacementLimits& limits, const PoolCandidate& pool) {
  return pool.free_bytes >= limits.free_bytes_min;
}

bool within_overcommit(const PlacementRequest& request, const PlacementLimits& limits,
                       const PoolCandidate& pool) {
  double sum =
      static_cast<double>(pool.provisioned_bytes) + static_cast<double>(request.size_bytes);
  return sum <= limits.overcommit * static_cast<double>(pool.capacity_bytes);
}

double free_share(const PoolCandidate& pool) {
  if (pool.capacity_bytes == 0) return 0;
  return static_cast<double>(pool.free_bytes) / static_cast<double>(pool.capacity_bytes);
}

// How many of the nodes that hold a replica are in the same zone, and in the same rack of it.
struct Crowding {
  size_t zone = 0;
  size_t rack = 0;
};

Crowding crowding(const PoolCandidate& pool, const std::vector<const PoolCandidate*>& others) {
  Crowding out;
  for (const auto* other : others) {
    if (other->zone != pool.zone) continue;
    ++out.zone;
    if (other->rack == pool.rack) ++out.rack;
  }
  return out;
}

// Smaller is better.
auto rank(const PoolCandidate& pool, const PlacementRequest& request,
          const std::vector<const PoolCandidate*>& others) {
  auto preferred = std::find(request.preferred.begin(), request.preferred.end(), pool.node);
  Crowding crowd = crowding(pool, others);
  return std::tuple(preferred - request.preferred.begin(), crowd.zone, crowd.rack,
                    -free_share(pool), pool.pool.value);
}

std::vector<const PoolCandidate*> fitting(const PlacementRequest& request,
                                          const std::vector<PoolCandidate>& pools,
                                          const PlacementLimits& limits, PlacementResult& result) {
  std::vector<const PoolCandidate*> out;
  for (const auto& pool : pools) {
    ++result.pools;
    if (!pool.usable) {
      ++result.unusable;
    } else if (!wanted(request, pool)) {
      ++result.filtered;
    } else if (contains(request.taken, pool.node)) {
      ++result.same_node;
    } else if (!has_free_space(limits, pool)) {
      ++result.full;
    } else if (!within_overcommit(request, limits, pool)) {
      ++result.overcommitted;
    } else {
      out.push_back(&pool);
    }
  }
  return out;
}

// One entry for each node that has a replica already: where they are matters for the spread.
std::vector<const PoolCandidate*> places_of(const std::vector<NodeId>& nodes,
                                            const std::vector<PoolCandidate>& pools) {
  std::vector<const PoolCandidate*> out;
  for (NodeId node : nodes) {
    auto found =
        std::find_if(pools.begin(), pools.end(), [&](const auto& p) { return p.node == node; });
    if (found != pools.end()) out.push_back(&*found);
  }
  return out;
}

}  // namespace

uint64_t placeable_bytes(const PoolCandidate& pool, const PlacementLimits& limits) {
  if (!pool.usable || !has_free_space(limits, pool)) return 0;
  double sum = limits.overcommit * static_cast<double>(pool.capacity_bytes);
  double left = sum - static_cast<double>(pool.provisioned_bytes);
  if (left <= 0) return 0;
  return static_cast<uint64_t>(left) / kBlockSize * kBlockSize;
}

PlacementResult place(const PlacementRequest& request, const std::vector<PoolCandidate>& pools,
                      const PlacementLimits& limits) {
  PlacementResult result;
  auto open = fitting(request, pools, limits, result);
  auto others = places_of(request.taken, pools);
  while (result.choices.size() < request.count && !open.empty()) {
    auto best = std::min_element(open.begin(), open.end(), [&](const auto* a, const auto* b) {
      return rank(*a, request, others) < rank(*b, request, others);
    });
    const PoolCandidate* chosen = *best;
    result.choices.push_back({chosen->pool, chosen->node});
    others.push_back(chosen);
    size_t before = open.size();
    std::erase_if(open, [&](const auto* pool) { return pool->node == chosen->node; });
    result.same_node += static_cast<uint32_t>(before - open.size() - 1);
  }
  return result;
}

}  // namespace cleat::core
