// Test double of a volume: a device whose blocks are memory, with latency and failures on demand.
// Checks what a volume may expect of a frontend: whole blocks, inside the size, at most
// kIoBlocksMax, aligned memory.
//
// Threading: one loop. Ownership: borrows executor and memory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "common/random.h"
#include "engine/block_device.h"
#include "io/executor.h"

namespace cleat::frontend {

class MemoryDevice final : public engine::BlockDevice {
 public:
  enum class Operation : uint8_t { kRead, kWrite, kZero, kFlush };
  struct Counts {
    uint64_t reads = 0;
    uint64_t writes = 0;
    uint64_t fua_writes = 0;
    uint64_t zeroes = 0;
    uint64_t flushes = 0;
  };
  using Judge = std::function<Result<void>(Operation, BlockRange)>;

  // `memory`: a whole number of blocks.
  MemoryDevice(io::Executor& executor, MutableBuffer memory)
      : executor_(executor), memory_(memory), size_bytes_(memory.size()) {}

  // Each operation waits for up to `longest` before it takes effect (by `seed`), so that they
  // overlap.
  void set_latency(Duration longest, uint64_t seed);
  // Asked at the start of each operation; an error that it gives is the operation's.
  void set_judge(Judge judge) { judge_ = std::move(judge); }
  // Shrinks or grows what is served, inside the memory.
  void set_size(uint64_t bytes) { size_bytes_ = bytes; }
  const Counts& counts() const { return counts_; }

  uint64_t size_bytes() const override { return size_bytes_; }
  io::Task<Result<void>> read(BlockRange range, MutableBuffer into) override;
  io::Task<Result<void>> write(BlockRange range, ConstBuffer from,
                               engine::WriteFlags flags) override;
  io::Task<Result<void>> zero(BlockRange range, engine::WriteFlags flags) override;
  io::Task<Result<void>> flush() override;

 private:
  Result<void> check(Operation operation, BlockRange range, const std::byte* memory, size_t bytes);
  io::Task<void> wait();
  std::byte* at(BlockRange range) { return memory_.data() + range.first * kBlockSize; }

  io::Executor& executor_;
  MutableBuffer memory_;
  uint64_t size_bytes_;
  Duration longest_{};
  std::optional<Random> random_;
  Judge judge_;
  Counts counts_;
};

}  // namespace cleat::frontend
