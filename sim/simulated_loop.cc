#include "sim/simulated_loop.h"

namespace cleat::sim {

void SimulatedLoop::arm(io::Timer& timer) {
  CHECK(!timer.armed, "a timer is armed once");
  timer.armed = true;
  timers_.emplace(std::pair{timer.at, ++armed_}, &timer);
}

void SimulatedLoop::cancel(io::Timer& timer) {
  if (!timer.armed) return;
  timer.armed = false;
  auto at = timers_.lower_bound({timer.at, 0});
  while (at->second != &timer) ++at;
  timers_.erase(at);
}

bool SimulatedLoop::step() {
  if (ready_.empty()) {
    if (timers_.empty()) return false;
    auto first = timers_.begin();
    io::Timer* timer = first->second;
    if (timer->at > now_) now_ = timer->at;
    timers_.erase(first);
    timer->armed = false;
    ready_.push_back(timer->waiter);
    return true;
  }
  ++steps_;
  std::swap(ready_[random_.below(ready_.size())], ready_.back());
  auto handle = ready_.back();
  ready_.pop_back();
  handle.resume();
  return true;
}

void SimulatedLoop::run() {
  while (step()) {
  }
}

void SimulatedLoop::run_until(TimePoint at) {
  while (!ready_.empty() || (!timers_.empty() && timers_.begin()->second->at <= at)) step();
  if (now_ < at) now_ = at;
}

}  // namespace cleat::sim
