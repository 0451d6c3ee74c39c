// Which slots of a range are free. Derived at open, never stored. Gives neighbours to allocations
// that follow each other, so that sequential data lies together.
//
// Threading: one loop.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace cleat::store {

class Allocator {
 public:
  // Slots [first, first + count); none is free.
  Allocator(uint32_t first, uint32_t count)
      : first_(first), count_(count), words_((count + 63) / 64, 0) {}

  uint32_t free_count() const { return free_; }
  bool is_free(uint32_t slot) const {
    uint32_t at = slot - first_;
    return (words_[at / 64] >> (at % 64) & 1) != 0;
  }

  // The slot becomes free. It was not.
  void release(uint32_t slot);
  // The slot is taken. It was free.
  void take(uint32_t slot);
  // A free slot, taken: the first one after the slot given before.
  std::optional<uint32_t> allocate();

 private:
  uint32_t first_;
  uint32_t count_;
  uint32_t free_ = 0;
  uint32_t cursor_ = 0;
  std::vector<uint64_t> words_;  // a set bit is a free slot
};

}  // namespace cleat::store
