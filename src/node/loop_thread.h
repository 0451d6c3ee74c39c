// The thread of an event loop, and calls into it from other threads.
//
// Threading: call() and start() from any thread but the loop's own; stop() by the owner.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "io/event_loop.h"
#include "io/task_group.h"

namespace cleat::node {

class LoopThread {
 public:
  static Result<std::unique_ptr<LoopThread>> start();
  // No call() may be under way, and whatever lives on the loop must have ended.
  ~LoopThread();

  io::EventLoop& loop() { return *loop_; }

  // Runs `make()` on the loop, awaits its task there, and gives the value. Blocks.
  template <class T>
  T call(std::function<io::Task<T>()> make) {
    std::promise<T> promise;
    std::future<T> future = promise.get_future();
    loop_->post_from_any_thread([this, &make, &promise] { calls_.spawn(run(make, promise)); });
    return future.get();
  }
  void call(std::function<io::Task<void>()> make);
  // The same for what does not wait.
  template <class Function>
  auto ask(Function function) {
    std::promise<decltype(function())> promise;
    auto future = promise.get_future();
    loop_->post_from_any_thread([&function, &promise] { promise.set_value(function()); });
    return future.get();
  }

 private:
  explicit LoopThread(std::unique_ptr<io::EventLoop> loop) : loop_(std::move(loop)) {}

  template <class T>
  static io::Task<void> run(std::function<io::Task<T>()>& make, std::promise<T>& promise) {
    io::Task<T> task = make();
    T value = co_await std::move(task);
    promise.set_value(std::move(value));
  }
  static io::Task<void> run_void(std::function<io::Task<void>()>& make,
                                 std::promise<void>& promise);

  std::unique_ptr<io::EventLoop> loop_;
  io::TaskGroup calls_;
  std::thread thread_;
};

}  // namespace cleat::node
