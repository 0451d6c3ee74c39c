#include "io/uring_network.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "common/random.h"
#include "io/test_directory.h"

namespace cleat::io {
namespace {

TEST(SocketAddress, ReadsWhatItWrites) {
  for (const char* text :
       {"1.2.3.4:9470", "[::1]:9470", "127.0.0.1:0", "unix:/run/cleat/nbd.sock"}) {
    auto parsed = parse_address({text});
    ASSERT_TRUE(parsed.has_value()) << text;
    EXPECT_EQ(format_address(*parsed).text, text);
  }
}

TEST(SocketAddress, RefusesWhatIsNoAddress) {
  std::string long_path = "unix:/" + std::string(200, 'x');
  for (std::string text :
       {std::string(), std::string("1.2.3.4"), std::string("1.2.3:1"), std::string("1.2.3.4:"),
        std::string("1.2.3.4:65536"), std::string("::1:80"), std::string("[::1]"),
        std::string("host:1"), std::string("unix:"), std::string("1.2.3.4:8 "),
        std::string("1.2.3.4:-1"), long_path}) {
    auto parsed = parse_address({text});
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
  }
}

struct Pair {
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
};

Task<void> accept_into(UringListener& listener, Result<std::unique_ptr<Stream>>& result) {
  result = co_await listener.accept();
}

Task<Pair> connect_pair(UringNetwork& network, UringListener& listener) {
  Pair pair;
  Result<std::unique_ptr<Stream>> accepted = fail(Code::kCancelled);
  TaskGroup group;
  group.spawn(accept_into(listener, accepted));
  Result<std::unique_ptr<Stream>> connected = co_await network.connect(listener.address(), 1s);
  co_await group.close();
  EXPECT_TRUE(accepted.has_value());
  EXPECT_TRUE(connected.has_value());
  if (accepted && connected) {
    pair.client = std::move(*connected);
    pair.server = std::move(*accepted);
  }
  co_return pair;
}

class UringNetworkTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop.has_value()) << to_string(loop.error());
    loop_ = std::move(*loop);
    network_ = std::make_unique<UringNetwork>(*loop_);
  }
  Result<std::unique_ptr<UringListener>> listen_at(const std::string& text) {
    return run_to_end(*loop_, network_->listen_at(Address{text}));
  }
  std::unique_ptr<UringListener> listen() {
    auto listener = listen_at(address_text());
    EXPECT_TRUE(listener.has_value()) << to_string(listener.error());
    return std::move(*listener);
  }
  std::string address_text() const {
    std::string text = GetParam();
    return text == "unix" ? "unix:" + directory_.file("socket") : text;
  }

  TestDirectory directory_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<UringNetwork> network_;
};

Task<void> send(Stream& stream, const std::vector<std::vector<std::byte>>& parts,
                Result<void>& result) {
  std::vector<ConstBuffer> views(parts.begin(), parts.end());
  result = co_await stream.write_all(views);
}

Task<Result<void>> receive_exactly(Stream& stream, MutableBuffer into) {
  while (!into.empty()) {
    Result<size_t> count = co_await stream.read_some(into);
    if (!count) co_return fail(count.error());
    into = into.subspan(*count);
  }
  co_return Result<void>{};
}

Task<bool> echo(Stream& from, Stream& to, const std::vector<std::vector<std::byte>>& parts) {
  std::vector<std::byte> expected;
  for (const auto& part : parts) expected.insert(expected.end(), part.begin(), part.end());
  std::vector<std::byte> received(expected.size());
  Result<void> sent;
  TaskGroup group;
  group.spawn(send(from, parts, sent));
  Result<void> got = co_await receive_exactly(to, received);
  co_await group.close();
  co_return sent.has_value() && got.has_value() && received == expected;
}

std::vector<std::vector<std::byte>> random_parts(size_t count, size_t bytes_max) {
  Random random(count);
  std::vector<std::vector<std::byte>> parts(count);
  for (auto& part : parts) {
    part.resize(random.below(bytes_max + 1));
    for (std::byte& byte : part) byte = static_cast<std::byte>(random());
  }
  return parts;
}

