// What a peer may send that no Cleat node would: the other end is written by hand, frame by frame.
#include <gtest/gtest.h>

#include "wire/peer_connection.h"
#include "wire/testing/memory_stream.h"
#include "wire/testing/peers.h"
#include "wire/testing/test_loop.h"

namespace cleat::wire {
namespace {

using testing::request;

class MisbehaviourTest : public ::testing::Test {
 protected:
  MisbehaviourTest() { std::tie(ours, theirs) = testing::make_memory_streams(loop); }

  // The hand-written end sends a frame.
  void send(Header header, ConstBuffer payload = {}) {
    header.payload_bytes = static_cast<uint32_t>(payload.size());
    header.payload_crc = payload_crc({&payload, 1});
    const HeaderBytes bytes = encode(header);
    std::array<ConstBuffer, 2> parts{bytes, payload};
    send_parts(parts);
  }
  void send_parts(std::span<const ConstBuffer> parts) {
    group.spawn(write(parts));
    if (running) loop.run_ready();
  }
  io::Task<void> write(std::span<const ConstBuffer> parts) {
    auto sending = theirs->write_all(parts);
    co_await std::move(sending);
  }

  testing::TestLoop loop;
  io::BufferPool buffers;
  bool running = true;  // what is sent is received at once
  std::unique_ptr<testing::MemoryStream> ours, theirs;
  io::TaskGroup group;
};

class BadServerTest : public MisbehaviourTest {
 protected:
  BadServerTest() : client(loop, buffers, std::move(ours), Session{1, 0, NodeId(2), "n2"}) {
    group.spawn(client.run());
    group.spawn(keep(client.call(request(Type::kWrite, {0, 1}), data, 1s)));
    loop.run_ready();
    // The first request id of a client: counter 1, slot 0.
    reply = request(Type::kWrite);
    reply.flags = kReply;
    reply.request_id = uint64_t{1} << 12;
  }
  ~BadServerTest() override {
    client.shutdown();
    loop.run();
    EXPECT_EQ(group.running(), 0u);
  }
  io::Task<void> keep(io::Task<Result<Message>> calling) {
    Result<Message> got = co_await std::move(calling);
    result.emplace(std::move(got));
  }
  void expect_ended() {
    ASSERT_TRUE(result);
    ASSERT_FALSE(*result);
    EXPECT_EQ(result->error().code, Code::kUnreachable);
    EXPECT_FALSE(client.is_open());
  }

  std::vector<std::byte> data = std::vector<std::byte>(kBlockSize);
  Header reply;
  std::optional<Result<Message>> result;
  PeerClient client;
};

TEST_F(BadServerTest, TheRightReplyIsTaken) {
  send(reply);
  ASSERT_TRUE(result);
  EXPECT_TRUE(*result);
}

TEST_F(BadServerTest, AReplyInTheTurnOfTheTimeOutIsTakenOnce) {
  running = false;
  send(reply);
  loop.jump(1s);  // the reply is ready to be read, and behind it the call to time out
  loop.run_ready();
  ASSERT_TRUE(result);
  EXPECT_TRUE(*result);
  EXPECT_TRUE(client.is_open());
}

TEST_F(BadServerTest, ADuplicatedReplyIsCountedAndDropped) {
  send(reply);
  send(reply, data);
  EXPECT_EQ(client.stray_replies(), 1u);
  EXPECT_TRUE(client.is_open());
}

TEST_F(BadServerTest, AReplyToNobodyIsCountedAndDropped) {
  for (uint64_t id : {uint64_t{0}, uint64_t{1}, uint64_t{2} << 12, ~uint64_t{0}}) {
    reply.request_id = id;
    send(reply, data);
  }
  EXPECT_EQ(client.stray_replies(), 4u);
  EXPECT_TRUE(client.is_open());
  EXPECT_FALSE(result);
}

TEST_F(BadServerTest, ARequestWhereAReplyIsDue) {
  reply.flags = 0;
  reply.type = Type::kFlush;
  send(reply);
  expect_ended();
}

TEST_F(BadServerTest, AReplyOfAnotherType) {
  reply.type = Type::kZero;
  send(reply);
  expect_ended();
}

TEST_F(BadServerTest, AReplyForAnotherVolume) {
  reply.volume = VolumeId(78);
  send(reply);
  expect_ended();
}

TEST_F(BadServerTest, AnOversizedReply) {
  HeaderBytes bytes = encode(reply);
  reply.payload_bytes = kPayloadBytesMax + 1;
  bytes = encode(reply);
  ConstBuffer part(bytes);
  send_parts({&part, 1});
  expect_ended();
  EXPECT_EQ(buffers.lent_bytes(), 0u);
}

TEST_F(BadServerTest, Noise) {
  std::vector<std::byte> noise(1000, std::byte{0xa5});
  ConstBuffer part(noise);
  send_parts({&part, 1});
  expect_ended();
}

class BadClientTest : public MisbehaviourTest {
 protected:
  BadClientTest() {
    group.spawn(server.serve(std::move(ours)));
    auto session =
        loop.run_task(handshake_as_client(loop, *theirs, testing::identity(1), NodeId(2), 1s));
    EXPECT_TRUE(session);
    head = request(Type::kFlush);
    head.request_id = 5;
  }
  ~BadClientTest() override {
    theirs->shutdown();
    loop.run();
    EXPECT_EQ(group.running(), 0u);
  }
  void expect_ended(uint64_t answered) {
    EXPECT_EQ(server.connections(), 0u);
    EXPECT_EQ(handler.answered, answered);
  }

  testing::PatternHandler handler{loop, buffers};
  PeerServer server{loop, buffers, testing::identity(2), handler};
  Header head;
};

TEST_F(BadClientTest, ADuplicatedRequestIsNotHandledTwice) {
  send(head);
  EXPECT_EQ(server.connections(), 1u);
  send(head);
  expect_ended(1);
}

TEST_F(BadClientTest, ARequestThatOvertookAnother) {
  send(head);
  head.request_id = 4;
  send(head);
  expect_ended(1);
}

TEST_F(BadClientTest, AReplyWhereARequestIsDue) {
  head.flags = kReply;
  send(head);
  expect_ended(0);
}

TEST_F(BadClientTest, AnOversizedRequest) {
  head.payload_bytes = kPayloadBytesMax + 1;
  HeaderBytes bytes = encode(head);
  ConstBuffer part(bytes);
  send_parts({&part, 1});
  expect_ended(0);
}

TEST_F(BadClientTest, AnUnknownType) {
  head.type = static_cast<Type>(kTypeLast + 1);
  send(head);
  expect_ended(0);
}

TEST_F(BadClientTest, AnUnknownVersion) {
  head.version = kVersionMax + 1;
  send(head);
  expect_ended(0);
}

TEST_F(BadClientTest, AWriteWhosePayloadIsNotItsRange) {
  std::vector<std::byte> data(kBlockSize);
  head.type = Type::kWrite;
  head.range = {0, 2};
  send(head, data);
  expect_ended(0);
}

}  // namespace
}  // namespace cleat::wire
