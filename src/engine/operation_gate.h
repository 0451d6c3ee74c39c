// core::WritePipeline with coroutines waiting on it: an operation enters (waits for its turn),
// starts, is acknowledged, completes and leaves.
//
// Threading: one loop. Limits: core::kOperationsMax operations; others wait for a place, in order.
#pragma once

#include <coroutine>
#include <optional>
#include <vector>

#include "common/result.h"
#include "core/write_pipeline.h"
#include "io/executor.h"
#include "io/sync.h"
#include "io/task.h"

namespace cleat::engine {

class OperationGate {
 public:
  using Id = core::WritePipeline::Id;

  explicit OperationGate(io::Executor& executor);

  // Waits until nothing earlier that overlaps is left (R6). Fails with the reason given to abort().
  io::Task<Result<Id>> enter(core::OperationKind kind, BlockRange range);
  Seq start(Id id, core::MemberSet wait_for) { return pipeline_.start(id, wait_for); }
  void acknowledged(Id id, core::MemberIndex member);
  void member_left(core::MemberIndex member);
  // Waits until every member has acknowledged it or left (R1, R2). Fails after abort().
  io::Task<Result<void>> completion(Id id);
  void leave(Id id);

  // Writes and copies that have not entered wait until release(); hold() returns when none is
  // inside. Holds nest. kTimedOut, and nothing is held: some were still inside at `give_up_at`,
  // which is noticed by look_again().
  io::Task<Result<void>> hold(TimePoint give_up_at);
  void release();
  void look_again() { left_.notify_all(); }

  // Every operation that waits or comes later fails with this. For good.
  void abort(Error reason);
  const std::optional<Error>& aborted() const { return aborted_; }

  Seq known_everywhere() const { return pipeline_.known_everywhere(); }
  Seq last_seq() const { return pipeline_.last_seq(); }
  uint32_t in_flight() const { return pipeline_.in_flight(); }
  // Waits until every write up to this one is on every member, or the gate was aborted.
  io::Task<void> everywhere(Seq through);
  // Waits until no operation is inside.
  io::Task<void> drained();

 private:
  struct SlotAwaiter;
  void wake(Id id);

  io::Executor& executor_;
  core::WritePipeline pipeline_;
  std::vector<std::coroutine_handle<>> waiters_;  // by id: the operation itself, when it waits
  std::vector<Id> scratch_;
  io::WaitQueue room_;
  io::WaitQueue held_;
  io::WaitQueue left_;
  uint32_t holds_ = 0;
  uint32_t exclusive_inside_ = 0;
  std::vector<bool> exclusive_;
  std::optional<Error> aborted_;
};

}  // namespace cleat::engine
