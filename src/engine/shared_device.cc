#include "engine/shared_device.h"

#include <algorithm>

#include "common/log.h"
#include "engine/payloads.h"

namespace cleat::engine {
namespace {

constexpr Duration kHeartbeatInterval = std::chrono::milliseconds(500);
constexpr Duration kPrimarySilenceMax = std::chrono::seconds(2);  // then it is given up
constexpr Duration kJoinInterval = std::chrono::milliseconds(200);
constexpr Duration kJoinTimeout = std::chrono::seconds(5);
constexpr Duration kLeaveTimeout = std::chrono::seconds(5);
// The primary bounds its waiting (R10); this is for the way there and back.
constexpr Duration kAnswerGrace = std::chrono::seconds(10);

constexpr Error kExpelled{Code::kPermission, 0,
                          "this node was expelled from the shared volume: attach it again"};
constexpr Error kTooMany{Code::kLimit, 0,
                         "the shared volume is attached on as many nodes as it may be"};

}  // namespace

SharedDevice::SharedDevice(const ShareContext& context, VolumeId volume, uint64_t size_blocks,
                           Begin begin)
    : context_(context),
      volume_(volume),
      size_blocks_(size_blocks),
      is_new_(begin == Begin::kNew),
      may_join_(begin == Begin::kNew),
      next_number_(context.first_number),
      changed_(context.executor),
      idle_(context.executor) {}

SharedDevice::~SharedDevice() { CHECK(inside_ == 0, "a shared device is stopped before it dies"); }

void SharedDevice::start() {
  tasks_.spawn(join_loop());
  tasks_.spawn(heartbeats());
}

void SharedDevice::resent() {
  may_join_ = true;
  changed_.notify_all();
}

void SharedDevice::close() {
  stopping_ = true;
  changed_.notify_all();
  if (session_ && inside_ > 0) context_.link.give_up(session_->primary, volume_);
}

io::Task<void> SharedDevice::stop() {
  close();
  while (inside_ > 0) co_await idle_.wait();
  co_await tasks_.close();
}

io::Task<Result<void>> SharedDevice::leave() {
  Result<void> left;
  if (session_) {
    Session session = *session_;
    wire::Header request = in_session(header(wire::Type::kShareLeave, {}), session);
    auto answer = co_await context_.link.call(session.primary, request, {}, {}, kLeaveTimeout);
    left = answer ? answer->status() : fail(answer.error());
  } else if (!ended_) {
    left = fail(Code::kUnreachable, "the primary of the shared volume does not answer");
  }
  co_await stop();
  co_return left;
}

// ---- operations

wire::Header SharedDevice::header(wire::Type type, BlockRange range) const {
  wire::Header request;
  request.type = type;
  request.volume = volume_;
  request.range = range;
  return request;
}

wire::Header SharedDevice::in_session(wire::Header request, const Session& session) const {
  request.epoch = session.epoch;
  request.fence = session.number;
  return request;
}

io::Task<Result<void>> SharedDevice::read(BlockRange range, MutableBuffer into) {
  return operate(header(wire::Type::kShareRead, range), {}, into);
}

io::Task<Result<void>> SharedDevice::write(BlockRange range, ConstBuffer from, WriteFlags flags) {
  wire::Header request = header(wire::Type::kShareWrite, range);
  if (flags == WriteFlags::kFua) request.flags |= wire::kFua;
  return operate(request, from, {});
}

io::Task<Result<void>> SharedDevice::zero(BlockRange range, WriteFlags flags) {
  wire::Header request = header(wire::Type::kShareZero, range);
  if (flags == WriteFlags::kFua) request.flags |= wire::kFua;
  return operate(request, {}, {});
}

io::Task<Result<void>> SharedDevice::flush() {
  return operate(header(wire::Type::kShareFlush, {}), {}, {});
}

io::Task<Result<void>> SharedDevice::operate(wire::Header request, ConstBuffer payload,
                                             MutableBuffer into) {
  ++inside_;
  const uint64_t number = next_number_++;
  request.seq = Seq(number);
  if (request.type == wire::Type::kShareWrite || request.type == wire::Type::kShareZero) {
    changes_.push_back({{number, request.range}});
  }
  auto result = co_await repeat(request, payload, into);
  for (Change& change : changes_) {
    if (change.name.number == number) change.has_ended = true;
  }
  if (--inside_ == 0) idle_.notify_all();
  co_return result;
}

void SharedDevice::delivered(BlockRange range) {
  std::erase_if(changes_, [&](const Change& change) {
    const BlockRange& changed = change.name.range;
    bool is_inside = changed.first >= range.first && changed.end() <= range.end();
    if (!change.has_ended || !is_inside) return false;
    to_confirm_.push_back(change.name.number);
    return true;
  });
  begin_confirm();
}

// Until there is an answer.
io::Task<Result<void>> SharedDevice::repeat(const wire::Header& request, ConstBuffer payload,
                                            MutableBuffer into) {
  const TimePoint give_up_at = context_.executor.now() + context_.wait_max;
  for (;;) {
    CO_TRY_ASSIGN(Session session, co_await wait_for_session(give_up_at));
    auto reply = co_await context_.link.call(session.primary, in_session(request, session), payload,
                                             into, context_.wait_max + kAnswerGrace);
    Result<void> outcome;
    if (understand(session, reply, outcome) != Said::kAgain) co_return outcome;
  }
}

io::Task<Result<SharedDevice::Session>> SharedDevice::wait_for_session(TimePoint give_up_at) {
  for (;;) {
    if (ended_) co_return fail(*ended_);
    if (stopping_) co_return fail(Code::kClosed, "the device of the shared volume is closed");
    if (session_) co_return *session_;
    if (context_.executor.now() >= give_up_at) {
      co_return fail(Code::kTimedOut, "no primary of the shared volume answered within the limit");
    }
    co_await changed_.wait();
  }
}

SharedDevice::Said SharedDevice::understand(const Session& session,
                                            const Result<wire::Header>& reply,
                                            Result<void>& outcome) {
  if (!reply) {
    lost(session);
    return Said::kAgain;
  }
  if (!reply->error) {
    size_blocks_ = std::max(size_blocks_, reply->range.first);
    return Said::kDone;
  }
  switch (*reply->error) {
    case Code::kPermission:
      end(kExpelled);
      outcome = fail(*ended_);
      return Said::kFailed;
    case Code::kNotInSync:
    case Code::kStaleEpoch:
    case Code::kClosed:
    case Code::kCancelled: lost(session); return Said::kAgain;
    default: outcome = reply->status(); return Said::kFailed;
  }
}

// ---- the session with the primary

void SharedDevice::lost(const Session& session) {
  if (session_ != session) return;
  session_.reset();
  changed_.notify_all();
}

void SharedDevice::end(Error reason) {
  if (!ended_) LOG_ERROR("volume {}: {}", volume_.value, reason.what);
  ended_ = reason;
  session_.reset();
  changed_.notify_all();
}

io::Task<void> SharedDevice::join_loop() {
  while (!stopping_ && !ended_) {
    if (session_ || !may_join_) {
      co_await changed_.wait();
      continue;
    }
    co_await join();
    if (!session_ && !stopping_ && !ended_) co_await context_.executor.sleep(kJoinInterval);
  }
}

io::Task<void> SharedDevice::join() {
  auto found = co_await context_.registry.load(volume_);
  if (!found) {
    problem_ = "the metadata store (etcd) does not answer";
    if (found.error().code == Code::kNotFound) {
      end(Error{Code::kClosed, 0, "the volume was deleted"});
    } else if (last_primary_ != NodeId{}) {
      // Most likely it still is. One that was superseded acknowledges nothing (R4, R5).
      auto joined = co_await join_primary(last_primary_);
      (void)joined;  // else again, by what the record says then
    }
    co_return;
  }
  const core::VolumeRecord& record = found->record;
  if (!is_new_ && !record.has_sharer(context_.self)) {
    end(kExpelled);
    co_return;
  }
  if (record.primary == NodeId{}) {
    problem_ = "the shared volume has no primary";
    co_return;
  }
  auto joined = co_await join_primary(record.primary);
  if (!joined) problem_ = "the primary of the shared volume does not answer";
}

// Two steps: the primary gives the session a number, then this names what it has no answer to. What
// a network delivers late belongs to another session, and changes nothing.
io::Task<Result<void>> SharedDevice::join_primary(NodeId primary) {
  wire::Header request = header(wire::Type::kShareJoin, {});
  if (is_new_) request.flags |= wire::kNew;
  CO_TRY_ASSIGN(wire::Header opened, co_await ask_to_join(primary, request, {}));
  const Session session{primary, opened.epoch, opened.fence};
  request = in_session(header(wire::Type::kShareNames, {}), session);
  if (is_new_) request.flags |= wire::kNew;
  to_confirm_.clear();  // whatever is not named is confirmed
  std::vector<core::UnansweredChange> changes;
  for (const Change& change : changes_) changes.push_back(change.name);
  std::vector<std::byte> named = encode_unanswered(changes);
  CO_TRY_ASSIGN(wire::Header joined, co_await ask_to_join(primary, request, named));
  is_new_ = false;
  size_blocks_ = std::max(size_blocks_, joined.range.first);
  session_ = session;
  last_primary_ = primary;
  problem_ = "";
  changed_.notify_all();
  begin_confirm();
  co_return Result<void>{};
}

io::Task<Result<wire::Header>> SharedDevice::ask_to_join(NodeId primary, wire::Header request,
                                                         ConstBuffer payload) {
  auto reply = co_await context_.link.call(primary, request, payload, {}, kJoinTimeout);
  Code code = reply ? reply->error.value_or(Code{}) : reply.error().code;
  if (!reply && code == Code::kUnsupported) end(reply.error());
  if (reply && code == Code::kPermission) end(kExpelled);
  if (reply && code == Code::kLimit) end(kTooMany);
  if (reply) CO_TRY(reply->status());
  co_return reply;
}

io::Task<Result<void>> SharedDevice::joined(Duration timeout) {
  ++inside_;
  auto session = co_await wait_for_session(context_.executor.now() + timeout);
  if (--inside_ == 0) idle_.notify_all();
  if (!session) co_return fail(session.error());
  co_return Result<void>{};
}

// ---- what the primary is told

// Also wakes those whose time is over.
io::Task<void> SharedDevice::heartbeats() {
  while (!stopping_ && !ended_) {
    changed_.notify_all();
    if (session_) {
      bool told = co_await tell(*session_, {});
      (void)told;  // the session is then lost, and made anew
    }
    co_await context_.executor.sleep(kHeartbeatInterval);
  }
}

void SharedDevice::begin_confirm() {
  if (to_confirm_.empty() || confirming_ || stopping_) return;
  confirming_ = true;
  tasks_.spawn(confirm());
}

io::Task<void> SharedDevice::confirm() {
  while (session_ && !to_confirm_.empty() && !stopping_) {
    std::vector<uint64_t> numbers = std::exchange(to_confirm_, {});
    std::ranges::sort(numbers);
    bool told = co_await tell(*session_, std::move(numbers));
    (void)told;  // the session is then lost, and the next one confirms them
  }
  confirming_ = false;
}

io::Task<bool> SharedDevice::tell(Session session, std::vector<uint64_t> numbers) {
  std::vector<std::byte> payload = encode_numbers(numbers);
  wire::Header request = in_session(header(wire::Type::kShareConfirm, {}), session);
  auto reply =
      co_await context_.link.call(session.primary, request, payload, {}, kPrimarySilenceMax);
  if (!reply && reply.error().code == Code::kTimedOut)
    context_.link.give_up(session.primary, volume_);
  Result<void> outcome;
  Said said = understand(session, reply, outcome);
  // Whatever was not heard is named, or left out, by the next join.
  if (said == Said::kFailed) lost(session);
  co_return said == Said::kDone;
}

io::Task<Result<void>> SharedDevice::refresh_size() {
  if (!session_) co_return fail(Code::kUnreachable, "the primary does not answer");
  ++inside_;
  bool told = co_await tell(*session_, {});
  if (--inside_ == 0) idle_.notify_all();
  if (!told) co_return fail(Code::kUnreachable, "the primary does not answer");
  co_return Result<void>{};
}

}  // namespace cleat::engine
