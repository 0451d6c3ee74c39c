// What a client of the NBD server may send, from its first byte or, when that is odd, from the end
// of a good handshake on. Whatever comes: no crash, every request under way ends, and the
// connection too.
#include <array>
#include <vector>

#include "frontend/nbd/bytes.h"
#include "frontend/nbd/connection.h"
#include "frontend/testing/manual_executor.h"
#include "frontend/testing/memory_device.h"
#include "frontend/testing/memory_stream.h"

namespace {

using namespace cleat;

constexpr size_t kDeviceBytes = 64 * kBlockSize;

// Kept between runs: what they share must survive each of them.
struct World {
  World() : memory(kDeviceBytes) { exports.add(volume); }

  frontend::ManualExecutor executor;
  io::BufferPool pool;
  AlignedBuffer memory;
  frontend::MemoryDevice memory_device{executor, memory.span()};
  frontend::AlignedDevice device{executor, pool, memory_device};
  nbd::Export volume{executor, device, "db"};
  nbd::ExportList exports;
};

io::Task<void> run(nbd::Connection& connection) { static_cast<void>(co_await connection.run()); }

io::Task<void> say(io::Stream& client, ConstBuffer bytes) {
  std::array<ConstBuffer, 1> parts{bytes};
  static_cast<void>(co_await client.write_all(parts));
}

std::vector<std::byte> handshake() {
  std::vector<std::byte> bytes;
  nbd::append(bytes, uint32_t{nbd::kFixedNewstyle | nbd::kNoZeroes});
  nbd::append(bytes, nbd::kOptionMagic);
  nbd::append(bytes, static_cast<uint32_t>(nbd::Option::kExportName));
  nbd::append(bytes, uint32_t{2});
  nbd::append(bytes, std::string_view("db"));
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  if (size == 0) return 0;
  auto [server, client] = frontend::MemoryStream::make_pair(world.executor, 1000, data[0]);
  world.memory_device.set_latency(100us, data[0]);
  std::vector<std::byte> bytes;
  if (data[0] % 2 == 1) bytes = handshake();
  auto* rest = reinterpret_cast<const std::byte*>(data) + 1;
  bytes.insert(bytes.end(), rest, rest + size - 1);

  nbd::Connection connection(world.executor, world.pool, world.exports, std::move(server));
  io::TaskGroup tasks;
  tasks.spawn(run(connection));
  tasks.spawn(say(*client, bytes));
  world.executor.run();
  client->shutdown();
  world.executor.run();
  CHECK(tasks.running() == 0, "a connection ends when its client leaves");
  CHECK(world.volume.connection_count() == 0, "and the export knows");
  return 0;
}
