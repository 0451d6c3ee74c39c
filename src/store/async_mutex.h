// Mutual exclusion between coroutines of one loop, in the order in which they asked: who locks
// again and again leaves the others their turn.
//   co_await mutex.lock();  AsyncMutex::Guard guard(mutex);
#pragma once

#include "common/check.h"
#include "io/sync.h"
#include "io/task.h"

namespace cleat::store {

class AsyncMutex {
 public:
  explicit AsyncMutex(io::Executor& executor) : waiters_(executor) {}

  io::Task<void> lock() {
    if (locked_) {
      co_await waiters_.wait();  // then it was handed over
      co_return;
    }
    locked_ = true;
  }
  // Unlocks at the end of the scope; the mutex is locked.
  class Guard {
   public:
    explicit Guard(AsyncMutex& mutex) : mutex_(mutex) {}
    Guard(const Guard&) = delete;
    ~Guard() {
      mutex_.locked_ = !mutex_.waiters_.empty();
      mutex_.waiters_.notify_one();
    }

   private:
    AsyncMutex& mutex_;
  };

 private:
  io::WaitQueue waiters_;
  bool locked_ = false;
};

}  // namespace cleat::store
