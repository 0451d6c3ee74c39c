#include "frontend/aligned_device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "frontend/testing/manual_executor.h"
#include "frontend/testing/memory_device.h"
#include "io/task_group.h"

namespace cleat::frontend {
namespace {

using engine::WriteFlags;
using io::Task;

constexpr uint64_t kDeviceBytes = 64 * kBlockSize;
constexpr uint64_t kSector = 512;

class AlignedDeviceTest : public ::testing::Test {
 protected:
  AlignedDeviceTest() : memory_(kDeviceBytes), expected_(kDeviceBytes) {
    for (size_t i = 0; i < kDeviceBytes; ++i) expected_[i] = std::byte(i * 7 + i / 4096);
    std::memcpy(memory_.data(), expected_.data(), kDeviceBytes);
  }

  Task<void> write_bytes(ByteRange range, std::byte value, Result<void>& result) {
    io::PooledBuffer cover = pool_.take(range.cover().bytes());
    std::memset(cover.data(), 0xee, cover.size());
    std::memset(cover.data() + range.skip(), static_cast<int>(value), range.length);
    result = co_await device_.write(range, cover.span(), WriteFlags::kNone);
  }
  Task<void> zero_bytes(ByteRange range, Result<void>& result) {
    result = co_await device_.zero(range, WriteFlags::kNone);
  }
  Task<void> discard_bytes(ByteRange range, Result<void>& result) {
    result = co_await device_.discard(range, WriteFlags::kNone);
  }
  Task<void> read_bytes(ByteRange range, std::vector<std::byte>& into, Result<void>& result) {
    io::PooledBuffer cover = pool_.take(range.cover().bytes());
    result = co_await device_.read(range, cover.span());
    into.assign(cover.data() + range.skip(), cover.data() + range.skip() + range.length);
  }

  Task<void> write_often(uint64_t first, uint64_t sectors, int id, std::vector<int>& last) {
    for (int round = 0; round < 40; ++round) {
      ByteRange range{first * kSector, sectors * kSector};
      int value = (id * 40 + round) % 255 + 1;
      Result<void> result;
      co_await write_bytes(range, std::byte(value), result);
      EXPECT_TRUE(result);
      for (uint64_t i = first; i < first + sectors; ++i) last[i] = value;
    }
  }

  void expect(ByteRange range, std::byte value) {
    std::memset(expected_.data() + range.offset, static_cast<int>(value), range.length);
  }
  void compare() { ASSERT_EQ(std::memcmp(memory_.data(), expected_.data(), kDeviceBytes), 0); }

