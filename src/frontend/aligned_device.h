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
#include <cstdint>

#include "engine/block_device.h"
#include "frontend/byte_range.h"
#include "io/buffer_pool.h"
#include "io/sync.h"

namespace cleat::frontend {

// How the pieces of a long zero or discard go to the device.
enum class Pieces : uint8_t {
  kInTurn,  // each after the one before has ended: a large discard does not flood the volume
  kAtOnce,  // all before any is waited for: when the device must know the whole
};

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
  // Any length, none too: passed down in pieces. Of several errors the first; after it no further
  // piece begins, and those under way are waited for. Unaligned edges always go in turn.
  io::Task<Result<void>> zero(ByteRange range, engine::WriteFlags flags,
                              Pieces pieces = Pieces::kInTurn);
  // Zeroes only the whole blocks inside the range: for discards, which promise nothing about edges.
  io::Task<Result<void>> discard(ByteRange range, engine::WriteFlags flags,
                                 Pieces pieces = Pieces::kInTurn);
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
  io::Task<Result<void>> zero_blocks(BlockRange blocks, engine::WriteFlags flags, Pieces pieces);
  io::Task<void> zero_piece(BlockRange piece, engine::WriteFlags flags, Result<void>& result);

  io::BufferPool& pool_;
  engine::BlockDevice& device_;
  io::WaitQueue turn_;
  Ticket* first_ = nullptr;
  Ticket* last_ = nullptr;
  size_t exclusive_count_ = 0;
};

}  // namespace cleat::frontend
