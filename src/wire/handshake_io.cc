// The handshake on a stream.
#include <fmt/format.h>
#include <openssl/crypto.h>

#include <utility>

#include "io/task_group.h"
#include "wire/codec.h"
#include "wire/handshake.h"

namespace cleat::wire {
namespace {

using Failure = tl::unexpected<HandshakeFailure>;

Failure refuse(Code code, const char* what, std::string text) {
  return Failure(HandshakeFailure{Error{code, 0, what}, std::move(text)});
}

Failure lost(Error error, const char* when) {
  return Failure(HandshakeFailure{
      Error{Code::kUnreachable, error.sys_errno, "connection lost in the handshake"},
      fmt::format("the connection was lost while {}: {}; the log of the other node may say why",
                  when, to_string(error))});
}

Failure wrong_secret(const std::string& peer) {
  return refuse(
      Code::kPermission, "wrong cluster secret",
      fmt::format("node {} and this node do not have the same cluster secret: give both the "
                  "same secret_file",
                  peer));
}

// Shuts the stream down when the time is over, unless stop() comes first.
class Deadline {
 public:
  Deadline(io::Executor& executor, io::Stream& stream, Duration timeout)
      : executor_(executor), stream_(stream) {
    timer_.at = executor.now() + timeout;
    group_.spawn(watch());
  }
  bool expired() const { return expired_; }
  io::Task<void> stop() {
    if (timer_.armed) {
      executor_.cancel(timer_);
      stopped_ = true;
      executor_.post(timer_.waiter);
    }
    co_await group_.close();
  }

 private:
  struct Sleep {
    Deadline& deadline;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      deadline.timer_.waiter = handle;
      deadline.executor_.arm(deadline.timer_);
    }
    void await_resume() const {}
  };

  io::Task<void> watch() {
    co_await Sleep{*this};
    if (stopped_) co_return;
    expired_ = true;
    stream_.shutdown();
  }

  io::Executor& executor_;
  io::Stream& stream_;
  io::TaskGroup group_;
  io::Timer timer_;
  bool stopped_ = false;
  bool expired_ = false;
};

io::Task<Result<void>> read_all(io::Stream& stream, MutableBuffer into) {
  while (!into.empty()) {
    auto receiving = stream.read_some(into);
    Result<size_t> size = co_await std::move(receiving);
    if (!size) co_return fail(size.error());
    into = into.subspan(*size);
  }
  co_return Result<void>{};
}

io::Task<Result<void>> write_all(io::Stream& stream, ConstBuffer bytes) {
  auto sending = stream.write_all(std::span<const ConstBuffer>(&bytes, 1));
  Result<void> sent = co_await std::move(sending);
  co_return sent;
}

struct Proof {
  std::optional<Code> error;
  Mac mac{};
};

std::array<std::byte, kProofBytes> encode_proof(const Proof& proof) {
  std::array<std::byte, kProofBytes> bytes{};
  Writer writer(bytes);
  writer.u32(kProofMagic);
  writer.u16(static_cast<uint16_t>(proof.error ? static_cast<uint16_t>(*proof.error) : 0));
  writer.u16(0);
  writer.bytes(proof.mac);
  return bytes;
}

Result<Proof> decode_proof(ConstBuffer bytes) {
  Reader reader(bytes);
  TRY_ASSIGN(uint32_t magic, reader.u32());
  TRY_ASSIGN(uint16_t status, reader.u16());
  TRY_ASSIGN(uint16_t reserved, reader.u16());
  TRY_ASSIGN(ConstBuffer mac, reader.bytes(sizeof(Mac)));
  if (magic != kProofMagic || reserved != 0) return fail(Code::kCorrupt, "malformed proof");
  Proof proof;
  if (status != 0) proof.error = Code::kPermission;
  std::copy(mac.begin(), mac.end(), proof.mac.begin());
  return proof;
}

// One side of one handshake.
class Handshake {
 public:
  Handshake(io::Stream& stream, const Identity& identity, Role role, NodeId wanted)
      : stream_(stream), identity_(identity) {
    ours_.role = role;
    ours_.wanted = wanted;
    ours_.version_min = identity.version_min;
    ours_.version_max = identity.version_max;
    ours_.features = identity.features;
    ours_.node = identity.node;
    ours_.cluster = identity.cluster;
    ours_.name = identity.name;
  }

  io::Task<HandshakeResult<Session>> as_client() {
    HandshakeResult<void> done = prepare();
    if (done) {
      auto sending = send_hello();
      done = co_await std::move(sending);
    }
    if (done) {
      auto receiving = receive_hello();
      done = co_await std::move(receiving);
    }
    if (!done) co_return Failure(done.error());
    HandshakeResult<Session> session = negotiate(ours_, theirs_);
    if (!session) co_return session;
    auto proving = send_proof({});
    done = co_await std::move(proving);
    if (done) {
      auto verifying = receive_proof();
      done = co_await std::move(verifying);
    }
    if (!done) co_return Failure(done.error());
    co_return session;
  }

  io::Task<HandshakeResult<Session>> as_server() {
    HandshakeResult<void> done = prepare();
    if (!done) co_return Failure(done.error());
    auto receiving = receive_hello();
    done = co_await std::move(receiving);
    // A greeting in another format is answered too, so that the other side can say what it met.
    if (!done && done.error().error.code != Code::kUnsupported) co_return Failure(done.error());
    auto sending = send_hello();
    HandshakeResult<void> sent = co_await std::move(sending);
    if (!done) co_return Failure(done.error());
    HandshakeResult<Session> session = negotiate(ours_, theirs_);
    if (!session) co_return session;
    if (!sent) co_return Failure(sent.error());
    auto verifying = receive_proof();
    done = co_await std::move(verifying);
    bool proven = done.has_value();
    if (!proven && done.error().error.code != Code::kPermission) co_return Failure(done.error());
    auto proving = send_proof(proven ? std::optional<Code>{} : Code::kPermission);
    sent = co_await std::move(proving);
    if (!proven) co_return Failure(done.error());
    if (!sent) co_return Failure(sent.error());
    co_return session;
  }

