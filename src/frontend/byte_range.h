// A run of bytes of a volume, as clients with smaller sectors than ours ask for it.
#pragma once

#include <cstdint>

#include "common/units.h"

namespace cleat::frontend {

struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;  // at most 4 GiB: what one request of a client can name

  constexpr uint64_t end() const { return offset + length; }
  constexpr bool is_aligned() const { return offset % kBlockSize == 0 && length % kBlockSize == 0; }
  // Where the first byte lies inside the first block of cover().
  constexpr uint64_t skip() const { return offset % kBlockSize; }
  // The blocks it touches.
  constexpr BlockRange cover() const {
    if (length == 0) return {offset / kBlockSize, 0};
    uint64_t first = offset / kBlockSize;
    return {first, static_cast<uint32_t>((end() + kBlockSize - 1) / kBlockSize - first)};
  }
  // The blocks that lie wholly inside it.
  constexpr BlockRange inner() const {
    uint64_t first = (offset + kBlockSize - 1) / kBlockSize;
    uint64_t last = end() / kBlockSize;
    return {first, last > first ? static_cast<uint32_t>(last - first) : 0};
  }
};

}  // namespace cleat::frontend
