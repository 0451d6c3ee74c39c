#include "wire/peer_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/testing/memory_stream.h"
#include "wire/testing/peers.h"
#include "wire/testing/test_loop.h"

namespace cleat::wire {
namespace {

using ::testing::HasSubstr;
using testing::request;

// A node that listens.
struct Node {
  Node(testing::TestLoop& loop, io::BufferPool& buffers, testing::MemoryNetwork& network,
       uint64_t id, const std::string& address)
      : handler(loop, buffers), server(loop, buffers, testing::identity(id), handler) {
    listener = std::move(*loop.run_task(network.listen(io::Address{address})));
    group.spawn(listen());
  }
  io::Task<void> listen() {
    auto listening = server.listen(*listener);
    Result<void> ended = co_await std::move(listening);
    EXPECT_EQ(ended.error().code, Code::kClosed);
  }
  void stop(testing::TestLoop& loop) {
    handler.gate.set();
    listener->close();
    loop.run_task(server.close());
    loop.run_ready();
    EXPECT_EQ(group.running(), 0u);
  }

  testing::PatternHandler handler;
  PeerServer server;
  std::unique_ptr<io::Listener> listener;
  io::TaskGroup group;
};

class PoolTest : public ::testing::Test {
 protected:
  PoolTest() { start_node(); }
  ~PoolTest() override {
    loop.run_task(pool.close());
    if (node) node->stop(loop);
    loop.run();
    EXPECT_EQ(group.running(), 0u);
  }
  void start_node(uint64_t id = 2, const std::string& address = "n2:9470") {
    node = std::make_unique<Node>(loop, buffers, network, id, address);
  }
  void stop_node() {
    node->stop(loop);
    node.reset();
  }
  Result<Message> flush(uint64_t id = 2) {
    return loop.run_task(pool.call(NodeId(id), request(Type::kFlush), {}, 1s));
  }
  Code flush_fails(uint64_t id = 2) {
    auto reply = flush(id);
    return reply ? Code{} : reply.error().code;
  }
  void begin_flush(std::optional<Result<Message>>& into) { group.spawn(keep(into)); }
  io::Task<void> keep(std::optional<Result<Message>>& into) {
    auto calling = pool.call(NodeId(2), request(Type::kFlush), {}, 1s);
    Result<Message> reply = co_await std::move(calling);
    into.emplace(std::move(reply));
  }

