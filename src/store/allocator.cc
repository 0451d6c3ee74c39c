#include "store/allocator.h"

#include <bit>

#include "common/check.h"

namespace cleat::store {

void Allocator::release(uint32_t slot) {
  uint32_t at = slot - first_;
  CHECK(at < count_, "a slot is released to its own allocator");
  uint64_t bit = uint64_t{1} << (at % 64);
  CHECK((words_[at / 64] & bit) == 0, "a slot is freed once");
  words_[at / 64] |= bit;
  ++free_;
}

void Allocator::take(uint32_t slot) {
  uint32_t at = slot - first_;
  CHECK(at < count_, "a slot is taken from its own allocator");
  uint64_t bit = uint64_t{1} << (at % 64);
  CHECK((words_[at / 64] & bit) != 0, "a slot is taken once");
  words_[at / 64] &= ~bit;
  --free_;
}

std::optional<uint32_t> Allocator::allocate() {
  if (free_ == 0) return std::nullopt;
  size_t word = cursor_ / 64;
  uint64_t candidates = words_[word] & (~uint64_t{0} << (cursor_ % 64));
  while (candidates == 0) {
    word = word + 1 == words_.size() ? 0 : word + 1;
    candidates = words_[word];
  }
  auto at = static_cast<uint32_t>(word * 64 + static_cast<size_t>(std::countr_zero(candidates)));
  words_[word] &= ~(uint64_t{1} << (at % 64));
  --free_;
  cursor_ = at + 1 == count_ ? 0 : at + 1;
  return first_ + at;
}

}  // namespace cleat::store
