// Once warm, the data path of this module allocates nothing: a block server that waits for memory
// whose reclaim waits for the server is a deadlock. Counted by replacing operator new in the test
// program; not in sanitizer builds, which need their own and do not pool frames.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "common/units.h"
#include "io/buffer_pool.h"
#include "io/test_directory.h"
#include "io/uring_disk.h"
#include "io/uring_network.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {
thread_local size_t allocations = 0;

void* allocate(size_t size, size_t alignment) {
  ++allocations;
  size_t rounded = (size + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory == nullptr) std::abort();
  return memory;
}
}  // namespace

// Not inlined: where only one of a pair is, g++ takes it for a mismatch.
[[gnu::noinline]] void* operator new(size_t size) {
  return allocate(size, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace cleat::io {
namespace {

struct World {
  EventLoop& loop;
  BufferPool& pool;
  UringDisk& disk;
  Stream& client;
  Stream& server;
  int failures = 0;
};

Task<void> write_block(World& world, uint64_t index) {
  PooledBuffer buffer = world.pool.take(kBlockSize);
  Result<void> written = co_await world.disk.write(index * kBlockSize, std::as_const(buffer).span(),
                                                   WriteMode::kDurable);
  if (!written) ++world.failures;
}

Task<void> send_frame(World& world, PooledBuffer& payload) {
  std::array<std::byte, 32> header{};
  std::array<ConstBuffer, 2> parts{ConstBuffer(header), std::as_const(payload).span()};
  Result<void> sent = co_await world.client.write_all(parts);
  if (!sent) ++world.failures;
}

Task<void> one_round(World& world) {
  PooledBuffer out = world.pool.take(kBlockSize);
  PooledBuffer in = world.pool.take(kBlockSize + 32);
  TaskGroup group;
  for (uint64_t i = 0; i < 16; ++i) group.spawn(write_block(world, i));
  group.spawn(send_frame(world, out));
  for (size_t got = 0; got < in.size();) {
    Result<size_t> count = co_await world.server.read_some(in.span().subspan(got));
    if (!count) {
      ++world.failures;
      break;
    }
    got += *count;
  }
  co_await group.close();
  co_await world.loop.sleep(10us);
  co_await world.loop.yield();
}

Task<size_t> allocations_of_rounds(World& world, int count) {
  size_t before = allocations;
  for (int i = 0; i < count; ++i) co_await one_round(world);
  co_return allocations - before;
}

TEST(SteadyState, DiskNetworkTimersAndBuffersAllocateNothing) {
  TestDirectory directory;
  auto loop = EventLoop::create();
  ASSERT_TRUE(loop.has_value());
  BufferPool pool;
  auto disk = run_to_end(**loop, UringDisk::create(**loop, directory.file("pool"), kMiB));
  ASSERT_TRUE(disk.has_value());
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  UringStream client(**loop, FileDescriptor(fds[0]));
  UringStream server(**loop, FileDescriptor(fds[1]));
  World world{**loop, pool, **disk, client, server};
  EXPECT_GT(run_to_end(**loop, allocations_of_rounds(world, 10)), 0u) << "the counter works";
  EXPECT_EQ(run_to_end(**loop, allocations_of_rounds(world, 200)), 0u);
  EXPECT_EQ(world.failures, 0);
}

}  // namespace
}  // namespace cleat::io

#endif
