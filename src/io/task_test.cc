#include "io/task.h"

#include <gtest/gtest.h>

#include "io/task_group.h"

namespace cleat::io {
namespace {

Task<int> ready(int value) { co_return value; }

Task<void> add_many(int count, long& sum) {
  for (int i = 0; i < count; ++i) {
    int value = co_await ready(1);
    sum += value;
  }
}

TEST(Task, MillionsOfReadyAwaitsUseNoStack) {
  long sum = 0;
  TaskGroup group;
  group.spawn(add_many(3'000'000, sum));
  EXPECT_EQ(sum, 3'000'000);
  EXPECT_EQ(group.running(), 0u);
}

struct Gate {
  std::coroutine_handle<> waiter;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  void await_resume() const {}
};

Task<int> through(Gate& gate) {
  co_await gate;
  co_return 7;
}

Task<void> outer(Gate& gate, int& out) {
  int value = co_await through(gate);
  out = value;
}

TEST(Task, GoesOnWhenTheAwaitedTaskFinishesLater) {
  Gate gate;
  int out = 0;
  TaskGroup group;
  group.spawn(outer(gate, out));
  EXPECT_EQ(out, 0);
  EXPECT_EQ(group.running(), 1u);
  gate.waiter.resume();
  EXPECT_EQ(out, 7);
  EXPECT_EQ(group.running(), 0u);
}

Task<void> close_group(TaskGroup& group, bool& closed) {
  co_await group.close();
  closed = true;
}

TEST(TaskGroup, CloseWaitsForEveryTask) {
  Gate gate;
  int out = 0;
  bool closed = false;
  TaskGroup inner;
  TaskGroup group;
  inner.spawn(outer(gate, out));
  group.spawn(close_group(inner, closed));
  EXPECT_FALSE(closed);
  gate.waiter.resume();
  EXPECT_TRUE(closed);
}

struct Noted {
  bool* gone;
  explicit Noted(bool* flag) : gone(flag) {}
  Noted(Noted&& other) noexcept : gone(std::exchange(other.gone, nullptr)) {}
  ~Noted() {
    if (gone != nullptr) *gone = true;
  }
};

Task<void> hold_until(Gate& gate, Noted) { co_await gate; }

Task<void> close_and_look(TaskGroup& group, const bool& gone, bool& was_gone) {
  co_await group.close();
  was_gone = gone;
}

// What a task was given may refer to things that its owner ends right after close().
TEST(TaskGroup, ParametersOfATaskAreGoneWhenCloseReturns) {
  Gate gate;
  bool gone = false;
  bool was_gone = false;
  TaskGroup inner;
  TaskGroup group;
  Noted noted(&gone);
  inner.spawn(hold_until(gate, std::move(noted)));
  group.spawn(close_and_look(inner, gone, was_gone));
  EXPECT_FALSE(gone);
  gate.waiter.resume();
  EXPECT_TRUE(was_gone);
}

}  // namespace
}  // namespace cleat::io
