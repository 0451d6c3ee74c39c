// A call allocates nothing once the connection is warm: a block server that waits for memory on its
// write path may wait for itself. Counted by replacing operator new in the test program; not in
// sanitizer builds, which need their own and pool no frames.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "wire/peer_connection.h"
#include "wire/testing/memory_stream.h"
#include "wire/testing/peers.h"
#include "wire/testing/test_loop.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {
uint64_t allocations = 0;

void* counted(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
}  // namespace

void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace cleat::wire {
namespace {

// Answers writes, and reads with whatever is in the buffer.
class PlainHandler : public RequestHandler {
 public:
  explicit PlainHandler(io::BufferPool& buffers) : buffers_(buffers) {}
  io::Task<Reply> handle(Message request) override {
    if (request.header.type != Type::kRead) co_return Reply();
    auto size = static_cast<uint32_t>(request.header.range.bytes());
    co_return Reply(Header(), buffers_.take(size), size);
  }

 private:
  io::BufferPool& buffers_;
};

io::Task<void> call_many(PeerClient& client, int count, ConstBuffer data, MutableBuffer into) {
  for (int i = 0; i < count; ++i) {
    auto writing = client.call(testing::request(Type::kWrite, {0, 1}), data, 1s);
    Result<Message> written = co_await std::move(writing);
    EXPECT_TRUE(written);
    auto reading = client.call_into(testing::request(Type::kRead, {0, 1}), into, 1s);
    Result<Header> read = co_await std::move(reading);
    EXPECT_TRUE(read);
  }
}

TEST(Allocation, ACallNeedsNoneOnceTheConnectionIsWarm) {
  testing::TestLoop loop;
  io::BufferPool buffers;
  PlainHandler handler(buffers);
  PeerServer server(loop, buffers, testing::identity(2), handler);
  auto [near, far] = testing::make_memory_streams(loop);
  io::TaskGroup group;
  group.spawn(server.serve(std::move(far)));
  auto session =
      loop.run_task(handshake_as_client(loop, *near, testing::identity(1), NodeId(2), 1s));
  ASSERT_TRUE(session);
  PeerClient client(loop, buffers, std::move(near), *session);
  group.spawn(client.run());

  std::vector<std::byte> data(kBlockSize), into(kBlockSize);
  auto run = [&](int count) {
    for (int i = 0; i < 32; ++i) group.spawn(call_many(client, count, data, into));
    loop.run();
  };
  run(10);
  uint64_t before = allocations;
  run(100);
  EXPECT_EQ(allocations - before, 0u);

  client.shutdown();
  loop.run();
}

}  // namespace
}  // namespace cleat::wire

#endif
