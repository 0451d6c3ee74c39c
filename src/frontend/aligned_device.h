// Serves requests of any size and alignment on a device of 4 KiB blocks. Aligned requests pass
// straight through. Of the others the blocks at the edges are read, changed and written back;
// meanwhile every write that shares a block with them waits, and they wait for what began before:
// two writes into different parts of one block never lose each other's bytes (the fault of
// longhorn#4354).
//
// All writers of a volume must come through one AlignedDevice, or the rule above means nothing.
// Threading: the loop that owns the volume. Ownership: borrows all three; they outlive it, and it
// must be idle when it dies. Errors: those of the device; a failed read of an edge fails the write.
#pragma once

#include <cstddef>

#include "engine/block_device.h"
#include "frontend/byte_range.h"
#include "io/buffer_pool.h"
#include "io/sync.h"

namespace cleat::frontend {

class AlignedDevice {
 public:
  AlignedDevice(io::Executor& executor, io::BufferPool& pool, engine::BlockDevice& device);
  AlignedDevice(const AlignedDevice&) = delete;
  ~AlignedDevice();

  uint64_t size_bytes() const { return device_.size_bytes(); }

  // `range` is not empty; `cover` holds range.cover() whole, at most kIoBlocksMax blocks, aligned
  // as the device wants its memory; the bytes of the range lie at range.skip(). It stays alive
  // until completion.
  io::Task<Result<void>> read(ByteRange range, MutableBuffer cover);
  // The same; bytes of `cover` outside the range are overwritten with what the device holds there.
  io::Task<Result<void>> write(ByteRange range, MutableBuffer cover, engine::WriteFlags flags);
  // Any length, none too: passed down in pieces.
  io::Task<Result<void>> zero(ByteRange range, engine::WriteFlags flags);
  // Zeroes only the whole blocks inside the range: for discards, which promise nothing about edges.
  io::Task<Result<void>> discard(ByteRange range, engine::WriteFlags flags);
  io::Task<Result<void>> flush() { return device_.flush(); }
  void delivered(ByteRange range) {
    if (range.length > 0) device_.delivered(range.cover());
  }

 private:
  // A change under way, in order of arrival; lives in the frame of its coroutine.
  class Ticket {
   public:
    Ticket(AlignedDevice& device, BlockRange blocks, bool is_exclusive);
    Ticket(const Ticket&) = delete;
    ~Ticket();

   private:
    friend class AlignedDevice;
    AlignedDevice& device_;
    BlockRange blocks_;
    bool is_exclusive_;  // reads blocks that it will write: conflicts with any other change of them
    Ticket* previous_ = nullptr;
    Ticket* next_ = nullptr;
  };

  bool must_wait(const Ticket& ticket) const;
  io::Task<void> wait_for_turn(const Ticket& ticket);
  io::Task<Result<void>> fill_edges(ByteRange range, MutableBuffer cover);
  io::Task<Result<void>> zero_edge(ByteRange part, engine::WriteFlags flags);
  io::Task<Result<void>> zero_blocks(BlockRange blocks, engine::WriteFlags flags);

  io::BufferPool& pool_;
  engine::BlockDevice& device_;
  io::WaitQueue turn_;
  Ticket* first_ = nullptr;
  Ticket* last_ = nullptr;
  size_t exclusive_count_ = 0;
};

}  // namespace cleat::frontend