 private:
  HandshakeResult<void> prepare() {
    if (Result<void> checked = check(identity_); !checked) {
      return refuse(checked.error().code, checked.error().what, to_string(checked.error()));
    }
    Result<Nonce> nonce = identity_.nonce();
    if (!nonce) return refuse(nonce.error().code, nonce.error().what, to_string(nonce.error()));
    ours_.nonce = *nonce;
    our_bytes_ = encode_hello(ours_);
    return {};
  }

  io::Task<HandshakeResult<void>> send_hello() {
    auto sending = write_all(stream_, our_bytes_);
    Result<void> sent = co_await std::move(sending);
    if (!sent) co_return lost(sent.error(), "greeting");
    co_return HandshakeResult<void>{};
  }

  io::Task<HandshakeResult<void>> receive_hello() {
    their_bytes_.resize(kHelloPrefixBytes);
    auto reading_prefix = read_all(stream_, their_bytes_);
    Result<void> received = co_await std::move(reading_prefix);
    if (!received) co_return lost(received.error(), "waiting for the other side's greeting");
    HandshakeResult<size_t> size = hello_size(their_bytes_);
    if (!size) co_return Failure(size.error());
    their_bytes_.resize(*size);
    auto reading = read_all(stream_, MutableBuffer(their_bytes_).subspan(kHelloPrefixBytes));
    received = co_await std::move(reading);
    if (!received) co_return lost(received.error(), "reading the other side's greeting");
    HandshakeResult<Hello> hello = decode_hello(their_bytes_);
    if (!hello) co_return Failure(hello.error());
    theirs_ = *hello;
    co_return HandshakeResult<void>{};
  }

  io::Task<HandshakeResult<void>> send_proof(std::optional<Code> error) {
    Proof proof;
    proof.error = error;
    if (!error) {
      Result<Mac> mac = mac_of(ours_.role);
      if (!mac) co_return refuse(mac.error().code, mac.error().what, to_string(mac.error()));
      proof.mac = *mac;
    }
    const auto bytes = encode_proof(proof);
    auto sending = write_all(stream_, bytes);
    Result<void> sent = co_await std::move(sending);
    if (!sent) co_return lost(sent.error(), "proving the cluster's secret");
    co_return HandshakeResult<void>{};
  }

  io::Task<HandshakeResult<void>> receive_proof() {
    std::array<std::byte, kProofBytes> bytes;
    auto reading = read_all(stream_, bytes);
    Result<void> received = co_await std::move(reading);
    if (!received) co_return lost(received.error(), "waiting for the other side's proof");
    Result<Proof> proof = decode_proof(bytes);
    if (!proof)
      co_return refuse(Code::kCorrupt, "malformed proof", "the other side's proof is malformed");
    if (proof->error) co_return wrong_secret(theirs_.name);
    Result<Mac> expected = mac_of(theirs_.role);
    if (!expected) {
      co_return refuse(expected.error().code, expected.error().what, to_string(expected.error()));
    }
    if (CRYPTO_memcmp(expected->data(), proof->mac.data(), expected->size()) != 0) {
      co_return wrong_secret(theirs_.name);
    }
    co_return HandshakeResult<void>{};
  }

  Result<Mac> mac_of(Role role) const {
    bool client = ours_.role == Role::kClient;
    return proof_mac(identity_.secret, role, client ? our_bytes_ : their_bytes_,
                     client ? their_bytes_ : our_bytes_);
  }

  io::Stream& stream_;
  const Identity& identity_;
  Hello ours_;
  Hello theirs_;
  std::vector<std::byte> our_bytes_;
  std::vector<std::byte> their_bytes_;
};

io::Task<HandshakeResult<Session>> bounded(io::Executor& executor, io::Stream& stream,
                                           io::Task<HandshakeResult<Session>> work,
                                           Duration timeout) {
  Deadline deadline(executor, stream, timeout);
  HandshakeResult<Session> session = co_await std::move(work);
  co_await deadline.stop();
  if (deadline.expired()) {
    co_return refuse(
        Code::kTimedOut, "handshake with a peer",
        fmt::format("the other side did not finish the handshake within {} ms: it is "
                    "overloaded, or no Cleat node",
                    std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count()));
  }
  if (!session) stream.shutdown();
  co_return session;
}

}  // namespace

io::Task<HandshakeResult<Session>> handshake_as_client(io::Executor& executor, io::Stream& stream,
                                                       const Identity& identity, NodeId wanted,
                                                       Duration timeout) {
  Handshake handshake(stream, identity, Role::kClient, wanted);
  auto work = bounded(executor, stream, handshake.as_client(), timeout);
  HandshakeResult<Session> session = co_await std::move(work);
  co_return session;
}

io::Task<HandshakeResult<Session>> handshake_as_server(io::Executor& executor, io::Stream& stream,
                                                       const Identity& identity, Duration timeout) {
  Handshake handshake(stream, identity, Role::kServer, NodeId());
  auto work = bounded(executor, stream, handshake.as_server(), timeout);
  HandshakeResult<Session> session = co_await std::move(work);
  co_return session;
}

}  // namespace cleat::wire