  testing::TestLoop loop;
  io::BufferPool buffers;
  testing::MemoryNetwork network{loop};
  PeerPool pool{loop, buffers, network, testing::identity(1), PeerPoolOptions{}};
  io::TaskGroup group;
  std::unique_ptr<Node> node;
};

TEST_F(PoolTest, ConnectsWhenFirstAskedAndKeepsTheConnection) {
  EXPECT_EQ(flush_fails(), Code::kNotFound);
  pool.set_address(NodeId(2), {"n2:9470"});
  EXPECT_FALSE(pool.is_connected(NodeId(2)));
  EXPECT_TRUE(flush());
  EXPECT_TRUE(flush());
  EXPECT_TRUE(pool.is_connected(NodeId(2)));
  EXPECT_EQ(network.connects, 1u);

  std::vector<std::byte> into(kBlockSize);
  auto read = loop.run_task(pool.call_into(NodeId(2), request(Type::kRead, {3, 1}), into, 1s));
  EXPECT_TRUE(read);
  EXPECT_TRUE(testing::is_pattern({3, 1}, into));
}

TEST_F(PoolTest, ManyWhoAskShareOneAttempt) {
  pool.set_address(NodeId(2), {"n2:9470"});
  std::array<std::optional<Result<Message>>, 20> replies;
  for (auto& reply : replies) begin_flush(reply);
  loop.run_for(1ms);
  for (auto& reply : replies) EXPECT_TRUE(reply && *reply);
  EXPECT_EQ(network.connects, 1u);
}

TEST_F(PoolTest, ConnectsAgainAtOnceAfterALoss) {
  pool.set_address(NodeId(2), {"n2:9470"});
  EXPECT_TRUE(flush());
  network.newest->reset();
  loop.run_ready();
  EXPECT_FALSE(pool.is_connected(NodeId(2)));
  TimePoint before = loop.now();
  EXPECT_TRUE(flush());
  EXPECT_EQ(loop.now(), before);
  EXPECT_EQ(network.connects, 2u);
}

TEST_F(PoolTest, ALossEndsTheCallsUnderWay) {
  pool.set_address(NodeId(2), {"n2:9470"});
  EXPECT_TRUE(flush());
  std::optional<Result<Message>> reply;
  begin_flush(reply);
  network.newest->reset();
  loop.run_ready();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->error().code, Code::kUnreachable);
}

TEST_F(PoolTest, WaitsLongerAfterEachFailedAttempt) {
  stop_node();
  pool.set_address(NodeId(2), {"n2:9470"});
  EXPECT_EQ(flush_fails(), Code::kUnreachable);
  EXPECT_EQ(flush_fails(), Code::kUnreachable);
  EXPECT_EQ(network.connects, 1u) << "the second is refused at once";
  EXPECT_EQ(pool.last_failure(NodeId(2)),
            "no connection to n2:9470: unreachable: connection refused");

  for (int i = 0; i < 1000; ++i) {
    loop.run_for(10ms);
    EXPECT_EQ(flush_fails(), Code::kUnreachable);
  }
  EXPECT_GE(network.connects, 10u) << "10 s, at least one attempt a second";
  EXPECT_LE(network.connects, 20u);

  start_node();
  loop.run_for(1s);
  EXPECT_TRUE(flush()) << "back within the longest wait";
  EXPECT_EQ(pool.last_failure(NodeId(2)), "");
}

TEST_F(PoolTest, SaysThatAnotherNodeAnswered) {
  stop_node();
  start_node(3);
  pool.set_address(NodeId(2), {"n2:9470"});
  EXPECT_EQ(flush_fails(), Code::kPermission);
  EXPECT_EQ(pool.last_failure(NodeId(2)),
            "expected node 2 but node 3 (n3) answered: correct the address of node 2");
}

TEST_F(PoolTest, GivesUpOnAConnectThatHangs) {
  network.hang = true;
  pool.set_address(NodeId(2), {"n2:9470"});
  EXPECT_EQ(flush_fails(), Code::kTimedOut);
}

TEST_F(PoolTest, GivesUpOnAPeerThatIsSilent) {
  stop_node();
  auto listener = std::move(*loop.run_task(network.listen(io::Address{"n2:9470"})));
  pool.set_address(NodeId(2), {"n2:9470"});
  TimePoint before = loop.now();
  EXPECT_EQ(flush_fails(), Code::kTimedOut);
  EXPECT_EQ(loop.now() - before, PeerPoolOptions{}.handshake_timeout);
  EXPECT_THAT(pool.last_failure(NodeId(2)),
              HasSubstr("did not finish the handshake within 2000 ms"));
}

TEST_F(PoolTest, FollowsAnAddressThatChanges) {
  pool.set_address(NodeId(2), {"n2:9470"});
  EXPECT_TRUE(flush());
  stop_node();
  start_node(2, "elsewhere:9470");
  EXPECT_EQ(flush_fails(), Code::kUnreachable);
  pool.set_address(NodeId(2), {"elsewhere:9470"});
  EXPECT_TRUE(flush()) << "no waiting after a failure of the old address";
}

TEST_F(PoolTest, FollowsAnAddressThatChangesDuringTheAttempt) {
  network.hang = true;
  pool.set_address(NodeId(2), {"nowhere:9470"});
  std::optional<Result<Message>> reply;
  begin_flush(reply);
  loop.run_for(1ms);
  network.hang = false;
  pool.set_address(NodeId(2), {"n2:9470"});
  loop.run_for(2s);
  EXPECT_TRUE(reply && *reply);
}

TEST_F(PoolTest, ForgetsANode) {
  pool.set_address(NodeId(2), {"n2:9470"});
  EXPECT_TRUE(flush());
  std::shared_ptr<PeerClient> held = *loop.run_task(pool.get(NodeId(2)));
  pool.forget(NodeId(2));
  EXPECT_EQ(flush_fails(), Code::kNotFound);
  EXPECT_FALSE(held->is_open());
  loop.run_ready();
  auto reply = loop.run_task(held->call(request(Type::kFlush), {}, 1s));
  EXPECT_EQ(reply.error().code, Code::kClosed) << "a client that is held stays valid";
}

TEST_F(PoolTest, ClosesWhileAnAttemptIsUnderWay) {
  network.hang = true;
  pool.set_address(NodeId(2), {"n2:9470"});
  std::optional<Result<Message>> reply;
  begin_flush(reply);
  loop.run_for(1ms);
  loop.run_task(pool.close());
  loop.run_ready();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->error().code, Code::kClosed);
  EXPECT_EQ(flush_fails(), Code::kClosed);
}

}  // namespace
}  // namespace cleat::wire
