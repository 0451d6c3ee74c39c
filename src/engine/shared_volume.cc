#include "engine/shared_volume.h"

#include "common/log.h"

namespace cleat::engine {
namespace {

constexpr Duration kTickInterval = std::chrono::milliseconds(250);

}  // namespace

// A call that is inside; drained() and a new session of the sharer wait for its end.
struct SharedVolume::Operation {
  Operation(SharedVolume& volume, NodeId sharer)
      : shared(volume), session(volume.session(sharer)), number(session.number) {
    ++session.inside;
    ++shared.inside_;
  }
  Operation(const Operation&) = delete;
  ~Operation() {
    --session.inside;
    --shared.inside_;
    shared.changed_.notify_all();
  }
  SharedVolume& shared;
  Session& session;
  uint32_t number;  // of the session it belongs to
};

SharedVolume::SharedVolume(io::Executor& executor, Volume& volume)
    : executor_(executor), volume_(volume), changed_(executor) {
  table_.expect(volume.record().sharers);
}

SharedVolume::~SharedVolume() { CHECK(inside_ == 0, "a shared volume is drained before it dies"); }

SharedVolume::Session& SharedVolume::session(NodeId sharer) {
  auto [found, is_new] = sessions_.try_emplace(sharer);
  if (is_new) found->second.heard = executor_.now();
  return found->second;
}

io::Task<void> SharedVolume::run() {
  ++inside_;
  while (!stopping_ && !volume_.ended()) {
    co_await expel_silent();
    co_await executor_.sleep(kTickInterval);
  }
  --inside_;
  changed_.notify_all();
}

void SharedVolume::end() {
  stopping_ = true;
  changed_.notify_all();
}

io::Task<void> SharedVolume::drained() {
  while (inside_ > 0) co_await changed_.wait();
}

io::Task<void> SharedVolume::expel_silent() {
  const TimePoint now = executor_.now();
  const std::set<NodeId> waited_for = table_.waited_for();
  std::erase_if(waited_since_,
                [&](const auto& entry) { return !waited_for.contains(entry.first); });
  for (NodeId sharer : waited_for) {
    TimePoint since = waited_since_.try_emplace(sharer, now).first->second;
    if (now - std::max(since, session(sharer).heard) < kShareSilenceMax) continue;
    LOG_WARN("volume {}: node {} is expelled: others wait for it, and it has been silent for {} s",
             volume_.record().id.value, sharer.value, kShareSilenceMax / 1s);
    auto expelled = co_await expel(sharer);
    if (!expelled) LOG_WARN("it is not expelled: {}", to_string(expelled.error()));
  }
}

wire::Header SharedVolume::reply_to(const wire::Header& request) const {
  wire::Header reply;
  reply.type = request.type;
  reply.epoch = volume_.record().epoch;
  reply.range.first = volume_.size_bytes() / kBlockSize;
  return reply;
}

io::Task<Result<wire::Header>> SharedVolume::call(NodeId sharer, const wire::Header& request,
                                                  ConstBuffer payload, MutableBuffer into) {
  if (stopping_) co_return fail(Code::kClosed, "the volume is closed here");
  if (volume_.ended()) co_return fail(*volume_.ended());
  CO_TRY(check_sharer(sharer, request));
  session(sharer).heard = executor_.now();
  if (request.type == wire::Type::kShareJoin) co_return co_await join(sharer, request);
  CO_TRY(check_session(sharer, request));
  switch (request.type) {
    case wire::Type::kShareNames: co_return co_await name(sharer, request, payload);
    case wire::Type::kShareConfirm: co_return confirm(sharer, request, payload);
    case wire::Type::kShareLeave: co_return co_await leave(sharer, request);
    default: co_return co_await operate(sharer, request, payload, into);
  }
}

Result<void> SharedVolume::check_sharer(NodeId sharer, const wire::Header& request) const {
  if (request.has(wire::kNew) || volume_.record().has_sharer(sharer)) return {};
  return fail(Code::kPermission, "this node was expelled from the shared volume");
}

Result<void> SharedVolume::check_session(NodeId sharer, const wire::Header& request) {
  const Session& known = session(sharer);
  const bool is_step = request.type == wire::Type::kShareNames;
  if (request.fence != 0 && request.fence == known.number && known.has_named != is_step &&
      request.epoch == volume_.record().epoch) {
    return {};
  }
  return fail(Code::kNotInSync, "the session with the primary is over");
}

// Waits for the end of what its sessions before have under way.
io::Task<Result<void>> SharedVolume::new_session(NodeId sharer) {
  Session& known = session(sharer);
  const uint32_t number = ++last_session_;
  known.number = number;
  known.has_named = false;
  changed_.notify_all();
  while (known.inside > 1 && known.number == number) co_await changed_.wait();
  if (known.number != number) co_return fail(Code::kCancelled, "it joined again meanwhile");
  co_return Result<void>{};
}

io::Task<Result<wire::Header>> SharedVolume::join(NodeId sharer, const wire::Header& request) {
  Operation operation(*this, sharer);
  CO_TRY(co_await new_session(sharer));
  wire::Header reply = reply_to(request);
  reply.fence = operation.session.number;
  co_return reply;
}

io::Task<Result<wire::Header>> SharedVolume::name(NodeId sharer, const wire::Header& request,
                                                  ConstBuffer payload) {
  Operation operation(*this, sharer);
  CO_TRY_ASSIGN(std::vector<core::UnansweredChange> unanswered, decode_unanswered(payload));
  if (request.has(wire::kNew)) CO_TRY(co_await volume_.admit_sharer(sharer));
  CO_TRY(check_sharer(sharer, {}));
  CO_TRY(check_session(sharer, request));
  operation.session.has_named = true;
  table_.join(sharer, unanswered);
  changed_.notify_all();
  co_return reply_to(request);
}

io::Task<Result<wire::Header>> SharedVolume::leave(NodeId sharer, const wire::Header& request) {
  CO_TRY(co_await expel(sharer));
  co_return reply_to(request);
}

io::Task<Result<void>> SharedVolume::expel(NodeId sharer) {
  Operation operation(*this, sharer);
  // Off the record first: from then on it is refused.
  CO_TRY(co_await volume_.expel_sharer(sharer));
  CO_TRY(co_await new_session(sharer));
  table_.forget(sharer);
  changed_.notify_all();
  co_return Result<void>{};
}

Result<wire::Header> SharedVolume::confirm(NodeId sharer, const wire::Header& request,
                                           ConstBuffer payload) {
  TRY_ASSIGN(std::vector<uint64_t> numbers, decode_numbers(payload));
  for (uint64_t number : numbers) table_.confirm(sharer, number);
  if (!numbers.empty()) changed_.notify_all();
  return reply_to(request);
}

io::Task<Result<wire::Header>> SharedVolume::operate(NodeId sharer, const wire::Header& request,
                                                     ConstBuffer payload, MutableBuffer into) {
  Operation operation(*this, sharer);
  if (request.type == wire::Type::kShareFlush) {
    CO_TRY(co_await volume_.flush());
    co_return reply_to(request);
  }
  const bool is_change = request.type != wire::Type::kShareRead;
  core::ShareTable::Place place =
      table_.submit(sharer, request.seq.value, request.range, is_change);
  CO_TRY(co_await wait_for_turn(sharer, place, operation.number));
  table_.start(place);
  auto done = co_await execute(request, payload, into);
  table_.answered(place);
  CO_TRY(done);
  co_return reply_to(request);
}

io::Task<Result<void>> SharedVolume::wait_for_turn(NodeId sharer, core::ShareTable::Place place,
                                                   uint32_t number) {
  for (;;) {
    Result<void> may_wait;
    if (stopping_) may_wait = fail(Code::kClosed, "the volume is closed here");
    if (volume_.ended()) may_wait = fail(*volume_.ended());
    if (session(sharer).number != number) {
      may_wait = fail(Code::kNotInSync, "the session with the primary is over");
    }
    if (!may_wait) {
      table_.abandon(place);
      co_return may_wait;
    }
    if (table_.may_start(place)) co_return Result<void>{};
    co_await changed_.wait();
  }
}

io::Task<Result<void>> SharedVolume::execute(const wire::Header& request, ConstBuffer payload,
                                             MutableBuffer into) {
  WriteFlags flags = request.has(wire::kFua) ? WriteFlags::kFua : WriteFlags::kNone;
  switch (request.type) {
    case wire::Type::kShareRead: co_return co_await volume_.read(request.range, into);
    case wire::Type::kShareWrite: co_return co_await volume_.write(request.range, payload, flags);
    case wire::Type::kShareZero: co_return co_await volume_.zero(request.range, flags);
    default: co_return fail(Code::kUnsupported, "a message that a primary does not answer");
  }
}

}  // namespace cleat::engine
