// The loop, as the code that runs on it sees it: what time it is, run this soon, wake me then.
// The io_uring EventLoop is one; the simulator's loop with virtual time is the other.
//
// Threading: everything here is called on the loop's own thread.
#pragma once

#include <coroutine>

#include "common/time.h"

namespace cleat::io {

// A pending wake-up. Lives in the frame of the coroutine that waits, so arming allocates nothing.
struct Timer {
  TimePoint at;
  std::coroutine_handle<> waiter;
  bool armed = false;
  Timer* heap_parent = nullptr;  // owned by the executor while armed: links of a pairing heap
  Timer* heap_child = nullptr;
  Timer* heap_next = nullptr;
};

class Executor {
 public:
  virtual ~Executor() = default;
  virtual TimePoint now() const = 0;
  // Resumes `handle` from the loop, after the code that runs now has returned to it. Debug builds
  // and the simulator may shuffle what is ready.
  virtual void post(std::coroutine_handle<> handle) = 0;
  // Resumes timer.waiter once now() >= timer.at. The timer must stay alive until then or cancel().
  virtual void arm(Timer& timer) = 0;
  virtual void cancel(Timer& timer) = 0;

  auto sleep_until(TimePoint at);
  auto sleep(Duration duration) { return sleep_until_awaiter(now() + duration); }
  auto yield();

 private:
  struct SleepAwaiter {
    Executor& executor;
    Timer timer;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      timer.waiter = handle;
      executor.arm(timer);
    }
    void await_resume() const {}
  };
  struct YieldAwaiter {
    Executor& executor;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { executor.post(handle); }
    void await_resume() const {}
  };
  SleepAwaiter sleep_until_awaiter(TimePoint at) {
    SleepAwaiter awaiter{*this, {}};
    awaiter.timer.at = at;
    return awaiter;
  }
};

inline auto Executor::sleep_until(TimePoint at) { return sleep_until_awaiter(at); }
inline auto Executor::yield() { return YieldAwaiter{*this}; }

}  // namespace cleat::io
