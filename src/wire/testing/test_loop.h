// A loop for tests: runs what is ready, and when nothing is, time jumps to the next timer.
#pragma once

#include <optional>
#include <utility>

#include "common/check.h"
#include "io/executor.h"
#include "io/ready_queue.h"
#include "io/task_group.h"
#include "io/timer_heap.h"

namespace cleat::wire::testing {

class TestLoop : public io::Executor {
 public:
  TimePoint now() const override { return now_; }
  void post(std::coroutine_handle<> handle) override { ready_.push(handle); }
  void arm(io::Timer& timer) override { timers_.insert(timer); }
  void cancel(io::Timer& timer) override { timers_.remove(timer); }

  // Runs what is ready until nothing is; time stands still.
  void run_ready() {
    while (!ready_.empty()) {
      std::coroutine_handle<> handle = ready_.pop();
      handle.resume();
    }
  }
  // Runs for this long.
  void run_for(Duration duration) {
    const TimePoint end = now_ + duration;
    run_ready();
    while (!timers_.empty() && timers_.top().at <= end) fire_next();
    now_ = end;
  }
  // Lets time pass without running anything: timers that are due join what is ready, behind it.
  void jump(Duration duration) {
    now_ += duration;
    while (!timers_.empty() && timers_.top().at <= now_) make_ready_next();
  }
  // Runs until nothing is ready and no timer is armed.
  void run() {
    run_ready();
    while (!timers_.empty()) fire_next();
  }
  // Runs until the task has finished, which it must do while anything can happen at all.
  template <class T>
  T run_task(io::Task<T> task) {
    std::optional<T> result;
    io::TaskGroup group;
    group.spawn(store(std::move(task), result));
    finish(group);
    return std::move(*result);
  }
  void run_task(io::Task<void> task) {
    io::TaskGroup group;
    group.spawn(std::move(task));
    finish(group);
  }

 private:
  template <class T>
  static io::Task<void> store(io::Task<T> task, std::optional<T>& into) {
    T value = co_await std::move(task);
    into.emplace(std::move(value));
  }

  void finish(io::TaskGroup& group) {
    run_ready();
    while (group.running() != 0) {
      CHECK(!timers_.empty(), "a task of a test waits for what never comes");
      fire_next();
    }
  }

  void make_ready_next() {
    io::Timer& timer = timers_.top();
    timers_.remove(timer);
    ready_.push(timer.waiter);
  }
  void fire_next() {
    if (timers_.top().at > now_) now_ = timers_.top().at;
    make_ready_next();
    run_ready();
  }

  TimePoint now_{};
  io::ReadyQueue ready_;
  io::TimerHeap timers_;
};

}  // namespace cleat::wire::testing
