#include <utility>

#include "common/check.h"
#include "common/log.h"
#include "wire/peer_connection.h"

namespace cleat::wire {
namespace {

// A request id is a counter over the number of the call's slot: it grows with every call, and names
// the slot.
constexpr uint32_t kSlotBits = 12;
constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;
static_assert(kCallsInFlightMax <= kSlotMask + 1);

constexpr uint32_t kNoSlot = ~uint32_t{0};

size_t bytes_of(std::span<const ConstBuffer> parts) {
  size_t bytes = 0;
  for (ConstBuffer part : parts) bytes += part.size();
  return bytes;
}

}  // namespace

// One call under way. Lives in the frame of call(); a slot points to it until it is answered or
// given up.
struct PeerClient::Call {
  OutFrame frame;
  Header request;
  io::PooledBuffer payload;  // of the reply
  MutableBuffer into;        // where the reply's payload belongs, if not null
  bool direct = false;       // into is used
  bool receiving = false;    // the reader writes to `into` right now
  bool answered = false;
  bool given_up = false;
  Scope* scope = nullptr;  // while it is under way
  PeerClient* client = nullptr;
  Call* before = nullptr;  // in the scope
  Call* after = nullptr;
  Result<Header> result = fail(Code::kTimedOut, "call to a peer");
  io::Timer timer;
};

struct PeerClient::AnswerAwaiter {
  PeerClient& client;
  Call& call;
  bool await_ready() const { return call.answered; }
  void await_suspend(std::coroutine_handle<> handle) {
    call.timer.waiter = handle;
    client.executor_.arm(call.timer);
  }
  void await_resume() const {}
};

PeerClient::PeerClient(io::Executor& executor, io::BufferPool& buffers,
                       std::unique_ptr<io::Stream> stream, Session session)
    : executor_(executor),
      buffers_(buffers),
      stream_(std::move(stream)),
      session_(std::move(session)),
      sender_(executor, *stream_),
      reader_(*stream_, session_.version),
      received_(executor),
      first_free_(kNoSlot) {}

PeerClient::~PeerClient() {
  CHECK(!running_ && in_flight_ == 0, "a connection ends, with its calls, before it dies");
}

io::Task<void> PeerClient::run() {
  running_ = true;
  group_.spawn(send_requests());
  while (open_) {
    auto receiving = reader_.header();
    Result<Header> header = co_await std::move(receiving);
    Result<void> taken;
    if (header) {
      auto taking = take_reply(*header);
      taken = co_await std::move(taking);
    } else {
      taken = fail(header.error());
    }
    if (!taken) end(taken.error(), Code::kUnreachable);
  }
  co_await group_.close();
  running_ = false;
}

io::Task<void> PeerClient::send_requests() {
  auto sending = sender_.run();
  Result<void> sent = co_await std::move(sending);
  if (!sent) end(sent.error(), Code::kUnreachable);
}

void PeerClient::end_if_silent(Duration silence) {
  if (in_flight_ == 0 || executor_.now() - quiet_since_ < silence) return;
  end(Error{Code::kTimedOut, 0, "nothing came from the peer"}, Code::kUnreachable);
}

void PeerClient::shutdown() { end(Error{Code::kClosed, 0, "connection shut down"}, Code::kClosed); }

// Every call ends now; those whose memory a send or receive still refers to return when that has
// ended.
void PeerClient::end(Error why, Code calls_get) {
  if (!open_) return;
  open_ = false;
  ended_with_ = Error{calls_get, why.sys_errno, "connection to the peer was lost"};
  if (calls_get == Code::kClosed) ended_with_.what = "connection to the peer was shut down";
  if (why.code == Code::kCorrupt || why.code == Code::kUnsupported || why.code == Code::kLimit) {
    LOG_ERROR("connection to node {} ended: it sent what is no valid frame: {}", session_.peer_name,
              to_string(why));
  } else if (calls_get != Code::kClosed) {
    LOG_INFO("connection to node {} ended: {}", session_.peer_name, to_string(why));
  }
  sender_.stop();
  stream_->shutdown();
  for (Slot& slot : slots_) {
    if (slot.call != nullptr) complete(*slot.call, fail(ended_with_));
  }
}

// --- calls

io::Task<Result<Message>> PeerClient::call(Header request, ConstBuffer payload, Duration timeout,
                                           Scope* scope) {
  Call call;
  call.scope = scope;
  if (!payload.empty()) call.frame.payload = std::span<const ConstBuffer>(&payload, 1);
  auto exchanging = exchange(call, request, timeout);
  Result<Header> reply = co_await std::move(exchanging);
  if (!reply) co_return fail(reply.error());
  co_return Message(session_.peer, *reply, std::move(call.payload));
}

io::Task<Result<Message>> PeerClient::call_parts(Header request,
                                                 std::span<const ConstBuffer> payload,
                                                 Duration timeout) {
  Call call;
  call.frame.payload = payload;
  auto exchanging = exchange(call, request, timeout);
  Result<Header> reply = co_await std::move(exchanging);
  if (!reply) co_return fail(reply.error());
  co_return Message(session_.peer, *reply, std::move(call.payload));
}

io::Task<Result<Header>> PeerClient::call_into(Header request, MutableBuffer into, Duration timeout,
                                               Scope* scope) {
  Call call;
  call.scope = scope;
  call.into = into;
  call.direct = true;
  auto exchanging = exchange(call, request, timeout);
  Result<Header> reply = co_await std::move(exchanging);
  co_return reply;
}

io::Task<Result<Header>> PeerClient::exchange(Call& call, Header request, Duration timeout) {
  size_t bytes = bytes_of(call.frame.payload);
  if (bytes > kPayloadBytesMax || call.frame.payload.size() > kPayloadPartsMax) {
    co_return fail(Code::kInvalidArgument, "payload of a call above the limit");
  }
  call.request = request;
  call.request.version = session_.version;
  call.request.error.reset();
  call.request.payload_bytes = static_cast<uint32_t>(bytes);
  call.request.payload_crc = payload_crc(call.frame.payload);
  CO_TRY(enlist(call));
  call.frame.header = encode(call.request);
  sender_.push(call.frame);

  call.timer.at = executor_.now() + timeout;
  co_await AnswerAwaiter{*this, call};
  if (!call.answered && call.given_up && refers_to(call)) {
    call.timer.at = executor_.now() + kHalfFramePatience;
    co_await AnswerAwaiter{*this, call};
  }
  if (!call.answered) {
    retire(call);
    // Only the end of the connection takes memory back from a send or receive under way.
    if (!sender_.withdraw(call.frame) && refers_to(call)) {
      end(Error{Code::kTimedOut, 0, "a call timed out in the middle of its frame"},
          Code::kUnreachable);
    }
  }
  co_await sender_.left(call.frame);
  while (call.receiving) co_await received_.wait();
  co_return call.result;
}

// --- slots

Result<void> PeerClient::enlist(Call& call) {
  if (!open_) return fail(ended_with_);
  uint32_t slot = first_free_;
  if (slot != kNoSlot) {
    first_free_ = slots_[slot].next_free;
  } else {
    if (slots_.size() == kCallsInFlightMax)
      return fail(Code::kLimit, "calls in flight to one peer");
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  slots_[slot].call = &call;
  if (in_flight_++ == 0) quiet_since_ = executor_.now();
  call.request.request_id = (++calls_begun_ << kSlotBits) | slot;
  call.client = this;
  if (call.scope != nullptr) {
    call.after = call.scope->first_;
    if (call.after != nullptr) call.after->before = &call;
    call.scope->first_ = &call;
  }
  return {};
}

void PeerClient::leave_scope(Call& call) {
  if (call.scope == nullptr) return;
  (call.before == nullptr ? call.scope->first_ : call.before->after) = call.after;
  if (call.after != nullptr) call.after->before = call.before;
  call.scope = nullptr;
}

void PeerClient::retire(Call& call) {
  leave_scope(call);
  auto slot = static_cast<uint32_t>(call.request.request_id & kSlotMask);
  slots_[slot].call = nullptr;
  slots_[slot].next_free = first_free_;
  first_free_ = slot;
  --in_flight_;
}

// The call with this id, null when it has ended or never was.
PeerClient::Call* PeerClient::find(uint64_t request_id) {
  uint64_t slot = request_id & kSlotMask;
  if (slot >= slots_.size()) return nullptr;
  Call* call = slots_[slot].call;
  return call != nullptr && call->request.request_id == request_id ? call : nullptr;
}

void PeerClient::complete(Call& call, Result<Header> result) {
  retire(call);
  call.answered = true;
  call.result = std::move(result);
  // A timer that is not armed has fired: its waiter is on the way already and will see the answer.
  if (!call.timer.armed) return;
  executor_.cancel(call.timer);
  executor_.post(call.timer.waiter);
}

bool PeerClient::refers_to(const Call& call) {
  return call.frame.state == OutFrame::State::kSending || call.receiving;
}

PeerClient::Scope::~Scope() { CHECK(empty(), "a scope outlives its calls"); }

void PeerClient::Scope::give_up() {
  while (first_ != nullptr) first_->client->give_up(*first_);
}

// As if its time were over.
void PeerClient::give_up(Call& call) {
  leave_scope(call);
  call.given_up = true;
  call.result = fail(Code::kUnreachable, "the call was given up");
  if (!call.timer.armed) return;
  executor_.cancel(call.timer);
  executor_.post(call.timer.waiter);
}

// --- replies

io::Task<Result<void>> PeerClient::take_reply(Header header) {
  quiet_since_ = executor_.now();
  if (!header.is_reply()) co_return fail(Code::kCorrupt, "request where a reply was due");
  Call* call = find(header.request_id);
  if (call == nullptr) {
    ++stray_replies_;
    auto skipping = reader_.skip(header);
    Result<void> skipped = co_await std::move(skipping);
    co_return skipped;
  }
  if (header.type != call->request.type || header.volume != call->request.volume) {
    co_return fail(Code::kCorrupt, "reply that does not fit its request");
  }
  auto taking = take_payload(header, header.request_id);
  Result<void> taken = co_await std::move(taking);
  co_return taken;
}

io::Task<Result<void>> PeerClient::take_payload(Header header, uint64_t request_id) {
  Call* call = find(request_id);
  io::PooledBuffer buffer;
  Result<void> received;
  if (call->direct && !header.error) {
    if (header.payload_bytes != call->into.size()) {
      co_return fail(Code::kCorrupt, "reply whose payload is not as long as asked for");
    }
    call->receiving = true;
    auto receiving = reader_.payload(header, call->into);
    received = co_await std::move(receiving);
    call->receiving = false;  // the call waits for this, so it is still there
    received_.notify_all();
  } else if (header.payload_bytes != 0) {
    buffer = buffers_.take(header.payload_bytes);
    auto receiving = reader_.payload(header, buffer.span());
    received = co_await std::move(receiving);
  }
  if (!received) co_return received;
  call = find(request_id);  // it may have timed out meanwhile
  if (call == nullptr) co_return received;
  call->payload = std::move(buffer);
  complete(*call, header);
  co_return received;
}

}  // namespace cleat::wire
