#include "store/space.h"

#include <algorithm>

#include "common/log.h"
#include "store/pool_core.h"

namespace cleat::store {
namespace {
constexpr Duration kGrowRetry = 1s;
}

Space::Space(PoolCore& pool) : pool_(pool), changed_(pool.executor) {}

uint32_t Space::available_count() const {
  uint64_t size = pool_.disk->size_bytes();
  if (size <= pool_.geometry.extents_offset) return 0;
  uint64_t count = (size - pool_.geometry.extents_offset) / kExtentSize;
  return static_cast<uint32_t>(std::min<uint64_t>(count, pool_.geometry.extent_count));
}

uint64_t Space::capacity_bytes() const { return pool_.geometry.extent_count * kExtentSize; }

uint64_t Space::used_bytes() const {
  return (available_count() - pool_.extents.free_count()) * kExtentSize;
}

bool Space::has(uint32_t count) const {
  return pool_.extents.free_count() >= count &&
         free_bytes() >= pool_.options.reserve_bytes + count * kExtentSize;
}

bool Space::can_grow() const {
  return !cannot_grow_ && available_count() < pool_.geometry.extent_count && !pool_.failure &&
         !pool_.closing && pool_.executor.now() >= retry_at_;
}

void Space::grow_ahead() {
  if (growing_ || pool_.extents.free_count() * kExtentSize >= pool_.options.slab_bytes / 2 ||
      !can_grow()) {
    return;
  }
  growing_ = true;
  pool_.background.spawn(grow());
}

io::Task<void> Space::grow() {
  uint32_t before = available_count();
  uint64_t slab = std::max<uint64_t>(pool_.options.slab_bytes, kExtentSize);
  uint64_t size = std::min(pool_.geometry.extent_offset(before) + slab, pool_.geometry.end());
  Result<void> grown = co_await pool_.disk->grow(size);
  growing_ = false;
  if (grown) {
    uint32_t after = available_count();
    for (uint32_t slot = before; slot < after; ++slot) pool_.extents.release(slot);
  } else if (grown.error().code == Code::kUnsupported) {
    cannot_grow_ = true;
  } else {
    LOG_WARN("pool {}: cannot grow to {} bytes: {}", pool_.superblock.pool, size,
             to_string(grown.error()));
    retry_at_ = pool_.executor.now() + kGrowRetry;
  }
  changed_.notify_all();
}

io::Task<Result<void>> Space::wait_for(uint32_t count) {
  bool flushed = false;
  while (!has(count)) {
    CO_TRY(pool_.usable());
    if (free_bytes() >= pool_.options.reserve_bytes + count * kExtentSize &&
        (growing_ || can_grow())) {
      grow_ahead();
      if (growing_) {
        co_await changed_.wait();
        continue;
      }
    }
    // What was discarded becomes free by a flush.
    if (flushed) co_return fail(Code::kNoSpace, "the pool is full: delete data or add capacity");
    flushed = true;
    Result<void> done = co_await pool_.journal.flush();
    CO_TRY(done);
    co_await pool_.reads.drain();
  }
  co_return Result<void>{};
}

}  // namespace cleat::store
