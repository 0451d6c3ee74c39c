// One io_uring operation, awaited: fill in sqe() by an io_uring_prep_* function, then co_await the
// object. The result is that of the completion: a count, a descriptor or a negative errno.
//
//   UringOperation operation(loop);
//   io_uring_prep_fsync(&operation.sqe(), fd, IORING_FSYNC_DATASYNC);
//   int result = co_await operation;
//
// Lives in the frame of the coroutine that awaits it: costs no allocation. May be filled in and
// awaited again. -ECANCELED when it was cancelled, timed out, or the loop is shutting down.
//
// Threading: the loop's own thread.
#pragma once

#include <liburing.h>

#include <coroutine>
#include <cstdint>

#include "common/time.h"

namespace cleat::io {

class EventLoop;

class UringOperation {
 public:
  explicit UringOperation(EventLoop& loop) : loop_(loop) {}
  UringOperation(const UringOperation&) = delete;

  io_uring_sqe& sqe() { return sqe_; }
  // Ends the operation with -ECANCELED if it is not done by then. For the next await only.
  void set_timeout(Duration timeout);
  // Flags of the last completion (IORING_CQE_F_*).
  uint32_t completion_flags() const { return completion_flags_; }
  // True from co_await until the coroutine goes on.
  bool pending() const { return pending_; }
  // Asks the kernel to end a pending operation; it ends with -ECANCELED, or as if nothing had been
  // asked.
  void cancel();

  bool await_ready();
  void await_suspend(std::coroutine_handle<> waiter);
  int await_resume();

 private:
  friend class EventLoop;

  EventLoop& loop_;
  io_uring_sqe sqe_{};
  std::coroutine_handle<> waiter_;
  int result_ = 0;
  uint32_t completion_flags_ = 0;
  bool pending_ = false;
  bool has_timeout_ = false;
  __kernel_timespec timeout_{};
  UringOperation* next_ = nullptr;  // in the loop's backlog, while the submission queue is full
};

}  // namespace cleat::io
