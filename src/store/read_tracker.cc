#include "store/read_tracker.h"

namespace cleat::store {

void ReadTracker::end(uint64_t period) {
  Period& at = periods_[period - first_];
  CHECK(at.reads > 0, "a read ends once");
  if (--at.reads == 0) settle();
}

void ReadTracker::retire(uint32_t slot) {
  ++retired_count_;
  periods_.back().retired.push_back(slot);
  settle();
}

void ReadTracker::settle() {
  bool moved = false;
  while (periods_.front().reads == 0 &&
         (periods_.size() > 1 || !periods_.front().retired.empty())) {
    for (uint32_t slot : periods_.front().retired) {
      --retired_count_;
      release_(slot);
    }
    periods_.front().retired.clear();
    if (periods_.size() == 1) break;
    periods_.pop_front();
    ++first_;
    moved = true;
  }
  if (moved) drained_.notify_all();
}

io::Task<void> ReadTracker::drain() {
  if (periods_.size() == 1 && periods_.front().reads == 0) co_return;
  periods_.emplace_back();
  uint64_t current = first_ + periods_.size() - 1;
  while (first_ < current) co_await drained_.wait();
}

}  // namespace cleat::store
