// Threads for calls that block (etcd, mkdir, opening a disk), awaited on the loop.
//
// Threading: run() on the loop; the function runs on one of the threads. Limits: kThreads at once,
// others wait in order. The pool dies after every run() has ended.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "io/event_loop.h"

namespace cleat::node {

class BlockingPool {
 public:
  static constexpr size_t kThreads = 4;

  explicit BlockingPool(io::EventLoop& loop);
  ~BlockingPool();

  // co_await pool.run(function): its value. The function must stay alive until then.
  template <class Function>
  auto run(Function& function) {
    using Value = decltype(function());
    struct Awaiter {
      BlockingPool& pool;
      Function& function;
      std::optional<Value> value{};
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> handle) {
        pool.submit([this, handle] {
          value.emplace(function());
          pool.loop_.post_from_any_thread([handle] { handle.resume(); });
        });
      }
      Value await_resume() { return std::move(*value); }
    };
    return Awaiter{*this, function};
  }

 private:
  void submit(std::function<void()> work);
  void serve();

  io::EventLoop& loop_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> work_;  // guarded by mutex_
  bool stopping_ = false;                   // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace cleat::node
