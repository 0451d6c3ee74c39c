// Executor with virtual time and a ready queue in seeded order: the loop of every simulated run.
// Two runs with one seed are the same run. Time moves only when nothing is ready.
//
// Threading: none; everything happens inside step(), run(), run_until() and wait().
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/random.h"
#include "io/executor.h"
#include "io/task.h"
#include "io/task_group.h"

namespace cleat::sim {

class SimulatedLoop : public io::Executor {
 public:
  explicit SimulatedLoop(uint64_t seed) : random_(seed) {}

  TimePoint now() const override { return now_; }
  void post(std::coroutine_handle<> handle) override { ready_.push_back(handle); }
  void arm(io::Timer& timer) override;
  void cancel(io::Timer& timer) override;

  // The one source of chance of a run: whatever is simulated on this loop draws from it.
  Random& random() { return random_; }

  // Resumes one ready coroutine, or else moves time to the next timer. False when there is neither.
  bool step();
  // Until nothing is ready and no timer is armed.
  void run();
  // Until `at`; time is then `at`.
  void run_until(TimePoint at);
  uint64_t steps() const { return steps_; }

  void spawn(io::Task<void> task) { root_.spawn(std::move(task)); }
  size_t running() const { return root_.running(); }

  // Runs the loop until `task` has finished and gives its value.
  template <class T>
  T wait(io::Task<T> task) {
    std::optional<T> value;
    root_.spawn(store(std::move(task), value));
    while (!value) CHECK(step(), "the awaited task waits for something that never happens");
    return std::move(*value);
  }
  void wait(io::Task<void> task) {
    bool done = false;
    root_.spawn(finish(std::move(task), done));
    while (!done) CHECK(step(), "the awaited task waits for something that never happens");
  }

 private:
  template <class T>
  static io::Task<void> store(io::Task<T> task, std::optional<T>& value) {
    value.emplace(co_await std::move(task));
  }
  static io::Task<void> finish(io::Task<void> task, bool& done) {
    co_await std::move(task);
    done = true;
  }

  Random random_;
  TimePoint now_{};
  uint64_t steps_ = 0;
  uint64_t armed_ = 0;  // orders timers of the same time
  std::vector<std::coroutine_handle<>> ready_;
  std::map<std::pair<TimePoint, uint64_t>, io::Timer*> timers_;
  io::TaskGroup root_;
};

}  // namespace cleat::sim
