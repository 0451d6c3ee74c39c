#include "sim/cluster/node_executor.h"

#include <utility>

namespace cleat::sim {
void NodeExecutor::post(std::coroutine_handle<> handle) {
  if (paused_) {
    held_.push_back(handle);
  } else {
    loop_.post(handle);
  }
}

void NodeExecutor::resume() {
  paused_ = false;
  for (auto handle : std::exchange(held_, {})) loop_.post(handle);
}

void NodeExecutor::arm(io::Timer& timer) {
  auto armed = std::make_shared<Armed>(Armed{&timer});
  armed_[&timer] = armed;
  timer.armed = true;
  TimePoint at{shrink(timer.at.time_since_epoch())};
  // Rounding must not wake it early: a loop that sleeps until a time would spin at that time for
  // ever.
  for (;;) {
    Duration early = timer.at.time_since_epoch() - stretch(at.time_since_epoch());
    if (early <= Duration{}) break;
    at += early;
  }
  loop_.spawn(fire(*this, std::move(armed), at));
}

void NodeExecutor::cancel(io::Timer& timer) {
  auto found = armed_.find(&timer);
  if (found == armed_.end()) return;
  found->second->cancelled = true;
  timer.armed = false;
  armed_.erase(found);
}

io::Task<void> NodeExecutor::fire(NodeExecutor& executor, std::shared_ptr<Armed> armed,
                                  TimePoint at) {
  co_await executor.loop_.sleep_until(at);
  if (armed->cancelled) co_return;
  io::Timer* timer = armed->timer;
  executor.armed_.erase(timer);
  timer->armed = false;
  executor.post(timer->waiter);
}

}  // namespace cleat::sim
