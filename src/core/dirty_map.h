// Dirty map of one replica: for each region the generation of its last write (R8, R9).
//
// A stamp that was lost with the power is "unknown": it answers every question, and is forgotten
// only by a confirmation of a generation above the first one that was set after the loss.
// Pure: no I/O, no clock. Memory: 8 bytes a region, in pages of 512 that exist once stamped.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/ids.h"

namespace cleat::core {

struct DirtyRun {
  uint64_t first = 0;
  uint64_t count = 0;
  uint64_t generation = 0;
  bool operator==(const DirtyRun&) const = default;
};

class DirtyMap {
 public:
  static constexpr uint64_t kUnknown = UINT64_MAX;

  explicit DirtyMap(uint64_t region_count = 0) { resize(region_count); }
  void resize(uint64_t region_count);
  uint64_t region_count() const { return region_count_; }

  // Raises the stamp. True when it changed.
  bool stamp(uint64_t region, Generation generation);
  void mark_unknown(uint64_t region);
  uint64_t stamp_of(uint64_t region) const;  // 0: none

  // The generation in force since the last loss, when there are unknown stamps. The first call
  // counts.
  void settle_unknown(Generation generation);
  uint64_t unknown_as_of() const { return unknown_as_of_; }

  // Sorted region numbers.
  std::vector<uint64_t> at_or_above(Generation generation) const;
  void forget(Generation below);

  // The whole map as at most `runs_max` runs; coarser (more regions, later generations) when it
  // would need more.
  std::vector<DirtyRun> runs(size_t runs_max) const;
  void load(const std::vector<DirtyRun>& runs, uint64_t unknown_as_of);

 private:
  static constexpr uint64_t kPageRegions = 512;
  using Page = std::array<uint64_t, kPageRegions>;
  void set(uint64_t region, uint64_t value);
  std::vector<DirtyRun> runs_of(uint64_t granularity) const;

  uint64_t region_count_ = 0;
  uint64_t unknown_as_of_ = 0;
  bool has_unknown_ = false;
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace cleat::core
