#include "wire/peer_connection.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "common/random.h"
#include "wire/testing/memory_stream.h"
#include "wire/testing/peers.h"
#include "wire/testing/test_loop.h"

namespace cleat::wire {
namespace {

using testing::fill_pattern;
using testing::is_pattern;
using testing::request;

class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() { connect(); }
  ~ConnectionTest() override {
    disconnect();
    EXPECT_EQ(buffers.lent_bytes(), 0u);
  }

  void connect() {
    std::tie(client_end_, server_end_) = testing::make_memory_streams(loop);
    client_stream = client_end_.get();
    server_stream = server_end_.get();
    group.spawn(server.serve(std::move(server_end_)));
    auto session =
        loop.run_task(handshake_as_client(loop, *client_stream, client_identity, NodeId(2), 1s));
    ASSERT_TRUE(session) << session.error().text;
    client = std::make_unique<PeerClient>(loop, buffers, std::move(client_end_), *session);
    group.spawn(client->run());
    loop.run_ready();
  }
  void disconnect() {
    handler.gate.set();
    client->shutdown();
    loop.run();
    EXPECT_EQ(group.running(), 0u);
  }

  // Begins a call; its outcome lands in `results` when it ends.
  struct Outcome {
    std::optional<Result<Message>> reply;
    TimePoint at;
    Code code() const {
      return !reply ? Code{} : *reply ? Code::kAlreadyExists : reply->error().code;
    }
    bool ok() const { return reply && *reply; }
  };
  Outcome& begin(Header head, ConstBuffer payload = {}, Duration timeout = 10s,
                 PeerClient::Scope* scope = nullptr) {
    outcomes.push_back(std::make_unique<Outcome>());
    group.spawn(keep(head, payload, timeout, scope, *outcomes.back()));
    return *outcomes.back();
  }
  io::Task<void> keep(Header head, ConstBuffer payload, Duration timeout, PeerClient::Scope* scope,
                      Outcome& into) {
    auto calling = client->call(head, payload, timeout, scope);
    Result<Message> reply = co_await std::move(calling);
    into.at = loop.now();
    into.reply.emplace(std::move(reply));
  }
  Result<Message> call(Header head, ConstBuffer payload = {}, Duration timeout = 10s) {
    return loop.run_task(client->call(head, payload, timeout));
  }
  static std::vector<std::byte> data_of(BlockRange range) {
    std::vector<std::byte> data(range.bytes());
    fill_pattern(range, data);
    return data;
  }

  testing::TestLoop loop;
  io::BufferPool buffers;
  testing::PatternHandler handler{loop, buffers};
  Identity client_identity = testing::identity(1);
  PeerServer server{loop, buffers, testing::identity(2), handler};
  io::TaskGroup group;
  std::unique_ptr<testing::MemoryStream> client_end_, server_end_;
  testing::MemoryStream* client_stream = nullptr;  // valid while the client lives
  testing::MemoryStream* server_stream = nullptr;  // valid while the connection is served
  std::unique_ptr<PeerClient> client;
  std::vector<std::unique_ptr<Outcome>> outcomes;
};

TEST_F(ConnectionTest, CarriesRequestsAndReplies) {
  auto data = data_of({5, 2});
  auto written = call(request(Type::kWrite, {5, 2}), data);
  ASSERT_TRUE(written) << to_string(written.error());
  EXPECT_EQ(written->from, NodeId(2));
  EXPECT_EQ(written->header.type, Type::kWrite);
  EXPECT_EQ(written->header.volume, VolumeId(77));
  EXPECT_TRUE(written->header.is_reply());
  EXPECT_TRUE(written->header.status());
  EXPECT_TRUE(written->payload().empty());
  EXPECT_EQ(handler.bad_payloads, 0u);

  auto read = call(request(Type::kRead, {9, 3}));
  ASSERT_TRUE(read);
  EXPECT_TRUE(is_pattern({9, 3}, read->payload()));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(read->payload().data()) % kBufferAlignment, 0u);
}

TEST_F(ConnectionTest, GivesBackWhatTheHandlerRefused) {
  auto reply = call(request(Type::kFence));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header.error, Code::kStaleEpoch);
  EXPECT_EQ(reply->header.status().error().code, Code::kStaleEpoch);
  EXPECT_EQ(reply->header.epoch, Epoch(4));
}

