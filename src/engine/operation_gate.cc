#include "engine/operation_gate.h"

namespace cleat::engine {

struct OperationGate::SlotAwaiter {
  std::coroutine_handle<>& slot;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) { slot = handle; }
  void await_resume() const {}
};

OperationGate::OperationGate(io::Executor& executor)
    : executor_(executor),
      waiters_(core::kOperationsMax),
      room_(executor),
      held_(executor),
      left_(executor),
      exclusive_(core::kOperationsMax) {
  scratch_.reserve(core::kOperationsMax);
}

void OperationGate::wake(Id id) {
  if (waiters_[id]) executor_.post(std::exchange(waiters_[id], {}));
}

io::Task<Result<OperationGate::Id>> OperationGate::enter(core::OperationKind kind,
                                                         BlockRange range) {
  bool exclusive = kind != core::OperationKind::kRead;
  Id id = core::WritePipeline::kNone;
  while (id == core::WritePipeline::kNone) {
    if (aborted_) co_return fail(*aborted_);
    if (exclusive && holds_ > 0) {
      co_await held_.wait();
      continue;
    }
    id = pipeline_.submit(kind, range);
    if (id == core::WritePipeline::kNone) co_await room_.wait();
  }
  exclusive_[id] = exclusive;
  if (exclusive) ++exclusive_inside_;
  while (!pipeline_.may_start(id) && !aborted_) co_await SlotAwaiter{waiters_[id]};
  if (aborted_) {
    leave(id);
    co_return fail(*aborted_);
  }
  co_return id;
}

void OperationGate::acknowledged(Id id, core::MemberIndex member) {
  if (pipeline_.acknowledged(id, member)) wake(id);
}

void OperationGate::member_left(core::MemberIndex member) {
  scratch_.clear();
  pipeline_.member_left(member, scratch_);
  for (Id id : scratch_) wake(id);
}

io::Task<Result<void>> OperationGate::completion(Id id) {
  while (!pipeline_.complete(id)) {
    if (aborted_) co_return fail(*aborted_);
    co_await SlotAwaiter{waiters_[id]};
  }
  co_return Result<void>{};
}

void OperationGate::leave(Id id) {
  scratch_.clear();
  pipeline_.finish(id, scratch_);
  for (Id next : scratch_) wake(next);
  if (exclusive_[id]) --exclusive_inside_;
  room_.notify_one();
  left_.notify_all();
}

io::Task<Result<void>> OperationGate::hold(TimePoint give_up_at) {
  ++holds_;
  while (exclusive_inside_ > 0) {
    bool late = executor_.now() >= give_up_at;
    if (aborted_ || late) {
      release();
      if (aborted_) co_return fail(*aborted_);
      co_return fail(Code::kTimedOut, "writes under way did not end: a replica is stuck");
    }
    co_await left_.wait();
  }
  co_return Result<void>{};
}

void OperationGate::release() {
  if (--holds_ == 0) held_.notify_all();
}

void OperationGate::abort(Error reason) {
  if (aborted_) return;
  aborted_ = reason;
  for (Id id = 0; id < waiters_.size(); ++id) wake(id);
  room_.notify_all();
  held_.notify_all();
  left_.notify_all();
}

io::Task<void> OperationGate::everywhere(Seq through) {
  while (!aborted_ && known_everywhere() < through) co_await left_.wait();
}

io::Task<void> OperationGate::drained() {
  while (pipeline_.in_flight() > 0) co_await left_.wait();
}

}  // namespace cleat::engine