TEST_P(UringNetworkTest, CarriesBytesBothWaysInOrder) {
  auto listener = listen();
  Pair pair = run_to_end(*loop_, connect_pair(*network_, *listener));
  ASSERT_NE(pair.client, nullptr);
  for (size_t count : {size_t{1}, size_t{2}, size_t{64}}) {
    auto small = random_parts(count, 100);
    auto large = random_parts(count, 300'000);  // far beyond what a socket buffers
    EXPECT_TRUE(run_to_end(*loop_, echo(*pair.client, *pair.server, small)));
    EXPECT_TRUE(run_to_end(*loop_, echo(*pair.server, *pair.client, large)));
  }
}

Task<Code> code_of_read(Stream& stream) {
  std::array<std::byte, 16> bytes;
  Result<size_t> result = co_await stream.read_some(bytes);
  co_return result ? Code{} : result.error().code;
}

TEST_P(UringNetworkTest, TheEndOfTheStreamIsClosed) {
  auto listener = listen();
  Pair pair = run_to_end(*loop_, connect_pair(*network_, *listener));
  pair.client.reset();
  EXPECT_EQ(run_to_end(*loop_, code_of_read(*pair.server)), Code::kClosed);
}

Task<void> read_until_error(Stream& stream, Code& code) { code = co_await code_of_read(stream); }

Task<void> write_until_error(Stream& stream, const std::vector<std::byte>& bytes, Code& code) {
  std::array<ConstBuffer, 1> parts{ConstBuffer(bytes)};
  for (;;) {
    Result<void> result = co_await stream.write_all(parts);
    if (result) continue;
    code = result.error().code;
    co_return;
  }
}

Task<Duration> shut_down_while_pending(EventLoop& loop, Stream& stream, Code& read, Code& write) {
  std::vector<std::byte> bytes(1 << 20);  // nobody reads: the writer is stuck soon
  TaskGroup group;
  group.spawn(read_until_error(stream, read));
  group.spawn(write_until_error(stream, bytes, write));
  co_await loop.sleep(30ms);
  TimePoint start = loop.now();
  stream.shutdown();
  stream.shutdown();
  co_await group.close();
  co_return loop.now() - start;
}

TEST_P(UringNetworkTest, ShutdownEndsPendingOperationsAtOnce) {
  auto listener = listen();
  Pair pair = run_to_end(*loop_, connect_pair(*network_, *listener));
  Code read{};
  Code write{};
  Duration took = run_to_end(*loop_, shut_down_while_pending(*loop_, *pair.client, read, write));
  EXPECT_EQ(read, Code::kClosed);
  EXPECT_EQ(write, Code::kClosed);
  EXPECT_LT(took, 200ms);
  EXPECT_EQ(run_to_end(*loop_, code_of_read(*pair.client)), Code::kClosed);
}

Task<Duration> close_while_accepting(EventLoop& loop, UringListener& listener, Code& code) {
  Result<std::unique_ptr<Stream>> accepted = fail(Code::kCancelled);
  TaskGroup group;
  group.spawn(accept_into(listener, accepted));
  co_await loop.sleep(10ms);
  TimePoint start = loop.now();
  listener.close();
  co_await group.close();
  code = accepted ? Code{} : accepted.error().code;
  co_return loop.now() - start;
}

TEST_P(UringNetworkTest, CloseEndsAPendingAcceptAndFreesTheAddress) {
  auto listener = listen();
  Address address = listener->address();
  Code code{};
  EXPECT_LT(run_to_end(*loop_, close_while_accepting(*loop_, *listener, code)), 200ms);
  EXPECT_EQ(code, Code::kClosed);
  listener.reset();
  EXPECT_TRUE(listen_at(address.text).has_value());
}

TEST_P(UringNetworkTest, ATakenAddressIsBusyAfterAWhile) {
  auto listener = listen();
  TimePoint start = loop_->now();
  auto second = listen_at(listener->address().text);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kBusy);
  EXPECT_GE(loop_->now() - start, 1s);
}

Task<void> close_later(EventLoop& loop, std::unique_ptr<UringListener> listener) {
  co_await loop.sleep(300ms);
  listener->close();
}

Task<bool> listen_while_the_other_goes(EventLoop& loop, UringNetwork& network,
                                       std::unique_ptr<UringListener> old) {
  Address address = old->address();
  TaskGroup group;
  group.spawn(close_later(loop, std::move(old)));
  Result<std::unique_ptr<UringListener>> listener = co_await network.listen_at(address);
  co_await group.close();
  co_return listener.has_value();
}

TEST_P(UringNetworkTest, ListenWaitsForAnAddressThatIsAboutToBeFree) {
  EXPECT_TRUE(run_to_end(*loop_, listen_while_the_other_goes(*loop_, *network_, listen())));
}

Task<Code> code_of_connect(UringNetwork& network, Address to, Duration timeout) {
  Result<std::unique_ptr<Stream>> stream = co_await network.connect(to, timeout);
  co_return stream ? Code{} : stream.error().code;
}

