// Coroutines that are ready to go on, first in first out, in a ring that grows when it must and is
// never freed in between.
#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>
#include <vector>

#include "common/random.h"

namespace cleat::io {

class ReadyQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  void push(std::coroutine_handle<> handle) {
    if (size_ == ring_.size()) grow();
    at(size_++) = handle;
  }
  std::coroutine_handle<> pop() {
    std::coroutine_handle<> first = at(0);
    head_ = (head_ + 1) & (ring_.size() - 1);
    --size_;
    return first;
  }
  // Any of them instead of the first.
  std::coroutine_handle<> pop_random(Random& random) {
    std::swap(at(0), at(random.below(size_)));
    return pop();
  }

 private:
  std::coroutine_handle<>& at(size_t index) { return ring_[(head_ + index) & (ring_.size() - 1)]; }
  void grow() {
    std::vector<std::coroutine_handle<>> larger(ring_.size() * 2);
    for (size_t i = 0; i < size_; ++i) larger[i] = at(i);
    ring_ = std::move(larger);
    head_ = 0;
  }

  std::vector<std::coroutine_handle<>> ring_ = std::vector<std::coroutine_handle<>>(256);
  size_t head_ = 0;
  size_t size_ = 0;
};

}  // namespace cleat::io
