#include "frontend/nbd/connection.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "frontend/nbd/bytes.h"
#include "frontend/testing/manual_executor.h"
#include "frontend/testing/memory_device.h"
#include "frontend/testing/memory_stream.h"

namespace cleat::nbd {
namespace {

using frontend::MemoryDevice;
using frontend::MemoryStream;

constexpr size_t kDeviceBytes = 48 << 20;

struct Answer {
  uint32_t error = 0;
  std::vector<std::byte> data;
};

// A client that says everything first and then reads the answers.
class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    std::memset(memory_.data(), 0, kDeviceBytes);
    exports_.add(export_);
    connect(3000);
  }
  ~ConnectionTest() override {
    client_->shutdown();
    executor_.run();
    EXPECT_EQ(tasks_.running(), 0u);
  }

  void connect(size_t piece_bytes_max) {
    auto [server, client] = MemoryStream::make_pair(executor_, piece_bytes_max, 42);
    client_ = std::move(client);
    connection_.emplace(executor_, pool_, exports_, std::move(server));
    tasks_.spawn(keep_ending());
    std::vector<std::byte> hello;
    append(hello, uint32_t{kFixedNewstyle | kNoZeroes});
    append(hello, kOptionMagic);
    append(hello, static_cast<uint32_t>(Option::kExportName));
    append(hello, uint32_t{2});
    append(hello, std::string_view("db"));
    say(hello);
    receive(18 + 10);
  }
  io::Task<void> keep_ending() { ending_ = co_await connection_->run(); }

  void say(ConstBuffer bytes) {
    std::vector<std::byte> copy(bytes.begin(), bytes.end());
    tasks_.spawn(write(std::move(copy)));
    executor_.run();
  }
  io::Task<void> write(std::vector<std::byte> bytes) {
    std::array<ConstBuffer, 1> parts{bytes};
    static_cast<void>(co_await client_->write_all(parts));
  }
  void request(Command command, uint64_t cookie, uint64_t offset, uint32_t length,
               uint16_t flags = 0, ConstBuffer payload = {}) {
    append(said_, kRequestMagic);
    append(said_, flags);
    append(said_, static_cast<uint16_t>(command));
    append(said_, cookie);
    append(said_, offset);
    append(said_, length);
    said_.insert(said_.end(), payload.begin(), payload.end());
  }
  void send_requests() {
    say(said_);
    said_.clear();
  }

  std::vector<std::byte> receive(size_t bytes) {
    std::vector<std::byte> got(bytes);
    bool done = false;
    tasks_.spawn(read_exactly(got, done));
    executor_.run();
    EXPECT_TRUE(done) << "the server sent less than expected";
    return got;
  }
  io::Task<void> read_exactly(std::vector<std::byte>& into, bool& done) {
    size_t at = 0;
    while (at < into.size()) {
      MutableBuffer rest = MutableBuffer(into).subspan(at);
      Result<size_t> got = co_await client_->read_some(rest);
      if (!got) co_return;
      at += *got;
    }
    done = true;
  }
  // Answers to `count` requests; `lengths` tells how much data each READ brings.
  std::map<uint64_t, Answer> answers(size_t count, const std::map<uint64_t, size_t>& lengths = {}) {
    std::map<uint64_t, Answer> all;
    for (size_t i = 0; i < count; ++i) {
      std::vector<std::byte> header = receive(kSimpleReplyBytes);
      EXPECT_EQ(load_u32(header.data()), kSimpleReplyMagic);
      uint64_t cookie = load_u64(header.data() + 8);
      Answer answer{load_u32(header.data() + 4), {}};
      auto length = lengths.find(cookie);
      if (answer.error == 0 && length != lengths.end()) answer.data = receive(length->second);
      all.emplace(cookie, std::move(answer));
    }
    return all;
  }
  static std::vector<std::byte> pattern(size_t bytes, int seed) {
    std::vector<std::byte> data(bytes);
    for (size_t i = 0; i < bytes; ++i)
      data[i] = std::byte((i * 131 + static_cast<size_t>(seed)) >> 3);
    return data;
  }