TEST_F(ConnectionTest, CarriesPayloadInParts) {
  auto data = data_of({8, 3});
  ConstBuffer whole(data);
  std::array<ConstBuffer, 4> parts{
      whole.first(100), whole.subspan(100, 5000), {}, whole.subspan(5100)};
  auto reply = loop.run_task(client->call_parts(request(Type::kWrite, {8, 3}), parts, 1s));
  ASSERT_TRUE(reply);
  EXPECT_EQ(handler.bad_payloads, 0u);
}

TEST_F(ConnectionTest, ReceivesStraightIntoTheCallersMemory) {
  for (uint32_t count : {1u, 3u, 4u, 5u, 33u, 256u, 1024u}) {
    for (size_t read_max : {testing::MemoryPipe::kRingBytes, size_t{4096}, size_t{777}}) {
      client_stream->in().read_max = read_max;
      std::vector<std::byte> into(count * kBlockSize);
      BlockRange range{count, count};
      auto reply = loop.run_task(client->call_into(request(Type::kRead, range), into, 1s));
      ASSERT_TRUE(reply) << to_string(reply.error());
      EXPECT_TRUE(is_pattern(range, into)) << count << " " << read_max;
    }
  }
}

TEST_F(ConnectionTest, LeavesTheCallersMemoryAloneWhenTheReadWasRefused) {
  std::vector<std::byte> into(kBlockSize, std::byte{9});
  auto reply = loop.run_task(client->call_into(request(Type::kFence), into, 1s));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->error, Code::kStaleEpoch);
  EXPECT_EQ(std::count(into.begin(), into.end(), std::byte{9}), 4096);
}

TEST_F(ConnectionTest, RefusesAReplyOfAnotherLengthThanAskedFor) {
  handler.wrong_bytes = 1;
  std::vector<std::byte> into(kBlockSize);
  auto reply = loop.run_task(client->call_into(request(Type::kRead, {1, 1}), into, 1s));
  EXPECT_EQ(reply.error().code, Code::kUnreachable);
  EXPECT_FALSE(client->is_open());
}

TEST_F(ConnectionTest, AThousandCallsAtOnce) {
  Random random(1);
  std::vector<std::vector<std::byte>> memory;
  std::vector<BlockRange> ranges;
  for (int i = 0; i < 1000; ++i) {
    BlockRange range{random.below(1000),
                     static_cast<uint32_t>(random.between(1, i % 50 == 0 ? 64 : 2))};
    bool write = random.chance(0.5);
    ranges.push_back(write ? BlockRange{} : range);
    memory.push_back(write ? data_of(range) : std::vector<std::byte>{});
    begin(request(write ? Type::kWrite : Type::kRead, range, random.below(2000)), memory.back());
  }
  EXPECT_EQ(client->calls_in_flight(), 1000u);
  loop.run_for(1s);
  EXPECT_EQ(client->calls_in_flight(), 0u);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_TRUE(outcomes[i]->ok()) << i;
    EXPECT_TRUE(is_pattern(ranges[i], (*outcomes[i]->reply)->payload())) << i;
  }
  EXPECT_EQ(handler.bad_payloads, 0u);
  EXPECT_EQ(handler.answered, 1000u);
  outcomes.clear();
}

TEST_F(ConnectionTest, HandsRequestsOverInTheOrderOfTheCalls) {
  for (uint64_t i = 0; i < 100; ++i) begin(request(Type::kFlush, {}, 100 - i));
  loop.run_for(1s);
  ASSERT_EQ(handler.ids.size(), 100u);
  EXPECT_TRUE(std::is_sorted(handler.ids.begin(), handler.ids.end()));
}

TEST_F(ConnectionTest, SendsWhatIsQueuedTogether) {
  auto data = data_of({1, 1});
  uint64_t sends = client_stream->out().writes;
  uint64_t replies = client_stream->in().writes;
  for (int i = 0; i < 32; ++i) begin(request(Type::kWrite, {1, 1}), data);
  loop.run_for(1s);
  EXPECT_EQ(client_stream->out().writes - sends, 1u) << "32 headers and 32 payloads are 64 parts";
  EXPECT_LE(client_stream->in().writes - replies, 2u);
}

