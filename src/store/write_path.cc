#include "store/write_path.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <bit>

#include "store/pool_core.h"

namespace cleat::store {
namespace {

// Blocks of one extent, and of the buffer.
struct Part {
  uint32_t slot = kNoSlot;
  uint32_t logical = 0;
  uint32_t mask = 0;
  uint32_t buffer_block = 0;
  bool hot = false;  // overwrites fresh blocks
  size_t run = 0;
};

// Parts that are neighbours on the device: one operation.
struct Run {
  uint64_t offset = 0;
  size_t buffer_offset = 0;
  size_t size = 0;
  Result<void> done;
};

struct Plan {
  absl::InlinedVector<Part, 2> parts;
  absl::InlinedVector<Run, 1> runs;
  uint32_t missing = 0;  // extents to allocate
  size_t reserved = 0;
};

enum class Wait : uint8_t { kNone, kUnlock, kGate, kMark, kJournal, kSpace };

// What stands in the way of writing the blocks now. Changes nothing.
Wait obstacle(PoolCore& pool, Replica& replica, BlockRange range, Plan& plan) {
  plan.missing = 0;
  bool adds = false;
  for (uint32_t logical = extent_of(range.first); logical <= extent_of(range.end() - 1);
       ++logical) {
    if (pool.is_locked(*replica.top, logical)) return Wait::kUnlock;
    uint32_t mask = mask_in(range, logical);
    uint32_t slot = replica.top->extents.find(logical);
    if (slot == kNoSlot) {
      ++plan.missing;
      continue;
    }
    const Slot& entry = pool.table[slot];
    if ((entry.bits & mask) != mask) adds = true;
    if (entry.flags == 0) continue;
    if ((pool.journal.unmarked(slot) & mask) != 0) return Wait::kMark;
    const Journal::PendingSlot* p = pool.journal.pending(slot);
    if (p != nullptr && (p->fresh & entry.bits & mask) != 0 && pool.journal.sealing()) {
      return Wait::kGate;
    }
  }
  if ((adds || plan.missing > 0) && pool.journal.crowded()) return Wait::kJournal;
  if (plan.missing > 0 && !pool.space.has(plan.missing)) return Wait::kSpace;
  return Wait::kNone;
}

io::Task<Result<void>> overcome(PoolCore& pool, Wait wait, uint32_t missing) {
  switch (wait) {
    case Wait::kNone: break;
    case Wait::kUnlock: co_await pool.unlocked.wait(); break;
    case Wait::kGate: co_await pool.journal.wait_changed(); break;
    case Wait::kMark: {
      Result<void> marked = co_await pool.journal.mark();
      CO_TRY(marked);
      break;
    }
    case Wait::kJournal:
      pool.journal.request_flush();
      co_await pool.journal.wait_changed();
      break;
    case Wait::kSpace: {
      Result<void> space = co_await pool.space.wait_for(missing);
      CO_TRY(space);
      break;
    }
  }
  co_return pool.usable();
}

void add_run(PoolCore& pool, Plan& plan, Part& part) {
  auto first = static_cast<uint32_t>(std::countr_zero(part.mask));
  uint64_t offset = pool.geometry.extent_offset(part.slot) + first * kBlockSize;
  size_t size = static_cast<size_t>(std::popcount(part.mask)) * kBlockSize;
  if (!plan.runs.empty() && plan.runs.back().offset + plan.runs.back().size == offset) {
    plan.runs.back().size += size;
  } else {
    plan.runs.push_back({offset, part.buffer_block * kBlockSize, size, {}});
  }
  part.run = plan.runs.size() - 1;
}

// Takes the slots. Nothing stands in the way.
void claim(PoolCore& pool, Replica& replica, BlockRange range, Plan& plan) {
  uint32_t buffer_block = 0;
  for (uint32_t logical = extent_of(range.first); logical <= extent_of(range.end() - 1);
       ++logical) {
    Part part;
    part.logical = logical;
    part.mask = mask_in(range, logical);
    part.buffer_block = buffer_block;
    buffer_block += static_cast<uint32_t>(std::popcount(part.mask));
    part.slot = replica.top->extents.find(logical);
    if (part.slot == kNoSlot) part.slot = pool.attach_extent(*replica.top, logical);
    Slot& entry = pool.table[part.slot];
    ++entry.users;
    if ((entry.bits & part.mask) != part.mask) ++plan.reserved;
    const Journal::PendingSlot* p = pool.journal.pending(part.slot);
    part.hot = p != nullptr && (p->fresh & entry.bits & part.mask) != 0;
    if (part.hot) pool.journal.begin_hot_overwrite();
    add_run(pool, plan, part);
    plan.parts.push_back(part);
  }
  pool.journal.reserve(plan.reserved);
}

io::Task<void> write_run(io::Disk& disk, Run& run, ConstBuffer data) {
  run.done = co_await disk.write(run.offset, data.subspan(run.buffer_offset, run.size),
                                 io::WriteMode::kCached);
}

io::Task<void> submit(io::Disk& disk, Plan& plan, ConstBuffer data) {
  if (plan.runs.size() == 1) {
    co_await write_run(disk, plan.runs[0], data);
    co_return;
  }
  io::TaskGroup group;
  for (Run& run : plan.runs) group.spawn(write_run(disk, run, data));
  co_await group.close();
}

// After a failed overwrite of blocks that no flush has covered they hold the old data or the new:
// their checks are to be of what is there. What can't be read either can't be flushed any more.
io::Task<void> check_again(PoolCore& pool, const Part& part) {
  AlignedBuffer block(kBlockSize);
  for (uint32_t left = part.mask; left != 0; left &= left - 1) {
    uint32_t bit = left & -left;
    const Journal::PendingSlot* p = pool.journal.pending(part.slot);
    if (p == nullptr || (p->fresh & pool.table[part.slot].bits & bit) == 0) continue;
    uint64_t within = static_cast<uint64_t>(std::countr_zero(bit)) * kBlockSize;
    Result<void> got =
        co_await pool.disk->read(pool.geometry.extent_offset(part.slot) + within, block.span());
    if (!got) {
      pool.fail_pool(got.error());
      co_return;
    }
    pool.journal.made_valid(part.slot, bit, block.data());
  }
}

Result<void> settle(PoolCore& pool, Plan& plan, ConstBuffer data) {
  Result<void> result;
  pool.journal.unreserve(plan.reserved);
  pool.journal.data_written();
  for (const Part& part : plan.parts) {
    Slot& entry = pool.table[part.slot];
    --entry.users;
    const Result<void>& done = plan.runs[part.run].done;
    if (done) {
      pool.journal.made_valid(part.slot, part.mask, data.data() + part.buffer_block * kBlockSize);
    } else {
      result = done;
    }
    if (part.hot) pool.journal.end_hot_overwrite();
    pool.drop_if_unused(part.slot);
  }
  pool.user_left();
  return result;
}

// The common case: blocks of one extent, all valid, nothing unflushed about them.
uint32_t in_place_slot(PoolCore& pool, Replica& replica, BlockRange range) {
  uint32_t logical = extent_of(range.first);
  if (logical != extent_of(range.end() - 1) || pool.is_locked(*replica.top, logical))
    return kNoSlot;
  uint32_t slot = replica.top->extents.find(logical);
  if (slot == kNoSlot) return kNoSlot;
  uint32_t mask = mask_in(range, logical);
  const Slot& entry = pool.table[slot];
  return entry.flags == 0 && (entry.bits & mask) == mask ? slot : kNoSlot;
}

io::Task<Result<void>> write_in_place(PoolCore& pool, uint32_t slot, BlockRange range,
                                      ConstBuffer data) {
  ++pool.table[slot].users;
  uint64_t offset = pool.geometry.extent_offset(slot) + range.first % kBlocksPerExtent * kBlockSize;
  Result<void> done = co_await pool.disk->write(offset, data, io::WriteMode::kCached);
  --pool.table[slot].users;
  pool.journal.data_written();
  if (done) pool.journal.made_valid(slot, mask_in(range, extent_of(range.first)), data.data());
  pool.drop_if_unused(slot);
  pool.user_left();
  co_return done;
}

io::Task<Result<void>> write_planned(PoolCore& pool, Replica& replica, WriteAt at,
                                     ConstBuffer data) {
  Plan plan;
  for (;;) {
    Wait wait = obstacle(pool, replica, at.range, plan);
    if (wait == Wait::kNone) break;
    Result<void> gone = co_await overcome(pool, wait, plan.missing);
    CO_TRY(gone);
  }
  note_write(pool, replica, at);
  claim(pool, replica, at.range, plan);
  co_await submit(*pool.disk, plan, data);
  for (const Part& part : plan.parts) {
    if (part.hot && !plan.runs[part.run].done) co_await check_again(pool, part);
  }
  co_return settle(pool, plan, data);
}

}  // namespace

uint32_t mask_in(BlockRange range, uint32_t logical) {
  uint64_t base = uint64_t{logical} * kBlocksPerExtent;
  uint64_t first = std::max(range.first, base) - base;
  uint64_t end = std::min(range.end(), base + kBlocksPerExtent) - base;
  return kAllBlocks >> (kBlocksPerExtent - (end - first)) << first;
}

io::Task<Result<void>> open_intents(PoolCore& pool, Replica& replica, BlockRange range) {
  while (!replica.intents.covers(range)) {
    Note note;
    note.type = RecordType::kIntent;
    note.volume = replica.volume;
    note.first = IntentMap::zone_of(range.first);
    note.count = IntentMap::zone_of(range.end() - 1) - note.first + 1;
    Result<void> durable = co_await pool.journal.commit(note);
    CO_TRY(durable);
  }
  // From here on they stay open until the write ends, whatever it waits for.
  replica.intents.touch(range);
  co_return Result<void>{};
}

void note_write(PoolCore& pool, Replica& replica, const WriteAt& at) {
  replica.intents.touch(at.range);
  if (at.generation > replica.generation) {
    replica.generation = at.generation;
    pool.scratch.note(ScratchType::kGeneration, replica.volume, at.generation.value);
  }
  replica.dirty.settle_unknown(at.generation);
  uint64_t end = (at.range.end() - 1) / kBlocksPerRegion;
  for (uint64_t region = at.range.first / kBlocksPerRegion; region <= end; ++region) {
    core::Pieces pieces = core::pieces_in(region, at.range);
    if (!replica.dirty.stamp(region, pieces, at.generation)) continue;
    replica.stamped.insert(region);
    // All that the map lists of this generation: a write of pieces among these changes nothing and
    // is not noted again, and the map that a restart begins with may list fewer.
    core::Pieces listed = replica.dirty.pieces_of(region, at.generation);
    pool.scratch.stamp(replica.volume, {region, listed}, at.generation);
  }
  if (at.seq == Seq{}) return;
  core::RecentWrite write{at.seq, at.range};
  pool.scratch.recent(replica.volume, write);
  replica.recent.add(write);
}

io::Task<Result<void>> write_blocks(PoolCore& pool, Replica& replica, WriteAt at,
                                    ConstBuffer data) {
  if (replica.intents.covers(at.range)) {
    replica.intents.touch(at.range);
  } else {
    Result<void> intents = co_await open_intents(pool, replica, at.range);
    CO_TRY(intents);
  }
  uint32_t slot = in_place_slot(pool, replica, at.range);
  if (slot == kNoSlot) {
    Result<void> done = co_await write_planned(pool, replica, at, data);
    co_return done;
  }
  note_write(pool, replica, at);
  Result<void> done = co_await write_in_place(pool, slot, at.range, data);
  co_return done;
}

}  // namespace cleat::store