  frontend::ManualExecutor executor_;
  io::BufferPool pool_;
  AlignedBuffer memory_{kDeviceBytes};
  MemoryDevice memory_device_{executor_, memory_.span()};
  frontend::AlignedDevice device_{executor_, pool_, memory_device_};
  Export export_{executor_, device_, "db"};
  ExportList exports_;
  std::unique_ptr<MemoryStream> client_;
  std::optional<Connection> connection_;
  Result<void> ending_;
  io::TaskGroup tasks_;
  std::vector<std::byte> said_;
};

TEST_F(ConnectionTest, WritesAndReadsAtEverySizeAndAlignment) {
  uint64_t cookie = 0;
  for (size_t length :
       {512ul, 4096ul, 4608ul, 65536ul, 70000ul, 262144ul, 1048576ul, 1049088ul, 5000000ul}) {
    for (uint64_t offset : {0ul, 512ul, 4096ul, 1048064ul}) {
      auto data = pattern(length, static_cast<int>(length + offset));
      auto bytes = static_cast<uint32_t>(length);
      request(Command::kWrite, ++cookie, offset, bytes, 0, data);
      send_requests();
      ASSERT_EQ(answers(1)[cookie].error, 0u);
      ASSERT_EQ(std::memcmp(memory_.data() + offset, data.data(), length), 0)
          << length << "@" << offset;
      request(Command::kRead, ++cookie, offset, bytes);
      send_requests();
      ASSERT_EQ(answers(1, {{cookie, length}})[cookie].data, data);
    }
  }
}

TEST_F(ConnectionTest, TheLargestRequestWorks) {
  auto data = pattern(kPayloadBytesMax, 5);
  request(Command::kWrite, 1, 512, kPayloadBytesMax, kCommandFua, data);
  request(Command::kRead, 2, 512, kPayloadBytesMax);
  request(Command::kFlush, 3, 0, 0);
  send_requests();
  auto all = answers(3, {{2, kPayloadBytesMax}});
  EXPECT_EQ(all[1].error, 0u);
  EXPECT_EQ(all[3].error, 0u);
  EXPECT_EQ(std::memcmp(memory_.data() + 512, data.data(), data.size()), 0);
}

TEST_F(ConnectionTest, AnswersAsRequestsCompleteNotInOrder) {
  memory_device_.set_latency(1ms, 7);
  std::map<uint64_t, size_t> lengths;
  for (uint64_t i = 0; i < 2000; ++i) {
    if (i % 2 == 0) {
      request(Command::kWrite, i, i * 4096, 4096, 0, pattern(4096, static_cast<int>(i)));
    } else {
      request(Command::kRead, i, 40u << 20, 4096);
      lengths[i] = 4096;
    }
  }
  send_requests();
  auto all = answers(2000, lengths);
  EXPECT_EQ(all.size(), 2000u);
  for (uint64_t i = 0; i < 2000; i += 2) {
    ASSERT_EQ(all[i].error, 0u);
    ASSERT_EQ(
        std::memcmp(memory_.data() + i * 4096, pattern(4096, static_cast<int>(i)).data(), 4096), 0);
  }
}

TEST_F(ConnectionTest, FlagsReachTheDevice) {
  request(Command::kWrite, 1, 0, 4096, kCommandFua, pattern(4096, 1));
  request(Command::kFlush, 2, 0, 0);
  request(Command::kTrim, 3, 0, 8192);
  request(Command::kWriteZeroes, 4, 8192, 8192, kCommandFua | kCommandNoHole);
  send_requests();
  for (auto& [cookie, answer] : answers(4)) EXPECT_EQ(answer.error, 0u) << cookie;
  EXPECT_EQ(memory_device_.counts().fua_writes, 1u);
  EXPECT_EQ(memory_device_.counts().flushes, 1u);
  EXPECT_EQ(memory_device_.counts().zeroes, 2u);
}

