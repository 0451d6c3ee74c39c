// The keeper's protocol with clients good and bad. Devices themselves:
// test/integration/frontend_device.sh.
#include "keeper/keeper.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "keeper/descriptor_passing.h"
#include "keeper/loop_device.h"

namespace cleat::keeper {
namespace {

class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() {
    std::string pattern = "/tmp/cleat-keeper-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    run_dir_ = pattern;
    keeper_.emplace(run_dir_);
    Outcome<> started = keeper_->start();
    EXPECT_TRUE(started) << started.error().message;
    thread_ = std::thread([this] { keeper_->run(stop_.get()); });
  }
  ~KeeperTest() override {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
    std::filesystem::remove_all(run_dir_);
  }

  io::FileDescriptor connect() { return connect_to(run_dir_ + "/" + kSocketName); }
  static io::FileDescriptor connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    io::FileDescriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  static Request request_of(RequestType type) {
    Request request;
    request.type = static_cast<uint16_t>(type);
    request.request_id = 7;
    return request;
  }
  static void send(const io::FileDescriptor& socket, const void* data, size_t size) {
    EXPECT_EQ(::send(socket.get(), data, size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
  }
  // The answer's last packet; an error of -1 when the keeper hung up.
  static Reply ask(const io::FileDescriptor& socket, const Request& request) {
    send(socket, &request, sizeof request);
    Reply reply;
    if (::recv(socket.get(), &reply, sizeof reply, 0) != sizeof reply) reply.error = -1;
    return reply;
  }
  static bool is_hung_up(const io::FileDescriptor& socket) {
    char byte = 0;
    return ::recv(socket.get(), &byte, 1, 0) == 0;
  }

  std::string run_dir_;
  io::FileDescriptor stop_{::eventfd(0, EFD_CLOEXEC)};
  std::optional<Keeper> keeper_;
  std::thread thread_;
};

TEST_F(KeeperTest, SaysHelloAndHoldsNothingAtFirst) {
  io::FileDescriptor client = connect();
  Reply reply = ask(client, request_of(RequestType::kHello));
  EXPECT_EQ(reply.error, 0);
  EXPECT_EQ(reply.request_id, 7u);
  EXPECT_EQ(reply.version, kVersion);
  reply = ask(client, request_of(RequestType::kList));
  EXPECT_EQ(reply.type, static_cast<uint16_t>(ReplyType::kDone));
}

TEST_F(KeeperTest, OtherVersionsAndUnknownRequestsAreRefusedInWords) {
  io::FileDescriptor client = connect();
  Request request = request_of(RequestType::kHello);
  request.version = kVersion + 1;
  Reply reply = ask(client, request);
  EXPECT_EQ(reply.error, EPROTONOSUPPORT);
  EXPECT_FALSE(get_text(reply.message).empty());
  EXPECT_EQ(ask(client, request_of(static_cast<RequestType>(4711))).error, EOPNOTSUPP);
}

TEST_F(KeeperTest, BadVolumesAreRefused) {
  io::FileDescriptor client = connect();
  for (auto [id, size] : {std::pair<uint64_t, uint64_t>{0, 4096}, {1, 0}, {1, 4097}}) {
    Request request = request_of(RequestType::kCreate);
    request.volume_id = id;
    request.size_bytes = size;
    EXPECT_EQ(ask(client, request).error, EINVAL);
  }
}

TEST_F(KeeperTest, DevicesThatAreNotHeld) {
  io::FileDescriptor client = connect();
  EXPECT_EQ(ask(client, request_of(RequestType::kResize)).error, ENOENT);
  EXPECT_EQ(ask(client, request_of(RequestType::kDestroy)).error, 0);
}

TEST_F(KeeperTest, GarbageIsHungUpOn) {
  io::FileDescriptor client = connect();
  send(client, "garbage", 7);
  EXPECT_TRUE(is_hung_up(client));
  client = connect();
  Request request = request_of(RequestType::kHello);
  request.magic = 1;
  send(client, &request, sizeof request);
  EXPECT_TRUE(is_hung_up(client));
  client = connect();
  request = request_of(RequestType::kHello);
  request.request_id = 0;
  send(client, &request, sizeof request);
  EXPECT_TRUE(is_hung_up(client));
  EXPECT_EQ(ask(connect(), request_of(RequestType::kHello)).error, 0);
}

TEST_F(KeeperTest, DescriptorsSentByAClientAreClosed) {
  io::FileDescriptor client = connect();
  int pipe[2] = {-1, -1};
  ASSERT_EQ(::pipe(pipe), 0);
  io::FileDescriptor reader(pipe[0]);
  io::FileDescriptor writer(pipe[1]);
  Request request = request_of(RequestType::kHello);
  Packet packet(&request, sizeof request, writer.get());
  ASSERT_GT(::sendmsg(client.get(), &packet.header(), 0), 0);
  Reply reply;
  ASSERT_EQ(::recv(client.get(), &reply, sizeof reply, 0), static_cast<ssize_t>(sizeof reply));
  writer = {};
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0) << "the keeper keeps a client's descriptor";
}

TEST_F(KeeperTest, ANewerClientTakesThePlace) {
  io::FileDescriptor first = connect();
  EXPECT_EQ(ask(first, request_of(RequestType::kHello)).error, 0);
  io::FileDescriptor second = connect();
  EXPECT_EQ(ask(second, request_of(RequestType::kHello)).error, 0);
  EXPECT_TRUE(is_hung_up(first));
}

// A process that serves connections and lives must keep its successor waiting.
TEST_F(KeeperTest, NothingIsHandedOnWhileTheProcessBeforeLives) {
  pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    io::FileDescriptor own = connect();
    Reply reply = ask(own, request_of(RequestType::kHello));
    if (reply.error != 0) ::_exit(1);
    // The end of the connection alone must not be taken for the end of the process.
    own = {};
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  io::FileDescriptor client = connect();
  EXPECT_EQ(ask(client, request_of(RequestType::kList)).error, EAGAIN);
  EXPECT_EQ(ask(client, request_of(RequestType::kHello)).error, 0);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(ask(client, request_of(RequestType::kList)).error, 0);
}

TEST_F(KeeperTest, OneKeeperADirectory) {
  Keeper second(run_dir_);
  Outcome<> started = second.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().error, EADDRINUSE);
}

// Attached, with what BLKROGET says of it first, and then made read-only or not. The index, or -1.
int attach_as(int read_only, const std::string& file, const std::string& tag, int& was_read_only) {
  auto loop = attach_loop(file, tag);
  if (!loop) return -1;
  EXPECT_EQ(::ioctl(loop->hold.get(), BLKROGET, &was_read_only), 0);
  EXPECT_EQ(::ioctl(loop->hold.get(), BLKROSET, &read_only), 0);
  EXPECT_TRUE(detach_loop(*loop, tag));
  return loop->index;
}

TEST(LoopDevice, WhoWasMadeReadOnlyIsWritableForTheNextFile) {
  const std::string tag = "cleat-keeper-test-" + std::to_string(::getpid());
  const std::string file = "/tmp/" + tag;
  std::ofstream(file).close();
  std::filesystem::resize_file(file, 1 << 20);
  int was_read_only = 0;
  const int first = attach_as(1, file, tag, was_read_only);
  int next = -1;  // another, while somebody else has the first
  for (int i = 0; i < 50 && next != first; ++i) next = attach_as(0, file, tag, was_read_only);
  std::filesystem::remove(file);
  ASSERT_GE(first, 0);
  ASSERT_EQ(next, first);
  EXPECT_EQ(was_read_only, 0);
}

TEST(JobRunner, CompletionsRunWhereTheyAreFinished) {
  JobRunner jobs;
  auto main_thread = std::this_thread::get_id();
  int finished = 0;
  for (int i = 0; i < 10; ++i) {
    jobs.run([&, main_thread] {
      EXPECT_NE(std::this_thread::get_id(), main_thread);
      return [&finished, main_thread] {
        EXPECT_EQ(std::this_thread::get_id(), main_thread);
        ++finished;
      };
    });
  }
  for (int i = 0; i < 1000 && finished < 10; ++i) {
    jobs.finish();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(finished, 10);
}

}  // namespace
}  // namespace cleat::keeper