TEST_F(ConnectionTest, ATimedOutCallLeavesTheConnectionAlone) {
  TimePoint begun = loop.now();
  auto& slow = begin(request(Type::kFlush, {}, 50'000), {}, 10ms);
  loop.run_for(20ms);
  EXPECT_EQ(slow.code(), Code::kTimedOut);
  EXPECT_EQ(slow.at - begun, 10ms);
  EXPECT_TRUE(call(request(Type::kFlush)));
  loop.run_for(100ms);
  EXPECT_EQ(client->stray_replies(), 1u);
  EXPECT_TRUE(client->is_open());
  EXPECT_TRUE(call(request(Type::kFlush)));
}

// Volumes share the connection to a node: one that ends must not end the calls of the others.
TEST_F(ConnectionTest, AScopeGivesUpItsOwnCallsAlone) {
  PeerClient::Scope one;
  PeerClient::Scope another;
  TimePoint begun = loop.now();
  auto& mine = begin(request(Type::kFlush, {}, 50'000), {}, 10s, &one);
  auto& mine_too = begin(request(Type::kFlush, {}, 50'000), {}, 10s, &one);
  auto& theirs = begin(request(Type::kFlush, {}, 50'000), {}, 10s, &another);
  auto& nobodys = begin(request(Type::kFlush, {}, 50'000));
  loop.run_for(10ms);
  one.give_up();
  EXPECT_TRUE(one.empty());
  loop.run_for(1ms);
  EXPECT_EQ(mine.code(), Code::kUnreachable);
  EXPECT_EQ(mine_too.code(), Code::kUnreachable);
  EXPECT_LT(mine.at - begun, 20ms);
  loop.run_for(100ms);
  EXPECT_TRUE(theirs.ok());
  EXPECT_TRUE(nobodys.ok());
  EXPECT_TRUE(another.empty());
  EXPECT_TRUE(client->is_open());
  EXPECT_TRUE(call(request(Type::kFlush)));
}

TEST_F(ConnectionTest, AHalfSentCallThatIsGivenUpGetsTimeToGoOut) {
  client_stream->out().window = 1000;
  server_stream->in().held = true;
  auto data = data_of({1, 4});
  PeerClient::Scope scope;
  auto& half = begin(request(Type::kWrite, {1, 4}), data, 10s, &scope);
  auto& other = begin(request(Type::kFlush));
  loop.run_for(1ms);
  scope.give_up();
  loop.run_for(100ms);
  EXPECT_FALSE(half.reply) << "its memory is still being sent";
  client_stream->out().window = testing::MemoryPipe::kRingBytes;
  server_stream->in().held = false;
  client_stream->out().changed.notify_all();
  loop.run_for(1s);
  EXPECT_TRUE(half.reply);
  EXPECT_TRUE(other.ok());
  EXPECT_TRUE(client->is_open());
}

TEST_F(ConnectionTest, AHalfSentCallThatIsGivenUpEndsTheConnectionInTheEnd) {
  client_stream->out().window = 1000;
  server_stream->in().held = true;
  {
    auto data = data_of({1, 4});
    PeerClient::Scope scope;
    auto& half = begin(request(Type::kWrite, {1, 4}), data, 60s, &scope);
    loop.run_for(1ms);
    scope.give_up();
    loop.run_for(PeerClient::kHalfFramePatience + 10ms);
    EXPECT_EQ(half.code(), Code::kUnreachable);
  }
  EXPECT_FALSE(client->is_open());
}

TEST_F(ConnectionTest, ASilentConnectionEnds) {
  client->end_if_silent(1ms);
  EXPECT_TRUE(client->is_open()) << "nobody waits for anything";
  auto& waiting = begin(request(Type::kFlush, {}, 50'000), {}, 10s);
  server_stream->out().held = true;
  loop.run_for(1s);
  client->end_if_silent(2s);
  EXPECT_TRUE(client->is_open());
  client->end_if_silent(1s);
  loop.run_for(1ms);
  EXPECT_FALSE(client->is_open());
  EXPECT_EQ(waiting.code(), Code::kUnreachable);
}

TEST_F(ConnectionTest, ACallThatTimesOutInTheQueueIsNeverSent) {
  client_stream->out().window = 0;  // the first frame gets stuck
  auto data = data_of({1, 1});
  auto& first = begin(request(Type::kWrite, {1, 1}), data, 1s);
  loop.run_for(1ms);
  {
    auto short_lived = data_of({2, 1});
    auto& second = begin(request(Type::kWrite, {2, 1}), short_lived, 10ms);
    loop.run_for(20ms);
    EXPECT_EQ(second.code(), Code::kTimedOut);
  }
  client_stream->out().window = testing::MemoryPipe::kRingBytes;
  client_stream->out().changed.notify_all();
  loop.run_for(1ms);
  EXPECT_TRUE(first.ok());
  EXPECT_EQ(handler.answered, 1u);
  EXPECT_TRUE(client->is_open());
}

TEST_F(ConnectionTest, ACallThatTimesOutHalfSentEndsTheConnection) {
  client_stream->out().window = 1000;
  server_stream->in().held = true;  // the other side takes nothing
  {
    auto data = data_of({1, 4});
    auto& half = begin(request(Type::kWrite, {1, 4}), data, 10ms);
    auto& other = begin(request(Type::kFlush), {}, 1s);
    loop.run_for(9ms);
    EXPECT_FALSE(half.reply);
    loop.run_for(2ms);
    EXPECT_EQ(half.code(), Code::kTimedOut);
    EXPECT_EQ(other.code(), Code::kUnreachable);
  }  // the payload is gone: the address sanitizer sees whoever still reads it
  loop.run_for(1s);
  EXPECT_FALSE(client->is_open());
  EXPECT_EQ(call(request(Type::kFlush)).error().code, Code::kUnreachable);
  EXPECT_EQ(handler.answered, 0u) << "half a request is no request";
}

TEST_F(ConnectionTest, ACallThatTimesOutHalfReceivedEndsTheConnection) {
  {
    std::vector<std::byte> into(64 * kBlockSize);
    client_stream->in().window = 100'000;
    uint64_t limit = client_stream->in().written + 100'000;
    client_stream->in().damage = [&](uint64_t offset, std::byte&) {
      if (offset + 1 == limit) client_stream->in().window = 0;
    };
    auto reply = loop.run_task(client->call_into(request(Type::kRead, {1, 64}), into, 10ms));
    EXPECT_EQ(reply.error().code, Code::kTimedOut);
    EXPECT_EQ(into.front(), testing::pattern(1, 0)) << "some of it had arrived";
    EXPECT_EQ(into.back(), std::byte{}) << "not all of it";
  }
  EXPECT_FALSE(client->is_open());
  loop.run_for(1s);
}

TEST_F(ConnectionTest, AResetEndsEveryCallAtOnce) {
  auto data = data_of({1, 1});
  for (int i = 0; i < 50; ++i) begin(request(Type::kWrite, {1, 1}, 1'000'000), data);
  loop.run_for(1ms);
  TimePoint before = loop.now();
  client_stream->reset();
  loop.run_ready();
  for (auto& outcome : outcomes) {
    EXPECT_EQ(outcome->code(), Code::kUnreachable);
    EXPECT_EQ(outcome->at, before);
  }
  EXPECT_FALSE(client->is_open());
  EXPECT_EQ(handler.running, 50u) << "what was begun over there goes on";
  loop.run();
  EXPECT_EQ(server.connections(), 0u);
}

TEST_F(ConnectionTest, AResetInTheMiddleOfAFrame) {
  client_stream->out().window = 5000;
  server_stream->in().held = true;
  auto data = data_of({1, 4});
  auto& half = begin(request(Type::kWrite, {1, 4}), data);
  loop.run_for(1ms);
  client_stream->reset();
  loop.run_ready();
  EXPECT_EQ(half.code(), Code::kUnreachable);
  EXPECT_EQ(server.connections(), 0u);
  EXPECT_EQ(handler.answered, 0u);
}

TEST_F(ConnectionTest, TheEndOfThePeerEndsEveryCall) {
  auto& waiting = begin(request(Type::kDigest));
  loop.run_for(1ms);
  server_stream->shutdown();
  loop.run_ready();
  EXPECT_EQ(waiting.code(), Code::kUnreachable);
}

TEST_F(ConnectionTest, ShutdownEndsEveryCallAsClosed) {
  auto& waiting = begin(request(Type::kDigest));
  loop.run_for(1ms);
  client->shutdown();
  loop.run_ready();
  EXPECT_EQ(waiting.code(), Code::kClosed);
  EXPECT_EQ(call(request(Type::kFlush)).error().code, Code::kClosed);
}

TEST_F(ConnectionTest, ShutdownEndsTheCallsOfAClientThatNeverRan) {
  auto [near, far] = testing::make_memory_streams(loop);
  PeerClient idle(loop, buffers, std::move(near), client->session());
  std::optional<Result<Message>> reply;
  group.spawn([](PeerClient& to, std::optional<Result<Message>>& into) -> io::Task<void> {
    auto calling = to.call(request(Type::kFlush), {}, 1s);
    Result<Message> got = co_await std::move(calling);
    into.emplace(std::move(got));
  }(idle, reply));
  loop.run_ready();
  EXPECT_FALSE(reply);
  idle.shutdown();
  loop.run_ready();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->error().code, Code::kClosed);
}

TEST_F(ConnectionTest, BoundsTheCallsInFlight) {
  for (uint32_t i = 0; i < kCallsInFlightMax; ++i) begin(request(Type::kDigest));
  EXPECT_EQ(call(request(Type::kFlush)).error().code, Code::kLimit);
  handler.gate.set();
  loop.run_for(1s);
  EXPECT_TRUE(call(request(Type::kFlush)));
  for (auto& outcome : outcomes) EXPECT_TRUE(outcome->ok());
}

TEST_F(ConnectionTest, RefusesAPayloadAboveTheLimit) {
  std::vector<std::byte> data(kPayloadBytesMax + 1);
  EXPECT_EQ(call(request(Type::kSetRecord), data).error().code, Code::kInvalidArgument);
  data.pop_back();
  EXPECT_TRUE(call(request(Type::kSetRecord), data));
}

TEST_F(ConnectionTest, TheServerStopsReceivingWhenItHasTooMuch) {
  auto data = data_of({1, 256});
  Header head = request(Type::kWrite, {1, 256}, 100'000);
  for (int i = 0; i < 100; ++i) begin(head, data, 100s);
  loop.run_for(50ms);
  EXPECT_EQ(handler.running, kRequestBytesInFlightMax / data.size());
  EXPECT_LE(buffers.lent_bytes(), kRequestBytesInFlightMax);
  loop.run_for(10s);
  EXPECT_EQ(handler.answered, 100u);
  EXPECT_EQ(handler.running_max, kRequestBytesInFlightMax / data.size());
  for (auto& outcome : outcomes) EXPECT_TRUE(outcome->ok());
}

TEST_F(ConnectionTest, AServerClosesWithRequestsUnderWay) {
  auto& waiting = begin(request(Type::kFlush, {}, 5000));
  loop.run_for(1ms);
  loop.run_task(server.close());
  loop.run_for(10ms);
  EXPECT_EQ(waiting.code(), Code::kUnreachable);
  EXPECT_EQ(server.connections(), 0u);
}

// Whatever byte is changed: no request reaches the handler altered, no reply its caller.
TEST_F(ConnectionTest, ADamagedByteEndsTheConnection) {
  auto data = data_of({1, 1});
  for (bool towards_server : {true, false}) {
    for (uint64_t at = 0; at < kHeaderBytes + kBlockSize; at += at < kHeaderBytes ? 1 : 97) {
      auto& pipe = towards_server ? client_stream->out() : client_stream->in();
      pipe.damage = [target = pipe.written + at](uint64_t offset, std::byte& byte) {
        if (offset == target) byte ^= std::byte{1};
      };
      uint64_t answered = handler.answered;
      auto& outcome = towards_server ? begin(request(Type::kWrite, {1, 1}), data)
                                     : begin(request(Type::kRead, {1, 1}));
      loop.run_ready();
      EXPECT_EQ(outcome.code(), Code::kUnreachable) << towards_server << " " << at;
      EXPECT_EQ(handler.answered, towards_server ? answered : answered + 1);
      EXPECT_FALSE(client->is_open());
      disconnect();
      handler.bad_payloads = 0;
      connect();
    }
  }
}

TEST_F(ConnectionTest, ATruncatedRequestIsNoRequest) {
  auto data = data_of({1, 1});
  for (uint64_t size = 0; size < kHeaderBytes + kBlockSize; size += size < kHeaderBytes ? 1 : 97) {
    client_stream->out().window = size;
    server_stream->in().held = true;
    auto& outcome = begin(request(Type::kWrite, {1, 1}), data, 10ms);
    loop.run_for(1ms);
    server_stream->in().held = false;
    client_stream->shutdown();
    loop.run_ready();
    EXPECT_EQ(outcome.code(), Code::kUnreachable) << size;
    EXPECT_EQ(handler.answered, 0u) << size;
    disconnect();
    connect();
  }
}

}  // namespace
}  // namespace cleat::wire
