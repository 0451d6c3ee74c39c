// Connections over real sockets and io_uring: what memory streams can't show.
#include <gtest/gtest.h>

#include "io/event_loop.h"
#include "io/uring_network.h"
#include "wire/peer_pool.h"
#include "wire/testing/peers.h"

namespace cleat::wire {
namespace {

using testing::request;

class SocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto created = io::EventLoop::create();
    ASSERT_TRUE(created) << to_string(created.error());
    loop = std::move(*created);
    network = std::make_unique<io::UringNetwork>(*loop);
    handler = std::make_unique<testing::PatternHandler>(*loop, buffers);
    server = std::make_unique<PeerServer>(*loop, buffers, testing::identity(2), *handler);
    pool = std::make_unique<PeerPool>(*loop, buffers, *network, testing::identity(1),
                                      PeerPoolOptions{});
  }
  void TearDown() override {
    EXPECT_EQ(buffers.lent_bytes(), 0u);
    pool.reset();
    server.reset();
    handler.reset();
    network.reset();
    loop->shutdown();
  }

  // Runs `body` between a listening server and its end.
  io::Task<void> with_server(io::Task<void> body) {
    auto listening = network->listen_at(io::Address{"127.0.0.1:0"});
    auto listener = co_await std::move(listening);
    EXPECT_TRUE(listener);
    if (!listener) co_return;
    pool->set_address(NodeId(2), (*listener)->address());
    io::TaskGroup group;
    group.spawn(serve(**listener));
    co_await std::move(body);
    auto closing_pool = pool->close();
    co_await std::move(closing_pool);
    (*listener)->close();
    handler->gate.set();
    auto closing_server = server->close();
    co_await std::move(closing_server);
    co_await group.close();
  }
  io::Task<void> serve(io::Listener& listener) {
    auto serving = server->listen(listener);
    Result<void> ended = co_await std::move(serving);
    EXPECT_EQ(ended.error().code, Code::kClosed);
  }
  void run(io::Task<void> body) { io::run_to_end(*loop, with_server(std::move(body))); }

  io::Task<void> write_and_read(uint64_t first, uint32_t count) {
    BlockRange range{first, count};
    std::vector<std::byte> data(range.bytes()), into(range.bytes());
    testing::fill_pattern(range, data);
    auto writing = pool->call(NodeId(2), request(Type::kWrite, range), data, 10s);
    Result<Message> written = co_await std::move(writing);
    EXPECT_TRUE(written);
    auto reading = pool->call_into(NodeId(2), request(Type::kRead, range), into, 10s);
    Result<Header> read = co_await std::move(reading);
    EXPECT_TRUE(read);
    EXPECT_EQ(data, into);
    auto fetching = pool->call(NodeId(2), request(Type::kRead, range), {}, 10s);
    Result<Message> fetched = co_await std::move(fetching);
    EXPECT_TRUE(fetched && testing::is_pattern(range, fetched->payload()));
  }
  io::Task<void> many(uint32_t tasks) {
    io::TaskGroup group;
    for (uint32_t i = 0; i < tasks; ++i) group.spawn(write_and_read(i, 1 + i * i % 64));
    group.spawn(write_and_read(7, 1024));
    co_await group.close();
  }

  // The peer stops in the middle of everything: a call is under way, then its connection is cut.
  io::Task<void> cut() {
    auto getting = pool->get(NodeId(2));
    auto client = co_await std::move(getting);
    EXPECT_TRUE(client);
    if (!client) co_return;
    io::TaskGroup group;
    std::optional<Code> code;
    group.spawn(wait_for_failure(**client, code));
    co_await loop->sleep(20ms);
    EXPECT_FALSE(code);
    TimePoint before = loop->now();
    auto closing = server->close();
    handler->gate.set();
    co_await std::move(closing);
    co_await group.close();
    EXPECT_EQ(code, Code::kUnreachable);
    EXPECT_LT(loop->now() - before, 1s);
  }
  io::Task<void> wait_for_failure(PeerClient& client, std::optional<Code>& code) {
    // Longer than the test's patience: only the loss of the connection ends it in time. Its delay
    // is not over when the connection goes.
    auto calling = client.call(request(Type::kFlush, {}, 200'000), {}, 100s);
    Result<Message> reply = co_await std::move(calling);
    code = reply ? Code::kAlreadyExists : reply.error().code;
  }

  // A write that nobody takes fills the sockets' buffers and times out half sent.
  io::Task<void> time_out_half_sent() {
    auto getting = pool->get(NodeId(2));
    auto client = co_await std::move(getting);
    EXPECT_TRUE(client);
    if (!client) co_return;
    io::TaskGroup group;
    std::vector<Code> codes;
    for (int i = 0; i < 40; ++i) group.spawn(write_large(**client, codes));
    co_await group.close();
    EXPECT_EQ(codes.size(), 40u);
    for (Code code : codes) {
      EXPECT_TRUE(code == Code::kTimedOut || code == Code::kUnreachable) << to_string(code);
    }
    EXPECT_FALSE((*client)->is_open());
  }
  io::Task<void> write_large(PeerClient& client, std::vector<Code>& codes) {
    BlockRange range{1, 1024};
    std::vector<std::byte> data(range.bytes());
    // The handler holds the first requests for longer, so that the server stops receiving.
    auto writing = client.call(request(Type::kWrite, range, 400'000), data, 100ms);
    Result<Message> reply = co_await std::move(writing);
    codes.push_back(reply ? Code::kAlreadyExists : reply.error().code);
  }

  io::BufferPool buffers;
  std::unique_ptr<io::EventLoop> loop;
  std::unique_ptr<io::UringNetwork> network;
  std::unique_ptr<testing::PatternHandler> handler;
  std::unique_ptr<PeerServer> server;
  std::unique_ptr<PeerPool> pool;
};

TEST_F(SocketTest, CarriesEverySize) {
  run(many(200));
  EXPECT_EQ(handler->bad_payloads, 0u);
}

TEST_F(SocketTest, ACutConnectionEndsItsCallsAtOnce) { run(cut()); }

TEST_F(SocketTest, ATimeOutHalfSentGivesTheMemoryBack) { run(time_out_half_sent()); }

}  // namespace
}  // namespace cleat::wire
