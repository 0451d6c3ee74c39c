// Waiting inside one loop: an event that is set once, a queue of waiters, a counter of places.
// Nothing here is thread-safe: one loop. Waiters are resumed through the executor, in order, never
// from inside notify().
#pragma once

#include <coroutine>
#include <cstddef>

#include "common/check.h"
#include "io/executor.h"

namespace cleat::io {

// Waiters in order of arrival, linked through their own frames.
class WaitQueue {
 public:
  explicit WaitQueue(Executor& executor) : executor_(executor) {}
  WaitQueue(const WaitQueue&) = delete;
  ~WaitQueue() { CHECK(head_ == nullptr, "nobody waits in a queue that dies"); }

  struct Awaiter {
    WaitQueue& queue;
    std::coroutine_handle<> handle{};
    Awaiter* next = nullptr;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      handle = waiter;
      queue.push(this);
    }
    void await_resume() const {}
  };
  // Always suspends: check the condition in a loop around it.
  Awaiter wait() { return Awaiter{*this}; }

  void notify_one() {
    if (head_ == nullptr) return;
    Awaiter* first = head_;
    head_ = first->next;
    if (head_ == nullptr) tail_ = nullptr;
    executor_.post(first->handle);
  }
  void notify_all() {
    while (head_ != nullptr) notify_one();
  }
  bool empty() const { return head_ == nullptr; }

 private:
  void push(Awaiter* awaiter) {
    if (tail_ != nullptr) {
      tail_->next = awaiter;
    } else {
      head_ = awaiter;
    }
    tail_ = awaiter;
  }

  Executor& executor_;
  Awaiter* head_ = nullptr;
  Awaiter* tail_ = nullptr;
};

// Set once; whoever waits before or after goes on.
class Event {
 public:
  explicit Event(Executor& executor) : waiters_(executor) {}
  bool is_set() const { return set_; }
  void set() {
    set_ = true;
    waiters_.notify_all();
  }
  auto wait() {
    struct Awaiter : WaitQueue::Awaiter {
      bool is_set;
      bool await_ready() const { return is_set; }
    };
    return Awaiter{{waiters_}, set_};
  }

 private:
  WaitQueue waiters_;
  bool set_ = false;
};

}  // namespace cleat::io
