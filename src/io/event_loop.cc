#include "io/event_loop.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "common/check.h"

namespace cleat::io {
namespace {

__kernel_timespec to_timespec(Duration duration) {
  int64_t ns = std::max<int64_t>(duration.count(), 0);
  return {ns / 1'000'000'000, ns % 1'000'000'000};
}

// What a wait may answer when nothing is wrong: time is up, a signal, or completions to reap first.
bool is_harmless(int result) {
  return result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
         result == -EBUSY;
}

}  // namespace

// ---- making and ending --------------------------------------------------------------------------

Result<std::unique_ptr<EventLoop>> EventLoop::create(Options options) {
  std::unique_ptr<EventLoop> loop(new EventLoop(options));
  TRY(loop->open_ring(options.submission_entries));
  loop->wake_fd_ = ::eventfd(0, EFD_CLOEXEC);
  if (loop->wake_fd_ < 0) return fail(Code::kLimit, "cannot make an eventfd", errno);
  if (io_uring_register_files_sparse(&loop->ring_, kRegisteredFilesMax) == 0) {
    loop->has_file_table_ = true;
    for (int slot = kRegisteredFilesMax; slot-- > 0;) loop->free_slots_.push_back(slot);
  }
  loop->posts_task_.spawn(loop->serve_posts());
  return loop;
}

EventLoop::EventLoop(Options options) {
  if (options.shuffle_seed) shuffle_.emplace(*options.shuffle_seed);
}

Result<void> EventLoop::open_ring(unsigned entries) {
  // Disabled at first: the ring belongs to the thread that enables it, which is the one that runs.
  constexpr std::array<unsigned, 3> kFlagsByPreference = {
      IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
      IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN,
      IORING_SETUP_R_DISABLED,
  };
  int result = 0;
  for (unsigned flags : kFlagsByPreference) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
    params.cq_entries = entries * 4;
    result = io_uring_queue_init_params(entries, &ring_, &params);
    if (result == 0) {
      ring_open_ = true;
      return {};
    }
    if (result != -EINVAL) break;
  }
  if (result == -ENOMEM || result == -EMFILE || result == -ENFILE) {
    return fail(Code::kLimit,
                "no memory or descriptors for io_uring: raise RLIMIT_MEMLOCK or RLIMIT_NOFILE",
                -result);
  }
  return fail(Code::kUnsupported,
              "the kernel refuses io_uring: see kernel.io_uring_disabled and the container's "
              "seccomp profile",
              -result);
}

