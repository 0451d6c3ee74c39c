// Keeps freed slots out of use until every read that began before has finished: such a read may
// still be under way in their extents.
//
// Reads belong to the period in which they began; a free ends the period.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "io/sync.h"
#include "io/task.h"

namespace cleat::store {

class ReadTracker {
 public:
  ReadTracker(io::Executor& executor, std::function<void(uint32_t slot)> release)
      : release_(std::move(release)), drained_(executor) {
    periods_.emplace_back();
  }

  uint64_t begin() {
    if (!periods_.back().retired.empty()) periods_.emplace_back();
    ++periods_.back().reads;
    return first_ + periods_.size() - 1;
  }
  void end(uint64_t period);

  // The slot may be used again once the reads under way now have finished.
  void retire(uint32_t slot);
  uint64_t retired_count() const { return retired_count_; }

  // Waits for the reads under way now.
  io::Task<void> drain();

 private:
  struct Period {
    uint64_t reads = 0;
    std::vector<uint32_t> retired;  // when this period and those before it are over
  };
  void settle();

  std::function<void(uint32_t)> release_;
  io::WaitQueue drained_;
  std::deque<Period> periods_;
  uint64_t first_ = 0;  // number of the front period
  uint64_t retired_count_ = 0;
};

}  // namespace cleat::store
