// Fuzz target of the wire protocol. The first byte of an input says which parser gets the rest:
//   0 a header            4 the bytes that reach a server after its handshake
//   1 a hello             5 the bytes that reach a client with calls under way
//   2 small payloads      6 as 4, 7 as 5, but checksums are put right first, so that what is behind
//   them 3 a whole handshake       is reached
#include <cstdint>
#include <cstring>
#include <vector>

#include "common/check.h"
#include "common/crc32c.h"
#include "wire/codec.h"
#include "wire/peer_connection.h"
#include "wire/testing/memory_stream.h"
#include "wire/testing/peers.h"
#include "wire/testing/test_loop.h"

namespace cleat::wire {
namespace {

void fuzz_header(ConstBuffer bytes) {
  Result<Header> header = decode(bytes);
  if (!header) return;
  HeaderBytes again = encode(*header);
  CHECK(std::memcmp(again.data(), bytes.data(), kHeaderBytes) == 0, "a header has one encoding");
}

void fuzz_hello(ConstBuffer bytes) {
  HandshakeResult<Hello> hello = decode_hello(bytes);
  if (!hello) {
    CHECK(!hello.error().text.empty(), "a failed handshake says why");
    return;
  }
  auto again = encode_hello(*hello);
  CHECK(std::ranges::equal(again, bytes), "a hello has one encoding");
  Hello ours;
  ours.node = NodeId(1);
  ours.cluster = "berlin";
  ours.name = "n1";
  ours.version_max = kVersionMax;
  static_cast<void>(negotiate(ours, *hello));
}

void fuzz_payload(ConstBuffer bytes) {
  Reader reader(bytes);
  while (reader.remaining() != 0) {
    size_t before = reader.remaining();
    Result<uint8_t> choice = reader.u8();
    switch (*choice % 5) {
      case 0: static_cast<void>(reader.u16()); break;
      case 1: static_cast<void>(reader.u32()); break;
      case 2: static_cast<void>(reader.u64()); break;
      case 3: static_cast<void>(reader.bytes(*choice)); break;
      default: static_cast<void>(reader.string(1000)); break;
    }
    CHECK(reader.remaining() < before, "a reader moves on");
  }
}

// Walks the frames as a receiver would and puts right what only a checksum would refuse.
std::vector<std::byte> with_checksums(ConstBuffer bytes) {
  std::vector<std::byte> fixed(bytes.begin(), bytes.end());
  for (size_t at = 0; at + kHeaderBytes <= fixed.size();) {
    uint32_t payload_bytes;
    std::memcpy(&payload_bytes, fixed.data() + at + 80, 4);
    size_t size = std::min<size_t>(payload_bytes, fixed.size() - at - kHeaderBytes);
    uint32_t crc = crc32c(fixed.data() + at + kHeaderBytes, size);
    std::memcpy(fixed.data() + at, &kMagic, 4);
    std::memcpy(fixed.data() + at + 84, &crc, 4);
    crc = crc32c(fixed.data() + at, 92);
    std::memcpy(fixed.data() + at + 92, &crc, 4);
    at += kHeaderBytes + size;
  }
  return fixed;
}

io::Task<void> write_raw(io::Stream& stream, ConstBuffer bytes) {
  auto sending = stream.write_all(std::span<const ConstBuffer>(&bytes, 1));
  co_await std::move(sending);
}

io::Task<void> expect_end(io::Task<Result<Message>> call, size_t& ended) {
  Result<Message> reply = co_await std::move(call);
  if (reply) CHECK(reply->payload().size() <= kPayloadBytesMax, "a reply is bounded");
  ++ended;
}

io::Task<void> expect_end(io::Task<Result<Header>> call, size_t& ended) {
  co_await std::move(call);
  ++ended;
}

void fuzz_server(ConstBuffer bytes, bool with_handshake) {
  testing::TestLoop loop;
  static io::BufferPool buffers;  // shared: what it maps is expensive
  testing::PatternHandler handler(loop, buffers);
  PeerServer server(loop, buffers, testing::identity(2), handler);
  io::TaskGroup group;
  auto [ours, theirs] = testing::make_memory_streams(loop);
  group.spawn(server.serve(std::move(ours)));
  if (with_handshake) {
    auto session =
        loop.run_task(handshake_as_client(loop, *theirs, testing::identity(1), NodeId(2), 1s));
    CHECK(session.has_value(), "the handshake itself is right");
  }
  group.spawn(write_raw(*theirs, bytes));
  loop.run_for(1ms);
  theirs->shutdown();
  handler.gate.set();
  loop.run();
  CHECK(group.running() == 0, "whatever was sent, the connection ends");
  CHECK(buffers.lent_bytes() == 0, "and every buffer comes back");
}

void fuzz_client(ConstBuffer bytes) {
  testing::TestLoop loop;
  static io::BufferPool buffers;
  io::TaskGroup group;
  auto [ours, theirs] = testing::make_memory_streams(loop);
  PeerClient client(loop, buffers, std::move(ours), Session{1, 0, NodeId(2), "n2"});
  group.spawn(client.run());
  size_t ended = 0;
  std::vector<std::byte> into(2 * kBlockSize);
  group.spawn(expect_end(client.call(testing::request(Type::kFlush), {}, 1s), ended));
  group.spawn(expect_end(client.call(testing::request(Type::kRead, {0, 1}), {}, 1s), ended));
  group.spawn(expect_end(client.call_into(testing::request(Type::kRead, {0, 2}), into, 1s), ended));
  group.spawn(write_raw(*theirs, bytes));
  loop.run_for(2s);
  CHECK(ended == 3, "every call ends");
  client.shutdown();
  loop.run();
  CHECK(group.running() == 0, "whatever was sent, the connection ends");
  CHECK(buffers.lent_bytes() == 0, "and every buffer comes back");
}

}  // namespace
}  // namespace cleat::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cleat;
  using namespace cleat::wire;
  if (size == 0) return 0;
  ConstBuffer bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0]) {
    case 0: fuzz_header(bytes); break;
    case 1: fuzz_hello(bytes); break;
    case 2: fuzz_payload(bytes); break;
    case 3: fuzz_server(bytes, false); break;
    case 4: fuzz_server(bytes, true); break;
    case 5: fuzz_client(bytes); break;
    case 6: fuzz_server(with_checksums(bytes), true); break;
    case 7: fuzz_client(with_checksums(bytes)); break;
    default: break;
  }
  return 0;
}
