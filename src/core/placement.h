// Where the replicas of a volume go. Pure.
//
// Rules, in this order: never two replicas on one node; only pools that the filter allows and that
// have room; the preferred nodes first, in their order (a preferred node that has no room is an
// error of its own only when no other place is left); then what spreads best over zones, then over
// racks, not used by the volume's other replicas; then the pool with the largest share of free
// capacity; then the lower id.
// Room: thin provisioning lets the sizes of a pool's replicas sum up to `overcommit` times its
// capacity, but a new replica needs some space that is really free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/ids.h"

namespace cleat::core {

struct PoolCandidate {
  PoolId pool;
  NodeId node;
  std::string pool_class;
  std::string rack;
  std::string zone;
  uint64_t capacity_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t provisioned_bytes = 0;  // sizes of the replicas that live in it
  bool usable = true;              // node alive and not in maintenance, pool not failed
};

struct PlacementRequest {
  uint32_t count = 1;
  uint64_t size_bytes = 0;
  std::vector<NodeId> preferred = {};  // first choice, in this order
  bool only_preferred = false;
  std::string pool_class = {};          // empty: any
  std::vector<std::string> racks = {};  // empty: any
  std::vector<std::string> zones = {};
  std::vector<NodeId> nodes = {};
  std::vector<NodeId> taken = {};  // nodes that have a replica of the volume already
};

struct PlacementLimits {
  double overcommit = 4.0;
  uint64_t free_bytes_min = 128ULL << 20;
};

struct PlacementChoice {
  PoolId pool;
  NodeId node;
  bool operator==(const PlacementChoice&) const = default;
};

// Fewer choices than asked for: then the counts say why, each pool under the first reason that
// holds.
struct PlacementResult {
  std::vector<PlacementChoice> choices;
  uint32_t pools = 0;
  uint32_t unusable = 0;
  uint32_t filtered = 0;  // class, rack, zone or node not wanted
  uint32_t full = 0;      // no free space
  uint32_t overcommitted = 0;
  uint32_t same_node = 0;  // the node has a replica already
};

// The size of the largest volume of which the pool takes a replica now, in whole blocks.
uint64_t placeable_bytes(const PoolCandidate& pool, const PlacementLimits& limits);

PlacementResult place(const PlacementRequest& request, const std::vector<PoolCandidate>& pools,
                      const PlacementLimits& limits);

}  // namespace cleat::core
