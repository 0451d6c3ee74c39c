// What a resync works through: the dirty pieces of a volume as ranges to compare, in order (R8).
// Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "core/dirty_map.h"

namespace cleat::core {

// The longest range: what a copy holds writes up for, and small enough that several go side by
// side.
inline constexpr uint32_t kResyncBlocksMax = 64;

class ResyncPlan {
 public:
  ResyncPlan() = default;
  // `regions` is sorted. What lies beyond the end of the volume is left out.
  ResyncPlan(std::vector<DirtyRegion> regions, uint64_t size_blocks);

  // The next run of adjacent pieces, inside one region; none at the end.
  std::optional<BlockRange> next();
  // Of all ranges, those handed out too.
  uint64_t total_bytes() const { return total_bytes_; }

 private:
  std::vector<DirtyRegion> regions_;  // without the pieces that were handed out
  uint64_t size_blocks_ = 0;
  uint64_t total_bytes_ = 0;
  size_t at_ = 0;
};

}  // namespace cleat::core