  ManualExecutor executor_;
  io::BufferPool pool_;
  AlignedBuffer memory_;
  MemoryDevice memory_device_{executor_, memory_.span()};
  AlignedDevice device_{executor_, pool_, memory_device_};
  io::TaskGroup tasks_;
  std::vector<std::byte> expected_;
};

TEST_F(AlignedDeviceTest, EverySizeAndAlignmentWritesJustItsBytes) {
  int value = 1;
  for (uint64_t offset = 2 * kBlockSize; offset < 3 * kBlockSize; offset += kSector) {
    for (uint64_t length = kSector; length <= 3 * kBlockSize + kSector; length += kSector) {
      Result<void> result;
      ByteRange range{offset, length};
      auto byte = std::byte(++value % 251);
      tasks_.spawn(write_bytes(range, byte, result));
      executor_.run();
      ASSERT_TRUE(result);
      expect(range, byte);
      compare();

      std::vector<std::byte> read;
      ByteRange wider{offset - kSector, length + 2 * kSector};
      tasks_.spawn(read_bytes(wider, read, result));
      executor_.run();
      ASSERT_TRUE(result);
      ASSERT_EQ(std::memcmp(read.data(), expected_.data() + wider.offset, wider.length), 0);
    }
  }
}

TEST_F(AlignedDeviceTest, EverySizeAndAlignmentZeroesJustItsBytes) {
  for (uint64_t offset = 2 * kBlockSize; offset < 3 * kBlockSize; offset += kSector) {
    for (uint64_t length = kSector; length <= 3 * kBlockSize + kSector; length += kSector) {
      Result<void> result;
      ByteRange range{offset, length};
      tasks_.spawn(zero_bytes(range, result));
      executor_.run();
      ASSERT_TRUE(result);
      expect(range, std::byte{0});
      compare();
      ByteRange again{2 * kBlockSize, 5 * kBlockSize};
      tasks_.spawn(write_bytes(again, std::byte{0x5a}, result));
      executor_.run();
      expect(again, std::byte{0x5a});
    }
  }
}

TEST_F(AlignedDeviceTest, SingleBytesAtTheEdgesOfABlock) {
  for (ByteRange range :
       {ByteRange{0, 1}, {4095, 1}, {4095, 2}, {4096, 1}, {kDeviceBytes - 1, 1}, {1, 8190}}) {
    Result<void> result;
    tasks_.spawn(write_bytes(range, std::byte{0xaa}, result));
    executor_.run();
    ASSERT_TRUE(result);
    expect(range, std::byte{0xaa});
    compare();
  }
}

TEST_F(AlignedDeviceTest, NothingIsZeroedByAnEmptyRange) {
  for (uint64_t offset : {0ul, 100ul, kBlockSize}) {
    Result<void> result;
    ByteRange range{offset, 0};
    tasks_.spawn(zero_bytes(range, result));
    tasks_.spawn(discard_bytes(range, result));
    executor_.run();
    ASSERT_TRUE(result);
  }
  compare();
}

TEST_F(AlignedDeviceTest, DiscardLeavesPartsOfBlocksAlone) {
  Result<void> result;
  ByteRange range{kSector, 3 * kBlockSize};
  tasks_.spawn(discard_bytes(range, result));
  executor_.run();
  ASSERT_TRUE(result);
  expect(ByteRange{kBlockSize, 2 * kBlockSize}, std::byte{0});
  compare();
}

TEST_F(AlignedDeviceTest, AlignedRequestsReadNothing) {
  Result<void> result;
  ByteRange range{kBlockSize, 2 * kBlockSize};
  tasks_.spawn(write_bytes(range, std::byte{1}, result));
  tasks_.spawn(zero_bytes(range, result));
  executor_.run();
  EXPECT_EQ(memory_device_.counts().reads, 0u);
}

TEST_F(AlignedDeviceTest, LongZeroesComeInPieces) {
  AlignedBuffer memory(3 * engine::kIoBlocksMax * kBlockSize);
  std::memset(memory.data(), 1, memory.size());
  MemoryDevice large(executor_, memory.span());
  AlignedDevice device(executor_, pool_, large);
  Result<void> result;
  struct Zero {
    static Task<void> run(AlignedDevice& device, ByteRange range, Result<void>& result) {
      result = co_await device.zero(range, WriteFlags::kNone);
    }
  };
  ByteRange range{kSector, memory.size() - 2 * kSector};
  tasks_.spawn(Zero::run(device, range, result));
  executor_.run();
  ASSERT_TRUE(result);
  EXPECT_EQ(memory.data()[kSector - 1], std::byte{1});
  EXPECT_EQ(memory.data()[kSector], std::byte{0});
  EXPECT_EQ(memory.data()[memory.size() - kSector - 1], std::byte{0});
  EXPECT_EQ(memory.data()[memory.size() - kSector], std::byte{1});
  EXPECT_EQ(large.counts().zeroes, 3u);
}

class PiecesTest : public AlignedDeviceTest {
 protected:
  static constexpr uint64_t kPieces = 3;

  PiecesTest() { large_.set_latency(50us, 1); }

  Task<void> zero_all(Pieces pieces) {
    ByteRange all{0, large_.size_bytes()};
    result_ = co_await large_device_.zero(all, WriteFlags::kNone, pieces);
  }
  Task<void> discard_all(Pieces pieces) {
    ByteRange all{0, large_.size_bytes()};
    result_ = co_await large_device_.discard(all, WriteFlags::kNone, pieces);
  }
  uint64_t passed_on() const { return large_.counts().zeroes; }

