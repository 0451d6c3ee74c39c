// Deletion of a snapshot: its layer's slots go to the layer above. Where both hold an extent, the
// fewer blocks are copied. Each step is one batch of the journal, so a crash leaves the layers
// before or after it, and either reads the same.
#include <algorithm>
#include <bit>
#include <memory>

#include "common/log.h"
#include "store/pool_core.h"
#include "store/snapshot_ops.h"

namespace cleat::store {
namespace {

constexpr size_t kExtentsPerStep = 16;

// `below` is deleted; `above` is the only layer based on it.
struct Merge {
  PoolCore& pool;
  Layer& below;
  Layer& above;
  AlignedBuffer buffer{kExtentSize};
};

uint32_t bits_of(PoolCore& pool, uint32_t slot) {
  return slot == kNoSlot ? 0 : pool.table[slot].bits;
}

// The slot's blocks in `state` are durable. Its others may hold what the new owner has hidden:
// written again, they need a check.
void own(PoolCore& pool, uint32_t slot, SlotState state) {
  Journal::PendingSlot& p = pool.journal.touch(slot);
  p.fresh = 0;
  p.trusted = state.bits;
  static_cast<SlotState&>(pool.table[slot]) = state;
  pool.scratch.slot(pool.journal.open_seal(), slot, state);
}

// The slot is out of its layer's index; the next seal frees it.
void give_up(PoolCore& pool, SlotIndex& index, uint32_t logical) {
  uint32_t slot = index.find(logical);
  if (slot == kNoSlot) return;
  index.set(logical, kNoSlot);
  pool.set_bits(slot, 0);
  pool.drop_if_unused(slot);
}

// Without waiting: the blocks of `keep` in the lower layer's extent become the upper layer's (which
// has no extent there, or gives up its own), and the holes of both are joined.
void settle_extent(Merge& m, uint32_t logical, uint32_t keep) {
  PoolCore& pool = m.pool;
  ScratchLog::Group together(pool.scratch);
  uint32_t hidden =
      bits_of(pool, m.above.holes.find(logical)) | bits_of(pool, m.below.holes.find(logical));
  if (keep != 0) {
    uint32_t slot = m.below.extents.find(logical);
    give_up(pool, m.above.extents, logical);
    m.below.extents.set(logical, kNoSlot);
    own(pool, slot, {m.above.id, logical, keep});
    m.above.extents.set(logical, slot);
  } else {
    give_up(pool, m.below.extents, logical);
  }
  uint32_t valid = bits_of(pool, m.above.extents.find(logical));
  hidden = pool.visible(m.below.parent, logical, hidden & ~valid);
  uint32_t upper = m.above.holes.find(logical);
  uint32_t lower = m.below.holes.find(logical);
  if (upper == kNoSlot && lower != kNoSlot && hidden != 0) {
    m.below.holes.set(logical, kNoSlot);
    own(pool, lower, {m.above.id, logical, hidden});
    m.above.holes.set(logical, lower);
    return;
  }
  if (upper != kNoSlot && hidden != 0) pool.set_bits(upper, hidden);
  if (upper != kNoSlot && hidden == 0) give_up(pool, m.above.holes, logical);
  give_up(pool, m.below.holes, logical);
}

io::Task<Result<void>> copy_blocks(Merge& m, uint32_t from, uint32_t to, uint32_t mask) {
  PoolCore& pool = m.pool;
  while ((pool.journal.unmarked(to) & mask) != 0) {
    Result<void> marked = co_await pool.journal.mark();
    CO_TRY(marked);
  }
  size_t filled = 0;
  for (uint32_t left = mask; left != 0;) {
    auto first = static_cast<uint32_t>(std::countr_zero(left));
    auto count = static_cast<uint32_t>(std::countr_one(left >> first));
    MutableBuffer part = m.buffer.span().subspan(filled, count * kBlockSize);
    uint64_t within = first * kBlockSize;
    Result<void> got = co_await pool.disk->read(pool.geometry.extent_offset(from) + within, part);
    CO_TRY(got);
    Result<void> put = co_await pool.disk->write(pool.geometry.extent_offset(to) + within, part,
                                                 io::WriteMode::kCached);
    CO_TRY(put);
    filled += part.size();
    left &= count == 32 ? 0 : ~(((1U << count) - 1) << first);
  }
  pool.journal.data_written();
  co_return Result<void>{};
}

// What the upper layer shows of the lower one's extent.
uint32_t needed_blocks(Merge& m, uint32_t logical) {
  return bits_of(m.pool, m.below.extents.find(logical)) &
         ~bits_of(m.pool, m.above.extents.find(logical)) &
         ~bits_of(m.pool, m.above.holes.find(logical));
}

// Both hold the extent; it is locked. Gives the blocks that the
// lower extent is to keep as the upper layer's; 0: the upper one has all it needs.
io::Task<Result<uint32_t>> join_data(Merge& m, uint32_t logical) {
  PoolCore& pool = m.pool;
  uint32_t needed = needed_blocks(m, logical);
  uint32_t lower = m.below.extents.find(logical);
  uint32_t upper = m.above.extents.find(logical);
  uint32_t held = bits_of(pool, upper);
  if (needed == 0 || held == 0) co_return needed;
  if (std::popcount(needed) > std::popcount(held)) {
    // These blocks of the lower extent are hidden by the very blocks that are copied over them.
    Result<void> copied = co_await copy_blocks(m, upper, lower, held);
    CO_TRY(copied);
    co_return needed | held;
  }
  Result<void> copied = co_await copy_blocks(m, lower, upper, needed);
  CO_TRY(copied);
  pool.journal.made_valid(upper, needed, m.buffer.data());
  co_return 0u;
}

bool in_use(Merge& m, const std::vector<uint32_t>& logicals) {
  return std::any_of(logicals.begin(), logicals.end(), [&m](uint32_t logical) {
    uint32_t slot = m.above.extents.find(logical);
    return slot != kNoSlot && m.pool.table[slot].users > 0;
  });
}

io::Task<Result<void>> merge_shared(Merge& m, const std::vector<uint32_t>& logicals) {
  PoolCore& pool = m.pool;
  while (in_use(m, logicals)) co_await pool.unlocked.wait();
  // A read that began when the upper layer had less, or of the state that is deleted, may be under
  // way in blocks that are copied over.
  co_await pool.reads.drain();
  std::vector<uint32_t> keep;
  for (uint32_t logical : logicals) {
    Result<uint32_t> joined = co_await join_data(m, logical);
    CO_TRY(joined);
    keep.push_back(*joined);
  }
  // The lower extent is given up only after the upper one's blocks can't be lost any more.
  Result<void> flushed = co_await pool.journal.flush();
  CO_TRY(flushed);
  for (size_t i = 0; i < logicals.size(); ++i) settle_extent(m, logicals[i], keep[i]);
  co_return Result<void>{};
}

io::Task<Result<void>> merge_some(Merge& m, const std::vector<uint32_t>& logicals) {
  PoolCore& pool = m.pool;
  while (pool.journal.crowded()) {
    CO_TRY(pool.usable());
    pool.journal.request_flush();
    co_await pool.journal.wait_changed();
  }
  std::vector<uint32_t> shared;
  for (uint32_t logical : logicals) {
    if (m.above.extents.find(logical) == kNoSlot) {
      settle_extent(m, logical, needed_blocks(m, logical));
    } else {
      shared.push_back(logical);
      pool.locked.insert({m.above.id, logical});
    }
  }
  if (shared.empty()) co_return Result<void>{};
  Result<void> done = co_await merge_shared(m, shared);
  pool.unlock_extents();
  co_return done;
}

io::Task<Result<void>> take_out(PoolCore& pool, Layer* layer) {
  // The slots' new owners are durable before the catalog forgets the old one.
  Result<void> flushed = co_await pool.journal.flush();
  CO_TRY(flushed);
  Layer* parent = layer->parent;
  std::vector<Layer*> above = layer->children;
  for (Layer* child : above) {
    pool.layers.unlink(child);
    if (parent != nullptr) pool.layers.link(child, parent);
  }
  layer->dropped = true;
  if (Replica* replica = pool.find_replica(layer->volume)) std::erase(replica->frozen, layer);
  Result<void> written = co_await pool.write_catalog();
  CO_TRY(written);
  discard_layers(pool, {layer});
  co_return Result<void>{};
}

// True: there is more to do.
io::Task<Result<bool>> merge_step(PoolCore& pool, uint32_t layer_id) {
  co_await pool.structure.lock();
  AsyncMutex::Guard guard(pool.structure);
  CO_TRY(pool.usable());
  Layer* layer = pool.layers.find(layer_id);
  bool over = layer == nullptr || pool.closing || layer->children.size() > 1 ||
              pool.find_replica(layer->volume) == nullptr;
  if (over) co_return false;
  std::vector<uint32_t> logicals;
  if (layer->children.size() == 1) {
    logicals = layer->extents.some(kExtentsPerStep);
    if (logicals.empty()) logicals = layer->holes.some(kExtentsPerStep);
  }
  if (logicals.empty()) {
    Result<void> out = co_await take_out(pool, layer);
    CO_TRY(out);
    co_return false;
  }
  Merge merge{pool, *layer, *layer->children[0]};
  Result<void> merged = co_await merge_some(merge, logicals);
  CO_TRY(merged);
  co_return true;
}

}  // namespace

io::Task<Result<void>> merge_layer(PoolCore& pool, uint32_t layer_id) {
  bool more = true;
  while (more) {
    Result<bool> step = co_await merge_step(pool, layer_id);
    CO_TRY(step);
    more = *step;
  }
  co_return Result<void>{};
}

io::Task<Result<void>> merge_deleted_layers(PoolCore& pool) {
  std::vector<uint32_t> ids;
  pool.layers.for_each([&ids](const Layer& layer) {
    if (layer.deleting) ids.push_back(layer.id);
  });
  std::sort(ids.begin(), ids.end());
  for (uint32_t id : ids) {
    Result<void> merged = co_await merge_layer(pool, id);
    CO_TRY(merged);
  }
  co_return Result<void>{};
}

}  // namespace cleat::store
