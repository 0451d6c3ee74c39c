#include "store/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "store/pool_core.h"

namespace cleat::store {
namespace {
constexpr size_t kPagesPerWrite = 64;
}

void Checkpoint::request() {
  if (running_ || pool_.failure) return;
  running_ = true;
  pool_.background.spawn(run());
}

io::Task<void> Checkpoint::run() {
  Result<void> done = co_await run_now();
  running_ = false;
  if (!done) pool_.fail_pool(done.error());
  pool_.journal.notify_changed();
}

void Checkpoint::build_page(uint32_t page, MutableBuffer block) const {
  uint32_t first = page * kSlotsPerPage;
  uint32_t end = std::min(first + kSlotsPerPage, pool_.table.slot_count());
  std::memset(block.data(), 0, block.size());
  for (uint32_t slot = first; slot < end; ++slot) {
    SlotState state = pool_.journal.durable_state(slot);
    if (state.layer == kNoLayer) continue;
    SlotImage image = encode_slot(pool_.superblock.salt, slot, state);
    std::memcpy(block.data() + (slot - first) * kSlotBytes, &image, sizeof(image));
  }
}

io::Task<Result<void>> Checkpoint::write_pages(const std::vector<uint32_t>& pages) {
  if (buffer_.size() == 0) buffer_ = AlignedBuffer(kPagesPerWrite * kBlockSize);
  for (size_t at = 0; at < pages.size();) {
    size_t count = 1;
    while (at + count < pages.size() && count < kPagesPerWrite &&
           pages[at + count] == pages[at] + count) {
      ++count;
    }
    for (size_t i = 0; i < count; ++i) {
      build_page(pages[at + i], buffer_.span().subspan(i * kBlockSize, kBlockSize));
    }
    uint64_t offset = pool_.geometry.table_offset + uint64_t{pages[at]} * kBlockSize;
    Result<void> written = co_await pool_.disk->write(
        offset, buffer_.span().first(count * kBlockSize), io::WriteMode::kCached);
    CO_TRY(written);
    at += count;
  }
  co_return Result<void>{};
}

io::Task<Result<void>> Checkpoint::run_now() {
  // What is durable now is in the table after this: later batches only add dirty pages.
  uint64_t sequence = pool_.journal.durable_sequence();
  uint64_t position = pool_.journal.durable_position();
  if (pool_.catalog_stale) {
    Result<void> written = co_await pool_.write_catalog();
    CO_TRY(written);
  }
  std::vector<uint32_t> pages = pool_.table.take_dirty();
  if (sequence + 1 == pool_.superblock.tail_sequence && pages.empty()) co_return Result<void>{};
  Result<void> written = co_await write_pages(pages);
  CO_TRY(written);
  Result<void> flushed = co_await pool_.disk->flush();
  CO_TRY(flushed);
  pool_.superblock.tail_sequence = sequence + 1;
  pool_.superblock.tail_position = position;
  pool_.superblock.complete_through = sequence;
  Result<void> stored = co_await pool_.write_superblocks();
  CO_TRY(stored);
  pool_.journal.advance_tail(position);
  co_return Result<void>{};
}

}  // namespace cleat::store
