// Task<T>: a coroutine that starts when it is awaited and gives one T. Nothing here throws: a
// coroutine that lets an exception out aborts.
//
// Rules of use (g++ 12.2 miscompiles what breaks them; docs/style.md):
//   - name a closure or an aggregate before passing it by value to a coroutine: no temporaries of
// those
//     inside a co_await expression;
//   - no capturing-lambda coroutines: captures die with the lambda, not with the frame;
//   - one co_await a statement, never in a condition, a ternary or a catch;
//   - after each co_await look at the state again.
//
// Awaiting resumes the awaited coroutine from inside await_suspend and answers false when it
// already finished, so a chain of any number of ready awaits uses no stack in any build mode.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "common/check.h"
#include "io/frame_pool.h"

namespace cleat::io {

template <class T = void>
class Task;

namespace detail {

class PromiseBase {
 public:
  static void* operator new(size_t size) { return frame_allocate(size); }
  static void operator delete(void* frame, size_t size) noexcept { frame_free(frame, size); }

  std::suspend_always initial_suspend() noexcept { return {}; }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) noexcept {
      PromiseBase& promise = self.promise();
      // Finished while the awaiting side is still inside await_suspend: it sees `done` and goes on.
      if (promise.starting_) {
        promise.done_ = true;
        return;
      }
      if (promise.continuation_) promise.continuation_.resume();
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }

  // Runs the coroutine until its first wait. True when it finished without waiting.
  bool start(std::coroutine_handle<> self, std::coroutine_handle<> continuation) {
    continuation_ = continuation;
    starting_ = true;
    self.resume();
    starting_ = false;
    return done_;
  }

 private:
  std::coroutine_handle<> continuation_;
  bool starting_ = false;
  bool done_ = false;
};

template <class T>
class Promise : public PromiseBase {
 public:
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
 public:
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && {
    struct Awaiter {
      Handle handle;
      bool await_ready() const { return false; }
      bool await_suspend(std::coroutine_handle<> continuation) {
        return !handle.promise().start(handle, continuation);
      }
      T await_resume() { return handle.promise().take(); }
    };
    CHECK(handle_, "a task is awaited once, and not after it was moved from");
    return Awaiter{handle_};
  }

 private:
  Handle handle_;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}
}  // namespace detail

}  // namespace cleat::io
