// An executor for tests: runs what is ready when told, with a clock that jumps to the next timer.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "io/executor.h"

namespace cleat::frontend {

class ManualExecutor final : public io::Executor {
 public:
  TimePoint now() const override { return now_; }
  void post(std::coroutine_handle<> handle) override { ready_.push_back(handle); }
  void arm(io::Timer& timer) override {
    timer.armed = true;
    timers_.push_back(&timer);
  }
  void cancel(io::Timer& timer) override {
    timer.armed = false;
    std::erase(timers_, &timer);
  }

  // Until nothing is ready and no timer is armed.
  void run() {
    while (run_ready() || fire_next()) continue;
  }

 private:
  bool run_ready() {
    if (ready_.empty()) return false;
    std::coroutine_handle<> next = ready_.front();
    ready_.pop_front();
    next.resume();
    return true;
  }
  bool fire_next() {
    auto first = std::min_element(timers_.begin(), timers_.end(),
                                  [](auto* a, auto* b) { return a->at < b->at; });
    if (first == timers_.end()) return false;
    io::Timer& timer = **first;
    timers_.erase(first);
    timer.armed = false;
    now_ = std::max(now_, timer.at);
    timer.waiter.resume();
    return true;
  }

  TimePoint now_{};
  std::deque<std::coroutine_handle<>> ready_;
  std::vector<io::Timer*> timers_;
};

}  // namespace cleat::frontend
