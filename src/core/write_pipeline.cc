#include "core/write_pipeline.h"

#include <algorithm>

#include "common/check.h"

namespace cleat::core {

WritePipeline::WritePipeline() : operations_(kOperationsMax) {
  free_.reserve(kOperationsMax);
  active_.reserve(kOperationsMax);
  for (Id id = kOperationsMax; id > 0; --id) free_.push_back(id - 1);
}

bool WritePipeline::conflict(const Operation& a, const Operation& b) {
  bool both_read = a.kind == OperationKind::kRead && b.kind == OperationKind::kRead;
  return !both_read && a.range.overlaps(b.range);
}

WritePipeline::Id WritePipeline::submit(OperationKind kind, BlockRange range) {
  if (free_.empty()) return kNone;
  Id id = free_.back();
  free_.pop_back();
  Operation& operation = operations_[id];
  operation = Operation{};
  operation.kind = kind;
  operation.range = range;
  operation.order = next_order_++;
  for (Id other : active_) {
    if (conflict(operations_[other], operation)) ++operation.blocked_by;
  }
  active_.push_back(id);
  return id;
}

Seq WritePipeline::start(Id id, MemberSet wait_for) {
  Operation& operation = operations_[id];
  CHECK(operation.blocked_by == 0 && !operation.started,
        "R6: an operation starts in its turn, once");
  operation.started = true;
  operation.waiting = wait_for;
  if (operation.kind == OperationKind::kWrite) {
    last_seq_ = last_seq_.next();
    operation.seq = last_seq_;
  }
  return operation.seq;
}

bool WritePipeline::acknowledged(Id id, MemberIndex member) {
  operations_[id].waiting.remove(member);
  return complete(id);
}

void WritePipeline::member_left(MemberIndex member, std::vector<Id>& completed) {
  for (Id id : active_) {
    Operation& operation = operations_[id];
    if (!operation.started || !operation.waiting.contains(member)) continue;
    operation.waiting.remove(member);
    if (operation.waiting.empty()) completed.push_back(id);
  }
}

void WritePipeline::finish(Id id, std::vector<Id>& startable) {
  const Operation& done = operations_[id];
  auto place = std::find(active_.begin(), active_.end(), id);
  CHECK(place != active_.end(), "an operation finishes once");
  if (done.seq.value != 0 && !complete(id)) given_up_ = std::min(given_up_, done.seq);
  for (auto later = place + 1; later != active_.end(); ++later) {
    Operation& operation = operations_[*later];
    if (!conflict(done, operation)) continue;
    if (--operation.blocked_by == 0) startable.push_back(*later);
  }
  active_.erase(place);
  free_.push_back(id);
}

Seq WritePipeline::known_everywhere() const {
  Seq known = last_seq_;
  if (given_up_ <= known) known = Seq(given_up_.value - 1);
  for (Id id : active_) {
    const Operation& operation = operations_[id];
    if (operation.seq.value == 0) continue;
    known = std::min(known, Seq(operation.seq.value - 1));
  }
  return known;
}

}  // namespace cleat::core