TEST_P(UringNetworkTest, ConnectingToNobodyIsUnreachable) {
  auto listener = listen();
  Address address = listener->address();
  listener.reset();
  EXPECT_EQ(run_to_end(*loop_, code_of_connect(*network_, address, 1s)), Code::kUnreachable);
}

// The kernel of the process that dies closes its sockets with data unread: a reset, not an end.
TEST_P(UringNetworkTest, AKilledPeerIsNoticedAtOnce) {
  auto listener = listen();
  Address address = listener->address();
  pid_t peer = ::fork();
  if (peer == 0) {
    auto loop = EventLoop::create();
    UringNetwork network(**loop);
    auto stream = run_to_end(**loop, network.connect(address, 1s));
    for (;;) ::pause();
  }
  Result<std::unique_ptr<Stream>> accepted = run_to_end(*loop_, listener->accept());
  ASSERT_TRUE(accepted.has_value());
  auto unread = random_parts(1, 100);
  unread[0].resize(10);
  Result<void> sent;
  run_to_end(*loop_, send(**accepted, unread, sent));
  TimePoint start = loop_->now();
  ASSERT_EQ(::kill(peer, SIGKILL), 0);
  Code code = run_to_end(*loop_, code_of_read(**accepted));
  EXPECT_TRUE(code == Code::kUnreachable || code == Code::kClosed);
  EXPECT_LT(loop_->now() - start, 1s);
  ::waitpid(peer, nullptr, 0);
}

INSTANTIATE_TEST_SUITE_P(Families, UringNetworkTest,
                         ::testing::Values("127.0.0.1:0", "[::1]:0", "unix"));

class UringNetworkPlainTest : public UringNetworkTest {};
INSTANTIATE_TEST_SUITE_P(Unix, UringNetworkPlainTest, ::testing::Values("unix"));

TEST_P(UringNetworkPlainTest, ReplacesAStaleSocketFileAndNothingElse) {
  std::string path = directory_.file("socket");
  auto parsed = parse_address({"unix:" + path});
  {
    FileDescriptor dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::bind(dead.get(), parsed->get(), parsed->size), 0);
    ASSERT_EQ(::listen(dead.get(), 1), 0);
  }
  ASSERT_EQ(::access(path.c_str(), F_OK), 0);
  listen()->close();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);

  FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fclose(file);
  EXPECT_EQ(listen_at("unix:" + path).error().code, Code::kBusy);
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

TEST_P(UringNetworkPlainTest, SaysWhatIsWrongWithAnAddress) {
  EXPECT_EQ(listen_at("nonsense").error().code, Code::kInvalidArgument);
  EXPECT_EQ(listen_at("unix:" + directory_.file("absent/socket")).error().code, Code::kNotFound);
  EXPECT_EQ(listen_at("192.0.2.1:1").error().code, Code::kUnreachable);
  EXPECT_EQ(run_to_end(*loop_, code_of_connect(*network_, Address{"1.2.3.4"}, 1s)),
            Code::kInvalidArgument);
}

// A listener whose backlog is full leaves the attempt unanswered.
TEST_P(UringNetworkPlainTest, ConnectGivesUpInTime) {
  FileDescriptor silent(::socket(AF_INET, SOCK_STREAM, 0));
  auto address = parse_address({"127.0.0.1:0"});
  ASSERT_EQ(::bind(silent.get(), address->get(), address->size), 0);
  ASSERT_EQ(::listen(silent.get(), 0), 0);
  SocketAddress bound;
  bound.size = sizeof bound.storage;
  ASSERT_EQ(::getsockname(silent.get(), bound.get(), &bound.size), 0);
  FileDescriptor filler(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(filler.get(), bound.get(), bound.size), 0);
  TimePoint start = loop_->now();
  EXPECT_EQ(run_to_end(*loop_, code_of_connect(*network_, format_address(bound), 100ms)),
            Code::kTimedOut);
  EXPECT_LT(loop_->now() - start, 900ms);
}

Task<void> read_then_note(Stream& stream, Code& code) { code = co_await code_of_read(stream); }

TEST_P(UringNetworkPlainTest, LoopShutdownEndsReadsAsCancelled) {
  auto listener = listen();
  Pair pair = run_to_end(*loop_, connect_pair(*network_, *listener));
  Code code{};
  TaskGroup group;
  group.spawn(read_then_note(*pair.client, code));
  loop_->shutdown();
  EXPECT_EQ(group.running(), 0u);
  EXPECT_EQ(code, Code::kCancelled);
}

}  // namespace
}  // namespace cleat::io
