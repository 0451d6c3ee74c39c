// Tasks that run beside the code that spawned them. Every spawned task belongs to a group; close()
// waits for all of them, and a group must be empty when it dies.
//
// Threading: one loop. A task runs at once, up to its first wait, inside spawn().
#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>

#include "common/check.h"
#include "io/task.h"

namespace cleat::io {

class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() { CHECK(running_ == 0, "a task group is closed before it dies"); }

  void spawn(Task<void> task) {
    ++running_;
    run(*this, std::move(task));
  }

  size_t running() const { return running_; }

  // Waits until no task runs. Tasks may still spawn others meanwhile. One waiter at a time.
  auto close() {
    struct Awaiter {
      TaskGroup& group;
      bool await_ready() const { return group.running_ == 0; }
      void await_suspend(std::coroutine_handle<> waiter) {
        CHECK(!group.waiter_, "one close() of a task group at a time");
        group.waiter_ = waiter;
      }
      void await_resume() const {}
    };
    return Awaiter{*this};
  }

 private:
  // A coroutine that owns itself: its frame goes when it ends.
  struct Detached {
    struct promise_type {
      static void* operator new(size_t size) { return frame_allocate(size); }
      static void operator delete(void* frame, size_t size) noexcept { frame_free(frame, size); }
      Detached get_return_object() { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() {}
      void unhandled_exception() noexcept { std::terminate(); }
    };
  };

  static Detached run(TaskGroup& group, Task<void> task) {
    {
      // The task's frame, with its parameters, goes before close() returns: what they refer to may
      // then go.
      Task<void> owned = std::move(task);
      co_await std::move(owned);
    }
    group.finished();
  }

  void finished() {
    if (--running_ == 0 && waiter_) std::exchange(waiter_, {}).resume();
  }

  size_t running_ = 0;
  std::coroutine_handle<> waiter_;
};

}  // namespace cleat::io
