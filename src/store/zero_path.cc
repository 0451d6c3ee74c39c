#include <algorithm>
#include <bit>

#include "store/pool_core.h"
#include "store/write_path.h"

namespace cleat::store {
namespace {

constexpr uint32_t kExtentsPerStep = 32;

// The next logical extent at or after `logical` that may have data in the layer or below it.
uint32_t next_possible(const Layer* top, uint32_t logical, uint32_t last) {
  while (logical <= last) {
    for (const Layer* layer = top; layer != nullptr; layer = layer->parent) {
      if (layer->extents.has_page(logical)) return logical;
    }
    uint32_t next = (logical / SlotIndex::kPageEntries + 1) * SlotIndex::kPageEntries;
    if (next <= logical) break;
    logical = next;
  }
  return last + 1;
}

// Blocks that a hole must hide, beyond those that one hides already.
uint32_t new_hole_bits(PoolCore& pool, const Layer& top, uint32_t logical, uint32_t mask) {
  uint32_t below = pool.visible(top.parent, logical, mask);
  uint32_t hole = top.holes.find(logical);
  return hole == kNoSlot ? below : below & ~pool.table[hole].bits;
}

uint64_t holes_needed(PoolCore& pool, const Layer& top, BlockRange range) {
  uint64_t needed = 0;
  if (top.parent == nullptr) return 0;
  uint32_t last = extent_of(range.end() - 1);
  for (uint32_t at = next_possible(&top, extent_of(range.first), last); at <= last;
       at = next_possible(&top, at + 1, last)) {
    if (top.holes.find(at) == kNoSlot && new_hole_bits(pool, top, at, mask_in(range, at)) != 0) {
      ++needed;
    }
  }
  return needed;
}

void zero_extent(PoolCore& pool, Layer& top, uint32_t logical, uint32_t mask) {
  ScratchLog::Group together(pool.scratch);
  if (uint32_t bits = new_hole_bits(pool, top, logical, mask); bits != 0) {
    uint32_t hole = top.holes.find(logical);
    if (hole == kNoSlot) hole = pool.attach_hole(top, logical);
    pool.set_bits(hole, pool.table[hole].bits | bits);
  }
  uint32_t slot = top.extents.find(logical);
  if (slot == kNoSlot) return;
  pool.set_bits(slot, pool.table[slot].bits & ~mask);
  pool.drop_if_unused(slot);
}

// Some extents of the range, without waiting. Gives the first logical extent not done.
uint32_t zero_step(PoolCore& pool, Replica& replica, BlockRange range, uint32_t from) {
  uint32_t last = extent_of(range.end() - 1);
  uint32_t at = next_possible(replica.top, from, last);
  for (uint32_t done = 0; at <= last && done < kExtentsPerStep; ++done) {
    if (pool.is_locked(*replica.top, at)) return at;
    zero_extent(pool, *replica.top, at, mask_in(range, at));
    at = next_possible(replica.top, at + 1, last);
  }
  return at;
}

io::Task<Result<void>> wait_for_holes(PoolCore& pool, Replica& replica, BlockRange range) {
  if (holes_needed(pool, *replica.top, range) <= pool.holes.free_count()) co_return Result<void>{};
  pool.reclaim_holes();
  Result<void> flushed = co_await pool.journal.flush();
  CO_TRY(flushed);
  co_await pool.reads.drain();
  if (holes_needed(pool, *replica.top, range) > pool.holes.free_count()) {
    co_return fail(Code::kNoSpace, "the pool's hole slots are used up: delete snapshots");
  }
  co_return Result<void>{};
}

// A full pool changes nothing; this one has.
Result<void> cut_short() {
  return fail(Code::kIoError, "the pool's hole slots were used up in the middle of a discard");
}

}  // namespace

io::Task<Result<void>> zero_blocks(PoolCore& pool, Replica& replica, WriteAt at) {
  Result<void> intents = co_await open_intents(pool, replica, at.range);
  CO_TRY(intents);
  Result<void> holes = co_await wait_for_holes(pool, replica, at.range);
  CO_TRY(holes);
  note_write(pool, replica, at);
  uint32_t first = extent_of(at.range.first);
  uint32_t last = extent_of(at.range.end() - 1);
  for (uint32_t from = first;;) {
    CO_TRY(pool.usable());
    if (pool.journal.crowded()) {
      pool.journal.request_flush();
      co_await pool.journal.wait_changed();
      continue;
    }
    // Others may have taken hole slots while this one waited between two steps.
    if (pool.holes.free_count() < kExtentsPerStep &&
        holes_needed(pool, *replica.top, at.range) > pool.holes.free_count()) {
      Result<void> more = co_await wait_for_holes(pool, replica, at.range);
      if (!more && more.error().code == Code::kNoSpace && from > first) co_return cut_short();
      CO_TRY(more);
      continue;
    }
    from = zero_step(pool, replica, at.range, from);
    if (from > last) break;
    if (pool.is_locked(*replica.top, from)) co_await pool.unlocked.wait();
  }
  co_return Result<void>{};
}

}  // namespace cleat::store
