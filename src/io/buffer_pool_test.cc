#include "io/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "common/random.h"

namespace cleat::io {
namespace {

TEST(BufferPool, GivesAlignedWritableMemoryOfTheSizeAskedFor) {
  BufferPool pool;
  for (size_t bytes :
       {size_t{1}, size_t{4096}, size_t{4097}, size_t{1} << 20, BufferPool::kBytesMax}) {
    PooledBuffer buffer = pool.take(bytes);
    EXPECT_EQ(buffer.size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kBufferAlignment, 0u);
    std::memset(buffer.data(), 0x5a, buffer.size());
  }
}

TEST(BufferPool, AccountsBySizeOfClass) {
  BufferPool pool;
  PooledBuffer small = pool.take(4096);
  PooledBuffer odd = pool.take(4097);
  EXPECT_EQ(pool.lent_bytes(), 4096u + 8192u);
  EXPECT_EQ(pool.cached_bytes(), 0u);
  odd = {};
  EXPECT_EQ(pool.lent_bytes(), 4096u);
  EXPECT_EQ(pool.cached_bytes(), 8192u);
}

TEST(BufferPool, ReusesWhatCameBack) {
  BufferPool pool;
  std::byte* first = nullptr;
  {
    PooledBuffer buffer = pool.take(5000);
    first = buffer.data();
  }
  PooledBuffer again = pool.take(8000);  // the same class
  EXPECT_EQ(again.data(), first);
  PooledBuffer other = pool.take(8000);
  EXPECT_NE(other.data(), first);
}

TEST(BufferPool, KeepsNoMoreThanItsBound) {
  BufferPool pool(64 * 1024);
  {
    std::vector<PooledBuffer> buffers;
    for (int i = 0; i < 40; ++i) buffers.push_back(pool.take(4096));
  }
  EXPECT_EQ(pool.cached_bytes(), 64u * 1024);
  EXPECT_EQ(pool.lent_bytes(), 0u);
}

TEST(PooledBuffer, MovesAndGoesBackOnce) {
  BufferPool pool;
  PooledBuffer a = pool.take(4096);
  std::byte* data = a.data();
  PooledBuffer b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT: a moved-from buffer is empty by contract
  EXPECT_EQ(b.data(), data);
  b = std::move(b);
  EXPECT_EQ(b.data(), data);
  PooledBuffer c = pool.take(4096);
  c = std::move(b);
  EXPECT_EQ(c.data(), data);
  EXPECT_EQ(pool.lent_bytes(), 4096u);
}

TEST(BufferPool, BuffersOutAtTheSameTimeNeverShareMemory) {
  BufferPool pool(256 * 1024);
  Random random(1);
  std::vector<std::pair<PooledBuffer, std::byte>> out;
  for (int i = 0; i < 5000; ++i) {
    if (out.size() < 32 && random.chance(0.6)) {
      PooledBuffer buffer = pool.take(random.between(1, 20'000));
      auto mark = static_cast<std::byte>(random());
      std::memset(buffer.data(), static_cast<int>(mark), buffer.size());
      out.emplace_back(std::move(buffer), mark);
    } else if (!out.empty()) {
      size_t index = random.below(out.size());
      for (std::byte byte : out[index].first.span()) ASSERT_EQ(byte, out[index].second);
      std::swap(out[index], out.back());
      out.pop_back();
    }
  }
}

}  // namespace
}  // namespace cleat::io
