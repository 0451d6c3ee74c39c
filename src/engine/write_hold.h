// Holds the writes and copies of an attached volume for a while, so that several volumes can be
// frozen at one point in time: each by a snapshot under its own hold, which release() confirms.
//
// Threading: the volume's loop. Ownership: borrows the gate. Who asked for a hold may be gone: it
// ends by itself at its time.
#pragma once

#include "common/log.h"
#include "engine/operation_gate.h"

namespace cleat::engine {

class WriteHold {
 public:
  WriteHold(io::Executor& executor, OperationGate& gate) : executor_(executor), gate_(gate) {}

  // Returns when no write is inside, which takes as long as for a snapshot. kConflict: another hold
  // is on. kTimedOut: the time was over before.
  io::Task<Result<void>> begin(uint64_t id, Duration time_max) {
    if (id_ != 0) co_return fail(Code::kConflict, "the writes are held already");
    id_ = id;
    until_ = executor_.now() + time_max;
    auto held = co_await gate_.hold();
    on_ = held.has_value();
    if (!on_) id_ = 0;
    expire(executor_.now());
    if (held && id_ != id) held = fail(Code::kTimedOut, "writes under way did not end in time");
    co_return held;
  }

  // Success: it was on from begin() to now. kConflict: it is not, or ended by itself.
  Result<void> release(uint64_t id) {
    if (!on_ || id_ != id) return fail(Code::kConflict, "the hold of the writes is over");
    end();
    if (gate_.aborted()) return fail(*gate_.aborted());
    return {};
  }

  void expire(TimePoint now) {
    if (!on_ || now < until_) return;
    LOG_WARN("a hold of writes was not released in time: they go on");
    end();
  }

 private:
  void end() {
    on_ = false;
    id_ = 0;
    gate_.release();
  }

  io::Executor& executor_;
  OperationGate& gate_;
  uint64_t id_ = 0;  // 0: none
  TimePoint until_;
  bool on_ = false;  // nothing is inside
};

}  // namespace cleat::engine
