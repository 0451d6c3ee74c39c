#include "engine/members.h"

#include "common/check.h"

namespace cleat::engine {

Members::Members(io::Executor& executor, OperationGate& gate, MemberFactory factory)
    : executor_(executor), gate_(gate), factory_(std::move(factory)) {}

void Members::adopt(const core::VolumeRecord& record) {
  for (core::MemberIndex index = 0; index < members_.size(); ++index) {
    const core::ReplicaRecord* replica = record.find(index);
    if (replica != nullptr && members_[index] == nullptr) members_[index] = factory_(*replica);
    if (replica == nullptr && members_[index] != nullptr) {
      members_[index]->give_up();
      dropped_.push_back(std::move(members_[index]));
    }
  }
}

void Members::set_epoch(VolumeId volume, Epoch epoch) {
  volume_ = volume;
  epoch_ = epoch;
}

void Members::fill(core::MemberIndex member, wire::Header& request) const {
  request.volume = volume_;
  request.epoch = epoch_;
  request.member = member;
  request.known_everywhere = gate_.known_everywhere();
}

io::Task<Result<wire::Header>> Members::call(core::MemberIndex member, wire::Header request,
                                             ConstBuffer payload, MutableBuffer into,
                                             Duration timeout) {
  if (!knows(member)) co_return fail(Code::kNotFound, "the replica was taken out of the record");
  fill(member, request);
  TimePoint sent = executor_.now();
  auto reply = co_await members_[member]->call(request, payload, into, timeout);
  if (reply) lease_.confirmed(member, sent);
  co_return reply;
}

io::Task<Result<Answer>> Members::query(core::MemberIndex member, wire::Header request,
                                        ConstBuffer payload, Duration timeout) {
  if (!knows(member)) co_return fail(Code::kNotFound, "the replica was taken out of the record");
  fill(member, request);
  TimePoint sent = executor_.now();
  auto answer = co_await members_[member]->query(request, payload, timeout);
  if (answer) lease_.confirmed(member, sent);
  co_return answer;
}

io::Task<Result<FenceAnswer>> Members::fence(core::MemberIndex member, Duration timeout) {
  wire::Header request;
  request.type = wire::Type::kFence;
  CO_TRY_ASSIGN(Answer answer, co_await query(member, request, {}, timeout));
  CO_TRY_ASSIGN(FenceAnswer fenced, decode_fence(answer.payload));
  fenced.reply.member = member;
  if (fenced.reply.recent_lost) {
    CO_TRY_ASSIGN(fenced.reply.intent_regions,
                  co_await regions(member, wire::Type::kIntentRegions, Generation{}));
  }
  co_return fenced;
}

io::Task<Result<std::vector<uint64_t>>> Members::regions(core::MemberIndex member, wire::Type type,
                                                         Generation at_or_above) {
  std::vector<uint64_t> all;
  wire::Header request;
  request.type = type;
  request.generation = at_or_above;
  for (;;) {
    CO_TRY_ASSIGN(Answer answer, co_await query(member, request));
    CO_TRY_ASSIGN(std::vector<uint64_t> page, decode_numbers(answer.payload));
    all.insert(all.end(), page.begin(), page.end());
    if (!answer.header.has(wire::kMore) || page.empty()) co_return all;
    request.range.first = page.back() + 1;
  }
}

void Members::give_up(core::MemberIndex member) {
  if (knows(member)) members_[member]->give_up();
}

}  // namespace cleat::engine
