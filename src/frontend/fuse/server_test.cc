// The server with a packet socket in the place of /dev/fuse: one packet is one request or one
// answer.
#include "frontend/fuse/server.h"

#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/socket.h>

#include <map>

#include "frontend/testing/memory_device.h"

namespace cleat::fuse {
namespace {

constexpr size_t kDeviceBytes = 16 << 20;

struct Received {
  int error = 0;
  std::vector<std::byte> data;
};

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    std::memset(memory_.data(), 0, kDeviceBytes);
    int pair[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    kernel_ = io::FileDescriptor(pair[0]);
    int bytes = 4 << 20;
    for (int fd : pair) ::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    server_.emplace(*loop_, pool_, buffers_, device_, io::FileDescriptor(pair[1]));
  }

  template <class Body>
  void ask(fuse_opcode opcode, uint64_t unique, const Body& body, ConstBuffer data = {}) {
    fuse_in_header header{};
    header.len = static_cast<uint32_t>(sizeof header + sizeof body + data.size());
    header.opcode = static_cast<uint32_t>(opcode);
    header.unique = unique;
    header.nodeid = kDiskNode;
    std::vector<std::byte> packet(header.len);
    std::memcpy(packet.data(), &header, sizeof header);
    std::memcpy(packet.data() + sizeof header, &body, sizeof body);
    if (!data.empty())
      std::memcpy(packet.data() + sizeof header + sizeof body, data.data(), data.size());
    ASSERT_EQ(::send(kernel_.get(), packet.data(), packet.size(), 0),
              static_cast<ssize_t>(packet.size()));
  }
  void ask_write(uint64_t unique, uint64_t offset, ConstBuffer data) {
    fuse_write_in in{};
    in.offset = offset;
    in.size = static_cast<uint32_t>(data.size());
    ask(FUSE_WRITE, unique, in, data);
  }
  void ask_read(uint64_t unique, uint64_t offset, uint32_t size) {
    fuse_read_in in{};
    in.offset = offset;
    in.size = size;
    ask(FUSE_READ, unique, in);
  }

  // Runs until `count` answers came, then ends the connection as an unmount would.
  std::map<uint64_t, Received> serve(size_t count) {
    return io::run_to_end(*loop_, serve_until(count));
  }
  io::Task<std::map<uint64_t, Received>> serve_until(size_t count) {
    io::TaskGroup serving;
    serving.spawn(run(Takeover::kNo));
    std::map<uint64_t, Received> all;
    while (all.size() < count) {
      io::UringOperation operation(*loop_);
      std::vector<std::byte> packet(2 << 20);
      io_uring_prep_recv(&operation.sqe(), kernel_.get(), packet.data(), packet.size(), 0);
      operation.set_timeout(5s);
      int result = co_await operation;
      EXPECT_GE(result, static_cast<int>(sizeof(fuse_out_header))) << "an answer is missing";
      if (result < static_cast<int>(sizeof(fuse_out_header))) break;
      fuse_out_header header{};
      std::memcpy(&header, packet.data(), sizeof header);
      EXPECT_EQ(header.len, static_cast<uint32_t>(result));
      packet.resize(static_cast<size_t>(result));
      packet.erase(packet.begin(), packet.begin() + sizeof header);
      all[header.unique] = {-header.error, std::move(packet)};
    }
    server_->stop();
    co_await serving.close();
    co_return all;
  }
  static io::Task<void> close(io::TaskGroup& group) { co_await group.close(); }
  io::Task<void> run(Takeover takeover) { ending_ = co_await server_->run(takeover); }

  static std::vector<std::byte> pattern(size_t bytes, int seed) {
    std::vector<std::byte> data(bytes);
    for (size_t i = 0; i < bytes; ++i)
      data[i] = std::byte((i * 131 + static_cast<size_t>(seed)) >> 3);
    return data;
  }

