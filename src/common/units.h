// Units of addressing and the sizes people type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace cleat {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;
inline constexpr uint64_t kTiB = 1024 * kGiB;

inline constexpr uint64_t kBlockSize = 4 * kKiB;     // unit of addressing
inline constexpr uint64_t kExtentSize = 128 * kKiB;  // unit of allocation
inline constexpr uint32_t kBlocksPerExtent = 32;
inline constexpr uint64_t kRegionSize = 1 * kMiB;  // unit of the dirty map
inline constexpr uint32_t kBlocksPerRegion = 256;
inline constexpr uint64_t kZoneSize = 16 * kMiB;  // unit of intents
inline constexpr uint32_t kBlocksPerZone = 4096;

// A run of blocks of a volume. Empty when count is 0.
struct BlockRange {
  uint64_t first = 0;
  uint32_t count = 0;

  constexpr uint64_t end() const { return first + count; }
  constexpr uint64_t bytes() const { return uint64_t{count} * kBlockSize; }
  constexpr bool overlaps(BlockRange other) const {
    return first < other.end() && other.first < end();
  }
  constexpr bool operator==(const BlockRange&) const = default;
};

// "10" is 10 GiB; "512M", "10Gi", "1.5T", "4096B" are read too (powers of two).
// kInvalidArgument for anything else, for zero, and for what is not a multiple of 4 KiB.
Result<uint64_t> parse_size(std::string_view text);
// "10 GiB", "512 MiB", "1.5 TiB": the largest unit that gives a number of at least 1.
std::string format_size(uint64_t bytes);

}  // namespace cleat
