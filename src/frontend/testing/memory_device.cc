#include "frontend/testing/memory_device.h"

#include <cstring>

#include "common/check.h"

namespace cleat::frontend {

using io::Task;

void MemoryDevice::set_latency(Duration longest, uint64_t seed) {
  longest_ = longest;
  random_.emplace(seed);
}

Result<void> MemoryDevice::check(Operation operation, BlockRange range, const std::byte* memory,
                                 size_t bytes) {
  CHECK(range.count > 0 && range.count <= engine::kIoBlocksMax, "a frontend keeps to kIoBlocksMax");
  if (memory != nullptr) {
    CHECK(bytes == range.bytes(), "the memory of an operation is as large as its range");
    CHECK(reinterpret_cast<uintptr_t>(memory) % kBlockSize == 0,
          "memory is aligned for direct I/O");
  }
  if (range.end() * kBlockSize > size_bytes_)
    return fail(Code::kOutOfRange, "beyond the volume's end");
  if (judge_) return judge_(operation, range);
  return {};
}

Task<void> MemoryDevice::wait() {
  if (!random_) co_return;
  Duration latency(
      static_cast<int64_t>(random_->below(static_cast<uint64_t>(longest_.count()) + 1)));
  co_await executor_.sleep(latency);
}

Task<Result<void>> MemoryDevice::read(BlockRange range, MutableBuffer into) {
  ++counts_.reads;
  CO_TRY(check(Operation::kRead, range, into.data(), into.size()));
  co_await wait();
  std::memcpy(into.data(), at(range), range.bytes());
  co_return Result<void>{};
}

Task<Result<void>> MemoryDevice::write(BlockRange range, ConstBuffer from,
                                       engine::WriteFlags flags) {
  ++counts_.writes;
  if (flags == engine::WriteFlags::kFua) ++counts_.fua_writes;
  CO_TRY(check(Operation::kWrite, range, from.data(), from.size()));
  co_await wait();
  std::memcpy(at(range), from.data(), range.bytes());
  co_return Result<void>{};
}

Task<Result<void>> MemoryDevice::zero(BlockRange range, engine::WriteFlags /*flags*/) {
  ++counts_.zeroes;
  CO_TRY(check(Operation::kZero, range, nullptr, 0));
  co_await wait();
  std::memset(at(range), 0, range.bytes());
  co_return Result<void>{};
}

Task<Result<void>> MemoryDevice::flush() {
  ++counts_.flushes;
  BlockRange all{0, 0};
  if (judge_) CO_TRY(judge_(Operation::kFlush, all));
  co_await wait();
  co_return Result<void>{};
}

}  // namespace cleat::frontend
