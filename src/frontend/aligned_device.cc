#include "frontend/aligned_device.h"

#include <algorithm>
#include <cstring>

#include "io/task_group.h"

namespace cleat::frontend {

using engine::WriteFlags;
using io::Task;

AlignedDevice::AlignedDevice(io::Executor& executor, io::BufferPool& pool,
                             engine::BlockDevice& device)
    : pool_(pool), device_(device), turn_(executor) {}

AlignedDevice::~AlignedDevice() {
  CHECK(first_ == nullptr, "no write is under way on a device that dies");
}

// ---- who waits for whom

AlignedDevice::Ticket::Ticket(AlignedDevice& device, BlockRange blocks, bool is_exclusive)
    : device_(device), blocks_(blocks), is_exclusive_(is_exclusive), previous_(device.last_) {
  (previous_ == nullptr ? device.first_ : previous_->next_) = this;
  device.last_ = this;
  if (is_exclusive) ++device.exclusive_count_;
}

AlignedDevice::Ticket::~Ticket() {
  (previous_ == nullptr ? device_.first_ : previous_->next_) = next_;
  (next_ == nullptr ? device_.last_ : next_->previous_) = previous_;
  if (device_.exclusive_count_ > 0) device_.turn_.notify_all();
  if (is_exclusive_) --device_.exclusive_count_;
}

// Only earlier tickets count, so nobody waits in a circle and nobody is overtaken for ever.
bool AlignedDevice::must_wait(const Ticket& ticket) const {
  if (exclusive_count_ == 0) return false;
  for (const Ticket* other = first_; other != &ticket; other = other->next_) {
    if ((other->is_exclusive_ || ticket.is_exclusive_) && other->blocks_.overlaps(ticket.blocks_)) {
      return true;
    }
  }
  return false;
}

Task<void> AlignedDevice::wait_for_turn(const Ticket& ticket) {
  while (must_wait(ticket)) co_await turn_.wait();
}

// ---- operations

Task<Result<void>> AlignedDevice::read(ByteRange range, MutableBuffer cover) {
  return device_.read(range.cover(), cover);
}

Task<Result<void>> AlignedDevice::write(ByteRange range, MutableBuffer cover, WriteFlags flags) {
  CHECK(range.length > 0, "a write has data");
  CHECK(cover.size() == range.cover().bytes(), "the buffer covers the blocks of the range");
  Ticket ticket(*this, range.cover(), !range.is_aligned());
  if (must_wait(ticket)) co_await wait_for_turn(ticket);
  if (!range.is_aligned()) CO_TRY(co_await fill_edges(range, cover));
  co_return co_await device_.write(range.cover(), cover, flags);
}

Task<Result<void>> AlignedDevice::fill_edges(ByteRange range, MutableBuffer cover) {
  BlockRange blocks = range.cover();
  uint64_t tail_at = range.skip() + range.length;  // in `cover`
  uint64_t tail_length = cover.size() - tail_at;
  io::PooledBuffer edge = pool_.take(kBlockSize);
  bool has_head = range.skip() != 0;
  if (has_head) {
    BlockRange first{blocks.first, 1};
    CO_TRY(co_await device_.read(first, edge.span()));
    std::memcpy(cover.data(), edge.data(), range.skip());
  }
  if (tail_length == 0) co_return Result<void>{};
  if (!has_head || blocks.count > 1) {
    BlockRange last{blocks.end() - 1, 1};
    CO_TRY(co_await device_.read(last, edge.span()));
  }
  std::memcpy(cover.data() + tail_at, edge.data() + (kBlockSize - tail_length), tail_length);
  co_return Result<void>{};
}

Task<Result<void>> AlignedDevice::zero(ByteRange range, WriteFlags flags, Pieces pieces) {
  if (range.length == 0) co_return Result<void>{};
  Ticket ticket(*this, range.cover(), !range.is_aligned());
  if (must_wait(ticket)) co_await wait_for_turn(ticket);
  if (range.is_aligned()) co_return co_await zero_blocks(range.cover(), flags, pieces);

  uint64_t head_end = std::min(range.end(), (range.offset / kBlockSize + 1) * kBlockSize);
  if (range.skip() != 0) {
    ByteRange head{range.offset, head_end - range.offset};
    CO_TRY(co_await zero_edge(head, flags));
    if (head_end == range.end()) co_return Result<void>{};
  }
  BlockRange inner = range.inner();
  CO_TRY(co_await zero_blocks(inner, flags, pieces));
  uint64_t tail_length = range.end() % kBlockSize;
  if (tail_length == 0) co_return Result<void>{};
  ByteRange tail{range.end() - tail_length, tail_length};
  co_return co_await zero_edge(tail, flags);
}

Task<Result<void>> AlignedDevice::discard(ByteRange range, WriteFlags flags, Pieces pieces) {
  BlockRange inner = range.inner();
  if (inner.count == 0) co_return Result<void>{};
  Ticket ticket(*this, inner, false);
  if (must_wait(ticket)) co_await wait_for_turn(ticket);
  co_return co_await zero_blocks(inner, flags, pieces);
}

Task<Result<void>> AlignedDevice::zero_edge(ByteRange part, WriteFlags flags) {
  io::PooledBuffer edge = pool_.take(kBlockSize);
  CO_TRY(co_await device_.read(part.cover(), edge.span()));
  std::memset(edge.data() + part.skip(), 0, part.length);
  co_return co_await device_.write(part.cover(), edge.span(), flags);
}

Task<Result<void>> AlignedDevice::zero_blocks(BlockRange blocks, WriteFlags flags, Pieces pieces) {
  Result<void> result;
  io::TaskGroup under_way;
  while (blocks.count > 0 && result) {
    BlockRange piece{blocks.first, std::min(blocks.count, engine::kIoBlocksMax)};
    under_way.spawn(zero_piece(piece, flags, result));
    if (pieces == Pieces::kInTurn) co_await under_way.close();
    blocks.first += piece.count;
    blocks.count -= piece.count;
  }
  co_await under_way.close();
  co_return result;
}

Task<void> AlignedDevice::zero_piece(BlockRange piece, WriteFlags flags, Result<void>& result) {
  Result<void> zeroed = co_await device_.zero(piece, flags);
  if (result) result = zeroed;
}

}  // namespace cleat::frontend
