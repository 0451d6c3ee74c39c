// The executor of a data thread: io_uring completions, timers and coroutines that are ready, one
// turn after another with one io_uring_enter each. A loop with nothing to do sleeps in the kernel.
//
// Needs Linux 5.19; from 6.1 completions are run only when this thread waits (DEFER_TASKRUN).
//
// Threading: create() on any thread; the first thread that calls run() owns the loop from then on,
// and everything but stop(), post_from_any_thread() and now() is called there (or before run(), by
// the thread that made it). That thread also calls shutdown() before it ends.
// Ownership: disks, streams, timers and operations on a loop end before it.
#pragma once

#include <liburing.h>

#include <atomic>
#include <coroutine>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/random.h"
#include "common/result.h"
#include "io/executor.h"
#include "io/ready_queue.h"
#include "io/task.h"
#include "io/task_group.h"
#include "io/timer_heap.h"
#include "io/uring_operation.h"

namespace cleat::io {

class EventLoop final : public Executor {
 public:
  struct Options {
    unsigned submission_entries = 1024;
    // Resume what is ready in random order, to find code that relies on one.
    std::optional<uint64_t> shuffle_seed;
  };

  // kUnsupported when the kernel refuses io_uring; kLimit without descriptors or locked memory.
  static Result<std::unique_ptr<EventLoop>> create(Options options);
  static Result<std::unique_ptr<EventLoop>> create() { return create(Options{}); }
  // Does a shutdown() that was not called: then this must be the owning thread.
  ~EventLoop() override;

  // Runs until stop(). What is pending stays so: run() may be called again, on the same thread.
  void run();
  // From any thread. A stop() before run() ends that run() after its first turn.
  void stop();
  // Calls `function` on the loop, in order. From any thread; wakes the loop. Dropped once it shut
  // down.
  void post_from_any_thread(std::function<void()> function);
  // Cancels every pending operation and runs until none is left. Operations that are started from
  // now on end at once with -ECANCELED; timers and whoever waits for something else are not
  // resumed.
  void shutdown();
  bool is_shut_down() const { return shutting_down_; }

  TimePoint now() const override;
  void post(std::coroutine_handle<> handle) override { ready_.push(handle); }
  void arm(Timer& timer) override { timers_.insert(timer); }
  void cancel(Timer& timer) override;

  // A slot for `fd` in the ring's table of files, for IOSQE_FIXED_FILE; -1 when there is none.
  int register_file(int fd);
  void unregister_file(int slot);

 private:
  friend class UringOperation;
  static constexpr unsigned kRegisteredFilesMax = 64;
  static constexpr size_t kCompletionsPerBatch = 128;
  static constexpr size_t kReadyPerTurn = 1024;
  static constexpr Duration kShutdownPoll = 5ms;

  explicit EventLoop(Options options);
  Result<void> open_ring(unsigned entries);
  void own_on_this_thread();
  void request_cancel_of_all();

  void turn();
  void wait_for_work();
  void reap_completions();
  void complete(UringOperation& operation, int result, uint32_t flags);
  void fire_timers();
  void run_ready();

  void submit(UringOperation& operation);
  void cancel(UringOperation& operation);
  bool place(UringOperation& operation);
  bool make_room(unsigned entries);
  void place_backlog();

  Task<void> serve_posts();
  void run_posts();

  io_uring ring_{};
  bool ring_open_ = false;
  bool ring_enabled_ = false;
  std::thread::id owner_;
  bool shutting_down_ = false;
  size_t operations_pending_ = 0;
  UringOperation* backlog_head_ = nullptr;
  UringOperation* backlog_tail_ = nullptr;

  ReadyQueue ready_;
  TimerHeap timers_;
  std::optional<Random> shuffle_;

  bool has_file_table_ = false;
  std::vector<int> free_slots_;

  std::atomic<bool> stop_requested_ = false;
  int wake_fd_ = -1;
  uint64_t wake_count_ = 0;
  TaskGroup posts_task_;
  std::mutex posts_mutex_;
  std::vector<std::function<void()>> posts_;  // guarded by posts_mutex_
};

// Runs `task` to its end on a loop that nobody runs now, and gives its value: for main functions,
// tools and tests. Calls run() on this thread.
template <class T>
T run_to_end(EventLoop& loop, Task<T> task);

namespace detail {
template <class T>
Task<void> store_and_stop(EventLoop& loop, Task<T> task, std::optional<T>& value) {
  value.emplace(co_await std::move(task));
  loop.stop();
}
inline Task<void> finish_and_stop(EventLoop& loop, Task<void> task) {
  co_await std::move(task);
  loop.stop();
}
}  // namespace detail

template <class T>
T run_to_end(EventLoop& loop, Task<T> task) {
  TaskGroup group;
  if constexpr (std::is_void_v<T>) {
    group.spawn(detail::finish_and_stop(loop, std::move(task)));
    loop.run();
  } else {
    std::optional<T> value;
    group.spawn(detail::store_and_stop(loop, std::move(task), value));
    loop.run();
    CHECK(value.has_value(), "nobody else stops the loop meanwhile");
    return std::move(*value);
  }
}

}  // namespace cleat::io
