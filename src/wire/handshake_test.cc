#include "wire/handshake.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

#include "common/crc32c.h"
#include "io/task_group.h"
#include "wire/testing/memory_stream.h"
#include "wire/testing/test_loop.h"

namespace cleat::wire {
namespace {

Result<Nonce> fixed_nonce() {
  Nonce nonce;
  for (size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<std::byte>(i);
  return nonce;
}

Identity identity(uint64_t node) {
  Identity identity;
  identity.cluster = "berlin";
  identity.node = NodeId(node);
  identity.name = fmt::format("n{}", node);
  identity.secret = "0123456789abcdef";
  return identity;
}

class HandshakeTest : public ::testing::Test {
 protected:
  using Outcome = HandshakeResult<Session>;

  HandshakeTest() { std::tie(client_stream, server_stream) = testing::make_memory_streams(loop); }

  static io::Task<void> keep(io::Task<Outcome> task, std::optional<Outcome>& into) {
    Outcome outcome = co_await std::move(task);
    into.emplace(std::move(outcome));
  }
  void begin_client(NodeId wanted = NodeId(2)) {
    group.spawn(
        keep(handshake_as_client(loop, *client_stream, client, wanted, 5s), client_outcome));
  }
  void begin_server() {
    group.spawn(keep(handshake_as_server(loop, *server_stream, server, 5s), server_outcome));
  }
  void run(NodeId wanted = NodeId(2)) {
    begin_client(wanted);
    begin_server();
    loop.run();
    ASSERT_EQ(group.running(), 0u);
  }
  void expect_client(Code code, const std::string& text) { expect(*client_outcome, code, text); }
  void expect_server(Code code, const std::string& text) { expect(*server_outcome, code, text); }

  static void expect(const Outcome& outcome, Code code, const std::string& text) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(to_string(outcome.error().error.code), to_string(code));
    EXPECT_EQ(outcome.error().text, text);
  }

  void send_raw(io::Stream& stream, std::span<const std::byte> bytes) {
    ConstBuffer part(bytes);
    auto sent = loop.run_task(stream.write_all(std::span<const ConstBuffer>(&part, 1)));
    ASSERT_TRUE(sent);
  }

  testing::TestLoop loop;
  std::unique_ptr<testing::MemoryStream> client_stream, server_stream;
  Identity client = identity(1), server = identity(2);
  std::optional<Outcome> client_outcome, server_outcome;
  io::TaskGroup group;
};

TEST_F(HandshakeTest, BothLearnWhoTheOtherIs) {
  client.features = 0b0110;
  server.features = 0b0011;
  run();
  ASSERT_TRUE(*client_outcome) << client_outcome->error().text;
  ASSERT_TRUE(*server_outcome) << server_outcome->error().text;
  EXPECT_EQ((*client_outcome)->peer, NodeId(2));
  EXPECT_EQ((*client_outcome)->peer_name, "n2");
  EXPECT_EQ((*server_outcome)->peer, NodeId(1));
  for (const Session& session : {**client_outcome, **server_outcome}) {
    EXPECT_EQ(session.version, kVersionMax);
    EXPECT_EQ(session.features, 0b0010u);
  }
}

TEST_F(HandshakeTest, WorksByteByByte) {
  client_stream->in().read_max = 1;
  client_stream->out().read_max = 1;
  client_stream->out().window = 1;
  run();
  EXPECT_TRUE(*client_outcome);
  EXPECT_TRUE(*server_outcome);
}

TEST_F(HandshakeTest, AnyNodeWillDoWhenNoneIsWanted) {
  run(NodeId());
  EXPECT_TRUE(*client_outcome);
  EXPECT_TRUE(*server_outcome);
}

TEST_F(HandshakeTest, RefusesAnotherCluster) {
  server.cluster = "paris";
  run();
  expect_client(
      Code::kPermission,
      "node n2 belongs to cluster \"paris\", this node to cluster \"berlin\": correct the address, "
      "or give both the same cluster name");
  expect_server(
      Code::kPermission,
      "node n1 belongs to cluster \"berlin\", this node to cluster \"paris\": correct the address, "
      "or give both the same cluster name");
}

TEST_F(HandshakeTest, RefusesAnotherNodeThanTheOneWanted) {
  run(NodeId(7));
  expect_client(Code::kPermission,
                "expected node 7 but node 2 (n2) answered: correct the address of node 7");
  expect_server(
      Code::kPermission,
      "node n1 expected node 7 but this is node 2 (n2): correct the address it has of node 7");
}

TEST_F(HandshakeTest, RefusesItsOwnNodeId) {
  server.node = NodeId(1);
  run(NodeId());
  expect_client(
      Code::kPermission,
      "n2 and this node n1 both have node id 1: an address points to this node itself, or a "
      "node's data directory was copied");
}

TEST_F(HandshakeTest, RefusesAWrongSecretOnBothSides) {
  server.secret = "0123456789abcdeX";
  run();
  expect_client(
      Code::kPermission,
      "node n2 and this node do not have the same cluster secret: give both the same secret_file");
  expect_server(
      Code::kPermission,
      "node n1 and this node do not have the same cluster secret: give both the same secret_file");
}

TEST_F(HandshakeTest, RefusesToStartWithABadIdentity) {
  client.secret = "short";
  run();
  expect_client(Code::kInvalidArgument, "invalid argument: cluster secret: at least 16 bytes");
  EXPECT_FALSE(*server_outcome);
  Identity bad = identity(1);
  bad.name = "two words";
  EXPECT_FALSE(check(bad));
  bad = identity(0);
  EXPECT_FALSE(check(bad));
  bad = identity(1);
  bad.cluster = std::string(65, 'x');
  EXPECT_FALSE(check(bad));
  bad = identity(1);
  bad.version_max = kVersionMax + 1;
  EXPECT_FALSE(check(bad));
  EXPECT_TRUE(check(identity(1)));
}

TEST_F(HandshakeTest, ListsTheVersionsOfBothWhenNoneIsCommon) {
  Hello ours, theirs;
  ours.role = Role::kClient;
  ours.node = NodeId(1);
  ours.cluster = theirs.cluster = "berlin";
  ours.version_min = 3;
  ours.version_max = 5;
  theirs.role = Role::kServer;
  theirs.node = NodeId(2);
  theirs.name = "n2";
  theirs.version_min = 1;
  theirs.version_max = 2;
  expect(negotiate(ours, theirs), Code::kUnsupported,
         "node n2 speaks wire versions 1 to 2, this node 3 to 5: upgrade the older one to a "
         "release that "
         "speaks a version of both");
  theirs.version_max = 4;
  EXPECT_EQ(negotiate(ours, theirs)->version, 4);
  theirs.version_max = 9;
  EXPECT_EQ(negotiate(ours, theirs)->version, 5);
  theirs.version_min = 6;
  EXPECT_FALSE(negotiate(ours, theirs));
}

TEST_F(HandshakeTest, GivesUpOnASilentPeer) {
  begin_client();
  loop.run();
  expect_client(
      Code::kTimedOut,
      "the other side did not finish the handshake within 5000 ms: it is overloaded, or no Cleat "
      "node");
  begin_server();
  loop.run();
  EXPECT_FALSE(*server_outcome);
}

TEST_F(HandshakeTest, ServerGivesUpOnASilentPeer) {
  begin_server();
  loop.run_for(4999ms);
  EXPECT_FALSE(server_outcome);
  loop.run_for(1ms);
  ASSERT_TRUE(server_outcome);
  EXPECT_EQ(server_outcome->error().error.code, Code::kTimedOut);
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(HandshakeTest, RefusesWhatIsNoCleatNode) {
  std::string text = "GET / HTTP/1.1\r\nHost: n2\r\n\r\n";
  send_raw(*client_stream, std::as_bytes(std::span(text)));
  begin_server();
  loop.run();
  expect_server(
      Code::kCorrupt,
      "what answered is no Cleat node, or bytes were damaged on the way: it does not begin with "
      "CLTH");
  EXPECT_EQ(server_stream->out().written, 0u) << "a stranger learns nothing";
}

TEST_F(HandshakeTest, AnswersAGreetingOfAnotherFormatSoThatTheOtherSideCanTell) {
  Hello hello;
  hello.node = NodeId(1);
  hello.cluster = "berlin";
  hello.name = "n1";
  auto bytes = encode_hello(hello);
  bytes[4] = std::byte{2};
  send_raw(*client_stream, bytes);
  begin_server();
  loop.run();
  expect_server(
      Code::kUnsupported,
      "the other side greets in format 2, this node knows format 1: upgrade the older one");
  EXPECT_GT(server_stream->out().written, 0u);
}

TEST_F(HandshakeTest, SaysWhenTheConnectionWasLost) {
  begin_client();
  loop.run_ready();
  server_stream->shutdown();
  loop.run();
  expect_client(
      Code::kUnreachable,
      "the connection was lost while waiting for the other side's greeting: closed: end of stream; "
      "the log of the other node may say why");
}

// Whatever byte is changed on the way, in whatever direction: nobody is let in, and nobody hangs.
TEST_F(HandshakeTest, RefusesEveryDamagedByte) {
  run();
  const uint64_t sizes[2] = {client_stream->out().written, server_stream->out().written};
  EXPECT_EQ(sizes[0], sizes[1]);
  for (int direction = 0; direction < 2; ++direction) {
    for (uint64_t at = 0; at < sizes[direction]; ++at) {
      std::tie(client_stream, server_stream) = testing::make_memory_streams(loop);
      auto& stream = direction == 0 ? client_stream : server_stream;
      stream->out().damage = [at](uint64_t offset, std::byte& byte) {
        if (offset == at) byte ^= std::byte{0x10};
      };
      run();
      bool server_fooled = direction == 0 && server_outcome->has_value();
      bool client_fooled = client_outcome->has_value();
      EXPECT_FALSE(server_fooled || client_fooled) << direction << " " << at;
    }
  }
}

// A proof heard earlier, or our own sent back to us, proves nothing.
TEST(Proof, DependsOnRoleAndOnBothGreetings) {
  const std::string secret = "0123456789abcdef";
  Hello hello;
  hello.node = NodeId(1);
  hello.cluster = "berlin";
  hello.name = "n1";
  auto a = encode_hello(hello);
  hello.nonce[31] = std::byte{1};
  auto b = encode_hello(hello);
  auto mac = proof_mac(secret, Role::kClient, a, b).value();
  EXPECT_EQ(mac, proof_mac(secret, Role::kClient, a, b).value());
  EXPECT_NE(mac, proof_mac(secret, Role::kServer, a, b).value());
  EXPECT_NE(mac, proof_mac(secret, Role::kClient, a, a).value());
  EXPECT_NE(mac, proof_mac(secret, Role::kClient, b, b).value());
  EXPECT_NE(mac, proof_mac("0123456789abcdeX", Role::kClient, a, b).value());
}

std::vector<std::byte> golden_hello() {
  Hello hello;
  hello.role = Role::kClient;
  hello.version_min = 1;
  hello.version_max = 2;
  hello.features = 3;
  hello.node = NodeId(4);
  hello.wanted = NodeId(5);
  hello.nonce = fixed_nonce().value();
  hello.cluster = "berlin";
  hello.name = "n1";
  return encode_hello(hello);
}

TEST(Hello, GoldenBytes) {
  std::string text;
  for (std::byte byte : golden_hello()) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  EXPECT_EQ(text,
            "434c5448"
            "01005600"
            "0100010002000000"
            "0300000000000000"
            "0400000000000000"
            "0500000000000000"
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
            "066265726c696e"
            "026e31"
            "ec1daac6");
}

TEST(Hello, RefusesTruncatedAndDamaged) {
  const auto good = golden_hello();
  ASSERT_TRUE(decode_hello(good));
  EXPECT_EQ(decode_hello(good)->name, "n1");
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_hello(ConstBuffer(good).first(size))) << size;
  }
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(decode_hello(bytes)) << bit;
  }
  auto longer = good;
  longer.push_back(std::byte{});
  EXPECT_FALSE(decode_hello(longer));
}

TEST(Hello, RefusesNamesThatWouldSpoilALog) {
  Hello hello;
  hello.node = NodeId(1);
  hello.cluster = "berlin";
  for (std::string name :
       {std::string(), std::string("a\nb"), std::string("\x1b[31m"), std::string("\xc3\xbc")}) {
    hello.name = name;
    EXPECT_FALSE(decode_hello(encode_hello(hello)));
  }
}

TEST(Nonce, IsNewEachTime) { EXPECT_NE(system_nonce().value(), system_nonce().value()); }

}  // namespace
}  // namespace cleat::wire
