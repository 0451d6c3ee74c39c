// A block of a value: the value in every group of eight bytes, so that a torn block shows.
#pragma once

#include <cstddef>
#include <cstring>

#include "common/units.h"
#include "sim/cluster/history.h"

namespace cleat::sim {

inline constexpr Value kTorn = ~Value{0};

inline void fill_block(std::byte* block, Value value) {
  for (size_t at = 0; at < kBlockSize; at += sizeof value) {
    std::memcpy(block + at, &value, sizeof value);
  }
}

inline Value value_of(const std::byte* block) {
  Value first;
  std::memcpy(&first, block, sizeof first);
  for (size_t at = 0; at < kBlockSize; at += sizeof first) {
    if (std::memcmp(block + at, &first, sizeof first) != 0) return kTorn;
  }
  return first;
}

}  // namespace cleat::sim
