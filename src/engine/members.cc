#include "engine/members.h"

#include <algorithm>

#include "common/check.h"

namespace cleat::engine {

Members::Members(io::Executor& executor, OperationGate& gate, MemberFactory factory)
    : executor_(executor), gate_(gate), factory_(std::move(factory)), fenced_(executor) {}

void Members::adopt(const core::VolumeRecord& record) {
  for (core::MemberIndex index = 0; index < members_.size(); ++index) {
    const core::ReplicaRecord* replica = record.find(index);
    if (replica != nullptr && !knows(index)) members_[index].member = factory_(*replica);
    if (replica == nullptr && knows(index)) {
      members_[index].member->give_up();
      dropped_.push_back(std::move(members_[index].member));
      members_[index] = Slot{};
    }
  }
}

void Members::set_epoch(VolumeId volume, Epoch epoch) {
  volume_ = volume;
  epoch_ = epoch;
}

Result<void> Members::fill(core::MemberIndex member, wire::Header& request) const {
  if (!knows(member)) return fail(Code::kNotFound, "the replica was taken out of the record");
  request.volume = volume_;
  request.epoch = epoch_;
  request.member = member;
  request.known_everywhere = gate_.known_everywhere();
  if (request.type == wire::Type::kFence) return {};
  request.fence = members_[member].fence;
  if (request.fence == 0) return fail(Code::kNotInSync, "R4: the replica must be fenced first");
  return {};
}

void Members::note(core::MemberIndex member, const wire::Header& request, TimePoint sent,
                   const Result<void>& outcome) {
  if (outcome) {
    lease_.confirmed(member, sent);
    if (request.type == wire::Type::kClearRecent) members_[member].recent_lost = false;
    return;
  }
  bool unanswered = false;
  switch (outcome.error().code) {
    case Code::kUnreachable:
    case Code::kTimedOut:
    case Code::kClosed:
    case Code::kNotInSync: unanswered = true; break;
    default: break;
  }
  if (unanswered && members_[member].fence == request.fence) members_[member].fence = 0;
}

Members::Call::Call(Members& members, core::MemberIndex index, TimePoint limit)
    : of(members),
      called(members.members_[index].member.get()),
      member(index),
      until(limit),
      next(members.calls_) {
  if (next != nullptr) next->before = this;
  of.calls_ = this;
}

Members::Call::~Call() {
  (before != nullptr ? before->next : of.calls_) = next;
  if (next != nullptr) next->before = before;
}

io::Task<Result<wire::Header>> Members::call(core::MemberIndex member, wire::Header request,
                                             ConstBuffer payload, MutableBuffer into,
                                             Duration timeout) {
  CO_TRY(fill(member, request));
  TimePoint sent = executor_.now();
  // A merge on a disk that works may take longer than any limit.
  bool merges = request.type == wire::Type::kDeleteSnapshot;
  Call under_way(*this, member, merges ? TimePoint::max() : sent + timeout);
  members_[member].called = sent;
  ++members_[member].calls;
  auto reply = co_await members_[member].member->call(request, payload, into, timeout);
  if (members_[member].calls > 0) --members_[member].calls;  // its slot may be a new one
  note(member, request, sent, reply ? Result<void>{} : fail(reply.error()));
  co_return reply;
}

io::Task<Result<Answer>> Members::query(core::MemberIndex member, wire::Header request,
                                        ConstBuffer payload, Duration timeout) {
  CO_TRY(fill(member, request));
  TimePoint sent = executor_.now();
  Call under_way(*this, member, sent + timeout);
  members_[member].called = sent;
  ++members_[member].calls;
  auto answer = co_await members_[member].member->query(request, payload, timeout);
  if (members_[member].calls > 0) --members_[member].calls;
  note(member, request, sent, answer ? Result<void>{} : fail(answer.error()));
  co_return answer;
}

io::Task<Result<FenceAnswer>> Members::fence(core::MemberIndex member, Duration timeout) {
  wire::Header request;
  request.type = wire::Type::kFence;
  request.fence = ++last_fence_;
  CO_TRY_ASSIGN(Answer answer, co_await query(member, request, {}, timeout));
  CO_TRY_ASSIGN(FenceAnswer fenced, decode_fence(answer.payload));
  Slot& slot = members_[member];
  slot.fence = std::max(slot.fence, request.fence);
  slot.recent_lost = fenced.reply.recent_lost;
  fenced.reply.member = member;
  if (fenced.reply.recent_lost) {
    CO_TRY_ASSIGN(fenced.reply.intent_regions, co_await intent_regions(member));
  }
  co_return fenced;
}

io::Task<Result<void>> Members::ready(core::MemberIndex member, Duration timeout) {
  // Who comes while a fence is under way shares its outcome: one fence after the other for each of
  // those who wait would outlast them all.
  if (fencing_.contains(member)) {
    uint64_t attempt = members_[member].attempts;
    while (fencing_.contains(member) && members_[member].attempts == attempt) {
      co_await fenced_.wait();
    }
    CO_TRY(members_[member].outcome);
  } else if (knows(member) && members_[member].fence == 0) {
    fencing_.add(member);
    auto fenced = co_await fence(member, timeout);
    fencing_.remove(member);
    ++members_[member].attempts;
    members_[member].outcome = fenced ? Result<void>{} : fail(fenced.error());
    fenced_.notify_all();
    if (!fenced) co_return fail(fenced.error());
  }
  if (members_[member].recent_lost) {
    co_return fail(Code::kCorrupt,
                   "the replica lost power: writes that were not flushed may be missing");
  }
  co_return Result<void>{};
}

io::Task<Result<std::vector<core::DirtyRegion>>> Members::dirty_regions(core::MemberIndex member,
                                                                        Generation at_or_above) {
  std::vector<core::DirtyRegion> all;
  wire::Header request;
  request.type = wire::Type::kDirtyRegions;
  request.generation = at_or_above;
  for (;;) {
    CO_TRY_ASSIGN(Answer answer, co_await query(member, request));
    CO_TRY_ASSIGN(std::vector<core::DirtyRegion> page, decode_dirty(answer.payload));
    if (!page.empty() && page.front().region < request.range.first) {
      co_return fail(Code::kCorrupt, "a list of dirty regions goes back");
    }
    all.insert(all.end(), page.begin(), page.end());
    if (!answer.header.has(wire::kMore) || page.empty()) co_return all;
    request.range.first = page.back().region + 1;
  }
}

io::Task<Result<std::vector<uint64_t>>> Members::intent_regions(core::MemberIndex member) {
  std::vector<uint64_t> all;
  wire::Header request;
  request.type = wire::Type::kIntentRegions;
  for (;;) {
    CO_TRY_ASSIGN(Answer answer, co_await query(member, request));
    CO_TRY_ASSIGN(std::vector<uint64_t> page, decode_numbers(answer.payload));
    if (!page.empty() && page.front() < request.range.first) {
      co_return fail(Code::kCorrupt, "a list of regions goes back");
    }
    all.insert(all.end(), page.begin(), page.end());
    if (!answer.header.has(wire::kMore) || page.empty()) co_return all;
    request.range.first = page.back() + 1;
  }
}

void Members::give_up(core::MemberIndex member) {
  if (knows(member)) members_[member].member->give_up();
}

core::MemberSet Members::overdue() {
  core::MemberSet found;
  for (Call* call = calls_; call != nullptr; call = call->next) {
    if (call->until >= executor_.now() || call->called != members_[call->member].member.get()) {
      continue;
    }
    if (call->found_overdue) found.add(call->member);
    call->found_overdue = true;
  }
  return found;
}

void Members::give_up_silent(Duration silence) {
  TimePoint before = executor_.now() - silence;
  for (core::MemberIndex index = 0; index < members_.size(); ++index) {
    const Slot& slot = members_[index];
    if (slot.calls > 0 && slot.called < before && lease_.last_confirmed(index) < before) {
      give_up(index);
    }
  }
}

}  // namespace cleat::engine