EventLoop::~EventLoop() {
  if (ring_open_ && !shutting_down_) shutdown();
  if (ring_open_) io_uring_queue_exit(&ring_);
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

void EventLoop::own_on_this_thread() {
  if (!ring_enabled_) {
    // By hand: liburing 2.3 declares io_uring_enable_rings() but its shared library lacks it.
    long result =
        ::syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    CHECK(result == 0, "a ring that was made can be enabled");
    ring_enabled_ = true;
    owner_ = std::this_thread::get_id();
  }
  CHECK(owner_ == std::this_thread::get_id(), "a loop stays on the thread that ran it first");
}

void EventLoop::run() {
  own_on_this_thread();
  do {
    turn();
  } while (!stop_requested_.load(std::memory_order_acquire));
  stop_requested_.store(false, std::memory_order_relaxed);
}

void EventLoop::stop() {
  stop_requested_.store(true, std::memory_order_release);
  uint64_t one = 1;
  static_cast<void>(::write(wake_fd_, &one, sizeof one));
}

void EventLoop::shutdown() {
  own_on_this_thread();
  shutting_down_ = true;
  while (operations_pending_ > 0 || !ready_.empty()) {
    place_backlog();
    request_cancel_of_all();
    // Not a plain wait for one more completion: what can't be cancelled (a disk write) takes its
    // time, and what it wakes may have started others by then.
    __kernel_timespec timeout = to_timespec(kShutdownPoll);
    io_uring_cqe* first = nullptr;
    int result = io_uring_submit_and_wait_timeout(&ring_, &first, 2, &timeout, nullptr);
    CHECK(is_harmless(result), "io_uring_enter works on a ring of ours");
    reap_completions();
    run_ready();
  }
}

void EventLoop::request_cancel_of_all() {
  if (operations_pending_ == 0 || !make_room(1)) return;
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  io_uring_sqe_set_data64(sqe, 0);
}

// ---- one turn -----------------------------------------------------------------------------------

void EventLoop::turn() {
  place_backlog();
  wait_for_work();
  reap_completions();
  fire_timers();
  run_ready();
}

void EventLoop::wait_for_work() {
  bool may_sleep = ready_.empty() && !stop_requested_.load(std::memory_order_acquire);
  Duration until_timer{};
  if (may_sleep && !timers_.empty()) {
    until_timer = timers_.top().at - now();
    may_sleep = until_timer > Duration::zero();
  }
  int result = 0;
  if (!may_sleep) {
    result = io_uring_submit_and_get_events(&ring_);
  } else if (timers_.empty()) {
    result = io_uring_submit_and_wait(&ring_, 1);
  } else {
    __kernel_timespec timeout = to_timespec(until_timer);
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
  }
  CHECK(is_harmless(result), "io_uring_enter works on a ring of ours");
}

void EventLoop::reap_completions() {
  struct Completion {
    UringOperation* operation;
    int result;
    uint32_t flags;
  };
  std::array<io_uring_cqe*, kCompletionsPerBatch> cqes;
  std::array<Completion, kCompletionsPerBatch> batch;
  unsigned count = 0;
  do {
    // Copied out before anyone runs: what runs may submit, and that may reuse the ring's entries.
    count = io_uring_peek_batch_cqe(&ring_, cqes.data(), kCompletionsPerBatch);
    for (unsigned i = 0; i < count; ++i) {
      batch[i] = {static_cast<UringOperation*>(io_uring_cqe_get_data(cqes[i])), cqes[i]->res,
                  cqes[i]->flags};
    }
    io_uring_cq_advance(&ring_, count);
    for (unsigned i = 0; i < count; ++i) {
      if (batch[i].operation != nullptr) {
        complete(*batch[i].operation, batch[i].result, batch[i].flags);
      }
    }
  } while (count == kCompletionsPerBatch);
}

void EventLoop::complete(UringOperation& operation, int result, uint32_t flags) {
  --operations_pending_;
  operation.result_ = result;
  operation.completion_flags_ = flags;
  if (shuffle_) {
    ready_.push(operation.waiter_);
  } else {
    operation.waiter_.resume();
  }
}

void EventLoop::fire_timers() {
  if (timers_.empty()) return;
  TimePoint time = now();
  while (!timers_.empty() && timers_.top().at <= time) {
    Timer& timer = timers_.top();
    timers_.remove(timer);
    timer.waiter.resume();
  }
}

void EventLoop::run_ready() {
  for (size_t i = 0; i < kReadyPerTurn && !ready_.empty(); ++i) {
    std::coroutine_handle<> next = shuffle_ ? ready_.pop_random(*shuffle_) : ready_.pop();
    next.resume();
  }
}

TimePoint EventLoop::now() const {
  // Counts the time a suspended machine sleeps, or a lease would seem to hold when it wakes.
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return TimePoint(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

void EventLoop::cancel(Timer& timer) {
  if (timer.armed) timers_.remove(timer);
}

// ---- operations ---------------------------------------------------------------------------------

void EventLoop::submit(UringOperation& operation) {
  ++operations_pending_;
  if (backlog_head_ == nullptr && place(operation)) return;
  operation.next_ = nullptr;
  (backlog_head_ == nullptr ? backlog_head_ : backlog_tail_->next_) = &operation;
  backlog_tail_ = &operation;
}

bool EventLoop::place(UringOperation& operation) {
  if (!make_room(operation.has_timeout_ ? 2 : 1)) return false;
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  *sqe = operation.sqe_;
  io_uring_sqe_set_data(sqe, &operation);
  if (operation.has_timeout_) {
    sqe->flags |= IOSQE_IO_LINK;
    io_uring_sqe* limit = io_uring_get_sqe(&ring_);
    io_uring_prep_link_timeout(limit, &operation.timeout_, 0);
    io_uring_sqe_set_data64(limit, 0);
  }
  return true;
}

bool EventLoop::make_room(unsigned entries) {
  if (io_uring_sq_space_left(&ring_) >= entries) return true;
  if (!ring_enabled_) return false;
  int result = io_uring_submit(&ring_);
  CHECK(is_harmless(result), "io_uring_enter works on a ring of ours");
  return io_uring_sq_space_left(&ring_) >= entries;
}

void EventLoop::place_backlog() {
  while (backlog_head_ != nullptr) {
    UringOperation* operation = backlog_head_;
    if (!place(*operation)) return;
    backlog_head_ = operation->next_;
  }
}

void EventLoop::cancel(UringOperation& operation) {
  // One that waits for a place must be in the ring first: a request to cancel finds only those.
  place_backlog();
  if (!make_room(1)) return;
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  io_uring_prep_cancel(sqe, &operation, 0);
  io_uring_sqe_set_data64(sqe, 0);
}

void UringOperation::set_timeout(Duration timeout) {
  has_timeout_ = true;
  timeout_ = to_timespec(timeout);
}

void UringOperation::cancel() {
  if (pending_) loop_.cancel(*this);
}

bool UringOperation::await_ready() {
  if (!loop_.shutting_down_) return false;
  result_ = -ECANCELED;
  completion_flags_ = 0;
  return true;
}

void UringOperation::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  pending_ = true;
  loop_.submit(*this);
}

int UringOperation::await_resume() {
  pending_ = false;
  has_timeout_ = false;
  return result_;
}

// ---- files --------------------------------------------------------------------------------------

int EventLoop::register_file(int fd) {
  if (!has_file_table_ || free_slots_.empty()) return -1;
  int slot = free_slots_.back();
  if (io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &fd, 1) != 1) return -1;
  free_slots_.pop_back();
  return slot;
}

void EventLoop::unregister_file(int slot) {
  if (slot < 0) return;
  int none = -1;
  if (io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &none, 1) == 1) {
    free_slots_.push_back(slot);
  }
}

// ---- from other threads -------------------------------------------------------------------------

void EventLoop::post_from_any_thread(std::function<void()> function) {
  bool was_empty = false;
  {
    std::lock_guard lock(posts_mutex_);
    was_empty = posts_.empty();
    posts_.push_back(std::move(function));
  }
  if (!was_empty) return;
  uint64_t one = 1;
  static_cast<void>(::write(wake_fd_, &one, sizeof one));
}

Task<void> EventLoop::serve_posts() {
  UringOperation operation(*this);
  while (!shutting_down_) {
    io_uring_prep_read(&operation.sqe(), wake_fd_, &wake_count_, sizeof wake_count_, 0);
    int result = co_await operation;
    if (result == -ECANCELED) break;
    run_posts();
  }
}

void EventLoop::run_posts() {
  std::vector<std::function<void()>> functions;
  {
    std::lock_guard lock(posts_mutex_);
    functions.swap(posts_);
  }
  for (std::function<void()>& function : functions) function();
}

}  // namespace cleat::io