  std::unique_ptr<io::EventLoop> loop_ = std::move(*io::EventLoop::create());
  io::BufferPool pool_;
  RequestBuffers buffers_;
  AlignedBuffer memory_{kDeviceBytes};
  frontend::MemoryDevice memory_device_{*loop_, memory_.span()};
  frontend::AlignedDevice device_{*loop_, pool_, memory_device_};
  io::FileDescriptor kernel_;
  std::optional<Server> server_;
  Result<void> ending_;
};

TEST_F(ServerTest, WritesAndReadsAtEverySizeAndAlignment) {
  uint64_t unique = 0;
  uint64_t offset = 0;
  std::map<uint64_t, std::vector<std::byte>> reads;
  std::vector<std::pair<uint64_t, std::vector<std::byte>>> writes;
  for (size_t length : {512ul, 4096ul, 5000ul, 65536ul, 69632ul, 262144ul, 1048576ul, 1000000ul}) {
    for (uint64_t skip : {0ul, 512ul}) {
      writes.emplace_back(offset + skip, pattern(length, static_cast<int>(length)));
      offset += (length + 8192) / 4096 * 4096;
    }
  }
  for (auto& [at, data] : writes) ask_write(++unique, at, data);
  auto answers = serve(writes.size());
  for (auto& [id, answer] : answers) ASSERT_EQ(answer.error, 0) << id;
  for (auto& [at, data] : writes) {
    ASSERT_EQ(std::memcmp(memory_.data() + at, data.data(), data.size()), 0) << at;
  }
}

TEST_F(ServerTest, ReadsEndWithTheVolume) {
  auto data = pattern(8192, 3);
  std::memcpy(memory_.data() + kDeviceBytes - 8192, data.data(), 8192);
  ask_read(1, kDeviceBytes - 8192, 4096);
  ask_read(2, kDeviceBytes - 1000, 4096);
  ask_read(3, kDeviceBytes, 4096);
  ask_read(4, ~uint64_t{0} - 5, 4096);
  ask_read(5, 0, kWriteBytesMax);
  ask_read(6, 0, kWriteBytesMax + 1);
  auto answers = serve(6);
  EXPECT_EQ(answers[1].data, std::vector<std::byte>(data.begin(), data.begin() + 4096));
  EXPECT_EQ(answers[2].data, std::vector<std::byte>(data.end() - 1000, data.end()));
  EXPECT_TRUE(answers[3].data.empty());
  EXPECT_TRUE(answers[4].data.empty());
  EXPECT_EQ(answers[5].data.size(), kWriteBytesMax);
  EXPECT_EQ(answers[6].error, EINVAL);
}

TEST_F(ServerTest, WritesBeyondTheEndAreRefused) {
  auto data = pattern(4096, 1);
  ask_write(1, kDeviceBytes - 512, data);
  ask_write(2, ~uint64_t{0} - 100, data);
  auto answers = serve(2);
  EXPECT_EQ(answers[1].error, ENOSPC);
  EXPECT_EQ(answers[2].error, ENOSPC);
  EXPECT_EQ(memory_device_.counts().writes, 0u);
}

TEST_F(ServerTest, HolesZeroesAndFlushes) {
  std::memset(memory_.data(), 1, kDeviceBytes);
  fuse_fallocate_in in{};
  in.offset = 4096;
  in.length = 8192;
  in.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  ask(FUSE_FALLOCATE, 1, in);
  in.offset = 65536 + 100;
  in.mode = FALLOC_FL_ZERO_RANGE;
  ask(FUSE_FALLOCATE, 2, in);
  in.offset = kDeviceBytes;
  ask(FUSE_FALLOCATE, 3, in);
  in.mode = 0;
  ask(FUSE_FALLOCATE, 4, in);
  ask(FUSE_FSYNC, 5, fuse_fsync_in{});
  auto answers = serve(5);
  EXPECT_EQ(answers[1].error, 0);
  EXPECT_EQ(answers[2].error, 0);
  EXPECT_EQ(answers[3].error, ENOSPC);
  EXPECT_EQ(answers[4].error, EOPNOTSUPP);
  EXPECT_EQ(answers[5].error, 0);
  EXPECT_EQ(memory_device_.counts().flushes, 1u);
  EXPECT_EQ(memory_.data()[4095], std::byte{1});
  EXPECT_EQ(memory_.data()[4096], std::byte{0});
  EXPECT_EQ(memory_.data()[12287], std::byte{0});
  EXPECT_EQ(memory_.data()[12288], std::byte{1});
  EXPECT_EQ(memory_.data()[65536 + 99], std::byte{1});
  EXPECT_EQ(memory_.data()[65536 + 100], std::byte{0});
}

TEST_F(ServerTest, ErrorsOfTheDeviceAreTold) {
  memory_device_.set_judge([](frontend::MemoryDevice::Operation, BlockRange) -> Result<void> {
    return fail(Code::kNoSpace);
  });
  ask_write(1, 0, pattern(4096, 1));
  ask_write(2, 0, pattern(1 << 20, 1));
  ask_read(3, 0, 4096);
  ask(FUSE_FSYNC, 4, fuse_fsync_in{});
  for (auto& [id, answer] : serve(4)) EXPECT_EQ(answer.error, ENOSPC) << id;
}

TEST_F(ServerTest, ManyRequestsOverlap) {
  memory_device_.set_latency(2ms, 1);
  for (uint64_t i = 1; i <= 120; ++i) ask_write(i, i * 8192, pattern(4096, static_cast<int>(i)));
  auto answers = serve(120);
  for (uint64_t i = 1; i <= 120; ++i) {
    ASSERT_EQ(answers[i].error, 0);
    ASSERT_EQ(
        std::memcmp(memory_.data() + i * 8192, pattern(4096, static_cast<int>(i)).data(), 4096), 0);
  }
}

io::Task<void> stop_soon(io::EventLoop& loop, Server& server) {
  co_await loop.sleep(20ms);
  server.stop();
}

// A volume that shuts down with the process must not show its errors: the next process answers.
TEST_F(ServerTest, WhatFailsWhileStoppingIsLeftToTheSuccessor) {
  memory_device_.set_judge([this](frontend::MemoryDevice::Operation, BlockRange) -> Result<void> {
    server_->stop();
    return fail(Code::kClosed);
  });
  ask_write(1, 0, pattern(4096, 1));
  io::run_to_end(*loop_, run(Takeover::kNo));
  EXPECT_TRUE(ending_);
  char byte = 0;
  EXPECT_LT(::recv(kernel_.get(), &byte, 1, MSG_DONTWAIT), 0) << "the request was answered";
}

TEST_F(ServerTest, StopsWhileNothingIsAsked) {
  io::TaskGroup group;
  group.spawn(stop_soon(*loop_, *server_));
  io::run_to_end(*loop_, run(Takeover::kNo));
  EXPECT_TRUE(ending_);
}

TEST_F(ServerTest, EndsWithTheConnection) {
  kernel_ = io::FileDescriptor();
  io::run_to_end(*loop_, run(Takeover::kNo));
  ASSERT_FALSE(ending_);
  EXPECT_EQ(ending_.error().code, Code::kClosed);
}

TEST_F(ServerTest, ATakeoverAsksForTheUnansweredFirst) {
  ask_write(1 | kUniqueResend, 0, pattern(4096, 1));
  io::TaskGroup group;
  group.spawn(stop_soon(*loop_, *server_));
  io::run_to_end(*loop_, run(Takeover::kYes));
  fuse_out_header first{};
  ASSERT_EQ(::recv(kernel_.get(), &first, sizeof first, MSG_DONTWAIT),
            static_cast<ssize_t>(sizeof first));
  EXPECT_EQ(first.unique, 0u);
  EXPECT_EQ(first.error, kNotifyResend);
  ASSERT_GT(::recv(kernel_.get(), &first, sizeof first, MSG_DONTWAIT), 0);
  EXPECT_EQ(first.unique, 1 | kUniqueResend);
}

// A sharer names all of it before any is carried out: more than are served at once, or held in the
// buffers of requests.
TEST_F(ServerTest, ATakeoverPassesOnAllThatIsResentBeforeItWaits) {
  constexpr uint64_t kWrites = 20;
  memory_device_.set_latency(5ms, 1);
  auto data = pattern(100 * 1024 / 4096 * 4096, 7);
  for (uint64_t i = 1; i <= kWrites; ++i) ask_write(i | kUniqueResend, i * (128 << 10), data);
  io::TaskGroup group;
  group.spawn(run(Takeover::kYes));
  EXPECT_EQ(memory_device_.counts().writes, kWrites);
  group.spawn(stop_soon(*loop_, *server_));
  io::run_to_end(*loop_, close(group));
  EXPECT_TRUE(ending_);
}

// One that goes down in pieces too: the primary would give back the blocks of a piece that it was
// not told of, and the piece then zero what another node wrote there meanwhile.
TEST_F(ServerTest, ATakeoverPassesOnEveryPieceOfALongDiscardBeforeItWaits) {
  constexpr uint64_t kPieces = kDeviceBytes / (engine::kIoBlocksMax * kBlockSize);
  memory_device_.set_latency(5ms, 1);
  fuse_fallocate_in in{};
  in.length = kDeviceBytes;
  in.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  ask(FUSE_FALLOCATE, 1 | kUniqueResend, in);
  in.mode = FALLOC_FL_ZERO_RANGE;
  ask(FUSE_FALLOCATE, 2 | kUniqueResend, in);
  ask_write(3 | kUniqueResend, 0, pattern(4096, 1));
  io::TaskGroup group;
  group.spawn(run(Takeover::kYes));
  EXPECT_EQ(memory_device_.counts().zeroes, 2 * kPieces);
  EXPECT_EQ(memory_device_.counts().writes, 1u);
  group.spawn(stop_soon(*loop_, *server_));
  io::run_to_end(*loop_, close(group));
  EXPECT_TRUE(ending_);
}

}  // namespace
}  // namespace cleat::fuse