TEST_F(ConnectionTest, BadRequestsGetAnErrorAndTheStreamGoesOn) {
  request(Command::kWrite, 1, kDeviceBytes - 512, 1024, 0, pattern(1024, 1));
  request(Command::kRead, 2, kDeviceBytes - 512, 1024);
  request(Command::kRead, 3, ~uint64_t{0} - 100, 4096);
  request(Command::kWriteZeroes, 4, ~uint64_t{0} - 100, 4096);
  request(static_cast<Command>(5), 5, 0, 4096);
  request(static_cast<Command>(7777), 6, 0, 4096);
  request(Command::kRead, 7, 0, 0);
  request(Command::kWrite, 8, 0, 0);
  request(Command::kTrim, 9, 0, 0xffffffff);
  request(Command::kRead, 10, 0, 0xffffffff);
  request(Command::kWriteZeroes, 11, 0, 4096, 1 << 4);
  request(Command::kRead, 12, 0, 512);
  send_requests();
  auto all = answers(12, {{12, 512}});
  EXPECT_EQ(all[1].error, kErrorNoSpace);
  EXPECT_EQ(all[2].error, kErrorInvalid);
  EXPECT_EQ(all[3].error, kErrorInvalid);
  EXPECT_EQ(all[4].error, kErrorNoSpace);
  EXPECT_EQ(all[5].error, kErrorInvalid);
  EXPECT_EQ(all[6].error, kErrorInvalid);
  EXPECT_EQ(all[7].error, 0u);
  EXPECT_EQ(all[8].error, 0u);
  EXPECT_EQ(all[9].error, kErrorNoSpace);
  EXPECT_EQ(all[10].error, kErrorOverflow);
  EXPECT_EQ(all[11].error, kErrorInvalid);
  EXPECT_EQ(all[12].error, 0u);
  EXPECT_EQ(memory_device_.counts().writes, 0u);
}

TEST_F(ConnectionTest, DeviceErrorsAreTold) {
  memory_device_.set_judge(
      [](MemoryDevice::Operation, BlockRange) -> Result<void> { return fail(Code::kNoSpace); });
  request(Command::kWrite, 1, 0, 4096, 0, pattern(4096, 1));
  request(Command::kRead, 2, 0, 3 << 20);
  request(Command::kWrite, 3, 0, 3 << 20, 0, pattern(3 << 20, 1));
  request(Command::kFlush, 4, 0, 0);
  send_requests();
  for (auto& [cookie, answer] : answers(4)) EXPECT_EQ(answer.error, kErrorNoSpace) << cookie;
}

TEST_F(ConnectionTest, DisconnectAnswersWhatIsUnderWay) {
  memory_device_.set_latency(1ms, 3);
  request(Command::kWrite, 1, 0, 4096, 0, pattern(4096, 1));
  request(Command::kDisconnect, 2, 0, 0);
  send_requests();
  EXPECT_EQ(answers(1)[1].error, 0u);
  EXPECT_TRUE(ending_);
  EXPECT_EQ(tasks_.running(), 0u);
}

TEST_F(ConnectionTest, GarbageEndsTheConnection) {
  said_.resize(kRequestBytes, std::byte{0x11});
  send_requests();
  ASSERT_FALSE(ending_);
  EXPECT_EQ(ending_.error().code, Code::kCorrupt);
}

io::Task<void> close_export(Export& volume, bool& closed) {
  co_await volume.close();
  closed = true;
}

TEST_F(ConnectionTest, ClosingAnExportEndsItsConnections) {
  memory_device_.set_latency(1ms, 3);
  request(Command::kRead, 1, 0, 4096);
  bool closed = false;
  say(said_);
  tasks_.spawn(close_export(export_, closed));
  executor_.run();
  EXPECT_TRUE(closed);
  EXPECT_EQ(export_.connection_count(), 0u);
}

TEST_F(ConnectionTest, ReadOnlyRefusesChanges) {
  client_->shutdown();
  executor_.run();
  exports_.remove(export_);
  Export read_only(executor_, device_, "db", {.is_read_only = true});
  exports_.add(read_only);
  connect(1 << 20);
  request(Command::kWrite, 1, 0, 4096, 0, pattern(4096, 1));
  request(Command::kTrim, 2, 0, 4096);
  request(Command::kRead, 3, 0, 4096);
  send_requests();
  auto all = answers(3, {{3, 4096}});
  EXPECT_EQ(all[1].error, kErrorPermission);
  EXPECT_EQ(all[2].error, kErrorPermission);
  EXPECT_EQ(all[3].error, 0u);
  client_->shutdown();
  executor_.run();
  exports_.remove(read_only);
}

}  // namespace
}  // namespace cleat::nbd
