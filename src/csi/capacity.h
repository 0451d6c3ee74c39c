// From a range of sizes to the size of a volume. Pure.
#pragma once

#include <cstdint>

#include "common/units.h"
#include "csi/capabilities.h"

namespace cleat::csi {

inline constexpr uint64_t kSizeDefault = 1 * kGiB;  // as Portworx
inline constexpr uint64_t kSizeMin = 1 * kMiB;      // of a raw device
inline constexpr uint64_t kExt4SizeMin = 16 * kMiB;
inline constexpr uint64_t kXfsSizeMin = 300 * kMiB;  // mkfs.xfs refuses less
inline constexpr uint64_t kSizeMax = 64 * kTiB;

struct SizeRange {
  uint64_t required = 0;
  uint64_t limit = 0;  // 0: none

  bool holds(uint64_t size) const { return size >= required && (limit == 0 || size <= limit); }
};

// kInvalidArgument: negative, or the wrong way round.
Outcome<SizeRange> parse_range(const spec::CapacityRange& range);
// At least `least`, rounded up to whole blocks. kOutOfRange when the range has no such size.
Outcome<uint64_t> choose_size(const SizeRange& range, uint64_t least);

}  // namespace cleat::csi