  AlignedBuffer large_memory_{kPieces * engine::kIoBlocksMax * kBlockSize};
  MemoryDevice large_{executor_, large_memory_.span()};
  AlignedDevice large_device_{executor_, pool_, large_};
  Result<void> result_;
};

TEST_F(PiecesTest, InTurnOnlyOneIsWithTheDevice) {
  tasks_.spawn(zero_all(Pieces::kInTurn));
  EXPECT_EQ(passed_on(), 1u);
  tasks_.spawn(discard_all(Pieces::kInTurn));
  EXPECT_EQ(passed_on(), 2u);
  executor_.run();
  EXPECT_TRUE(result_);
  EXPECT_EQ(passed_on(), 2 * kPieces);
}

TEST_F(PiecesTest, AtOnceAllAreWithTheDeviceBeforeTheFirstEnds) {
  tasks_.spawn(zero_all(Pieces::kAtOnce));
  EXPECT_EQ(passed_on(), kPieces);
  tasks_.spawn(discard_all(Pieces::kAtOnce));
  EXPECT_EQ(passed_on(), 2 * kPieces);
  executor_.run();
  EXPECT_TRUE(result_);
  EXPECT_EQ(passed_on(), 2 * kPieces);
}

TEST_F(PiecesTest, TheFirstErrorIsTheResultOnceAllHaveEnded) {
  large_.set_judge([](MemoryDevice::Operation, BlockRange range) -> Result<void> {
    if (range.first == 0) return {};
    return fail(range.end() == kPieces * engine::kIoBlocksMax ? Code::kIoError : Code::kNoSpace);
  });
  for (Pieces pieces : {Pieces::kInTurn, Pieces::kAtOnce}) {
    result_ = {};
    uint64_t before = passed_on();
    tasks_.spawn(zero_all(pieces));
    EXPECT_EQ(tasks_.running(), 1u) << "the first piece has not ended";
    EXPECT_TRUE(result_);
    executor_.run();
    ASSERT_FALSE(result_);
    EXPECT_EQ(result_.error().code, Code::kNoSpace);
    EXPECT_EQ(passed_on(), before + 2) << "no piece begins after an error";
  }
}

TEST_F(AlignedDeviceTest, AFailedReadOfAnEdgeFailsTheWriteAndChangesNothing) {
  memory_device_.set_judge([](MemoryDevice::Operation operation, BlockRange) -> Result<void> {
    if (operation == MemoryDevice::Operation::kRead) return fail(Code::kIoError, "planted");
    return {};
  });
  Result<void> result;
  tasks_.spawn(write_bytes(ByteRange{kSector, kSector}, std::byte{1}, result));
  executor_.run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kIoError);
  compare();
}

// Each writer owns some sectors and writes them again and again, at random latencies: whatever the
// order, every sector ends with its owner's last value. Sectors of one block have different owners.
TEST_F(AlignedDeviceTest, ConcurrentWritersNeverLoseEachOthersBytes) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    memory_device_.set_latency(50us, seed);
    std::vector<int> last(kDeviceBytes / kSector, -1);
    Random random(seed);
    uint64_t at = 0;
    int id = 0;
    while (at < 64) {
      // Mostly odd pieces; now and then whole blocks, which take the path without reads.
      uint64_t sectors = at % 8 == 0 && random.chance(0.3) ? 8 : random.between(1, 11);
      tasks_.spawn(write_often(at, sectors, ++id, last));
      at += sectors;
    }
    executor_.run();
    ASSERT_EQ(tasks_.running(), 0u);
    for (uint64_t sector = 0; sector < at; ++sector) {
      for (uint64_t i = 0; i < kSector; ++i) {
        ASSERT_EQ(static_cast<int>(memory_.data()[sector * kSector + i]), last[sector])
            << "seed " << seed << " sector " << sector;
      }
    }
  }
}

// A whole-block write that is under way when a small write into that block begins: the small one
// must see the whole one's bytes around its own.
TEST_F(AlignedDeviceTest, ASmallWriteWaitsForAnEarlierWholeOne) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    memory_device_.set_latency(100us, seed);
    Result<void> whole;
    Result<void> small;
    tasks_.spawn(write_bytes(ByteRange{0, kBlockSize}, std::byte(seed), whole));
    tasks_.spawn(write_bytes(ByteRange{kSector, kSector}, std::byte{0xff}, small));
    executor_.run();
    ASSERT_TRUE(whole && small);
    expect(ByteRange{0, kBlockSize}, std::byte(seed));
    expect(ByteRange{kSector, kSector}, std::byte{0xff});
    compare();
  }
}

}  // namespace
}  // namespace cleat::frontend
