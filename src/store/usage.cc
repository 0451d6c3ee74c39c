#include "store/usage.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <bit>

#include "store/pool_core.h"
#include "store/write_path.h"

namespace cleat::store {
namespace {

// A layer of another volume shows this one.
bool shared_with_clone(const Layer& layer) {
  for (const Layer* above : layer.children) {
    if (above->volume != layer.volume || shared_with_clone(*above)) return true;
  }
  return false;
}

// Extents that the volume's layers hold and the top would not after every snapshot is gone.
uint64_t reclaimable_extents(const PoolCore& pool, const Replica& replica,
                             const std::vector<const Layer*>& mine) {
  uint64_t held = 0;
  absl::flat_hash_set<uint32_t> logicals;
  const Layer* pinned = nullptr;  // the newest layer below the top that a clone keeps
  for (const Layer* at = replica.top->parent; at != nullptr && pinned == nullptr; at = at->parent) {
    if (at->volume != replica.volume || shared_with_clone(*at)) pinned = at;
  }
  for (const Layer* layer : mine) {
    if (shared_with_clone(*layer)) continue;
    held += layer->extents.count();
    layer->extents.for_each([&](uint32_t logical, uint32_t) { logicals.insert(logical); });
  }
  uint64_t kept = 0;
  for (uint32_t logical : logicals) {
    uint32_t wanted = 0;
    uint32_t hidden = 0;
    for (const Layer* at = replica.top; at != pinned; at = at->parent) {
      if (uint32_t slot = at->extents.find(logical); slot != kNoSlot) {
        wanted |= pool.table[slot].bits & ~hidden;
        hidden |= pool.table[slot].bits;
      }
      if (uint32_t slot = at->holes.find(logical); slot != kNoSlot) hidden |= pool.table[slot].bits;
    }
    if (wanted != 0) ++kept;
  }
  return held - std::min(held, kept);
}

std::vector<const Layer*> chain_of(const Layer* layer) {
  std::vector<const Layer*> chain;
  for (; layer != nullptr; layer = layer->parent) chain.push_back(layer);
  return chain;
}

// The layers that only one of the two states has: their common ancestors say the same to both.
std::vector<const Layer*> layers_apart(const Layer& view, const Layer* base) {
  std::vector<const Layer*> a = chain_of(&view);
  std::vector<const Layer*> b = chain_of(base);
  while (!a.empty() && !b.empty() && a.back() == b.back()) {
    a.pop_back();
    b.pop_back();
  }
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

uint32_t bits_said(const PoolCore& pool, const Layer& layer, uint32_t logical) {
  uint32_t bits = 0;
  for (const SlotIndex* index : {&layer.extents, &layer.holes}) {
    if (uint32_t slot = index->find(logical); slot != kNoSlot) bits |= pool.table[slot].bits;
  }
  return bits;
}

}  // namespace

Usage usage_of(const PoolCore& pool, const Replica& replica) {
  Usage usage;
  std::vector<const Layer*> mine;
  pool.layers.for_each([&](const Layer& layer) {
    if (layer.volume == replica.volume && !layer.dropped) mine.push_back(&layer);
  });
  for (const Layer* layer : mine) {
    uint64_t bytes = layer->extents.count() * kExtentSize;
    usage.used_bytes += bytes;
    if (layer->frozen) usage.snapshot_bytes += bytes;
    if (shared_with_clone(*layer)) usage.shared_bytes += bytes;
  }
  if (mine.size() > 1) {
    usage.reclaimable_bytes = reclaimable_extents(pool, replica, mine) * kExtentSize;
  }
  return usage;
}

BlockRange next_changed_blocks(const PoolCore& pool, const Layer& view, const Layer* base,
                               uint64_t size_blocks, uint64_t from, uint32_t count_max) {
  std::vector<const Layer*> apart = layers_apart(view, base);
  auto changed = [&](uint32_t logical) {
    if (base == nullptr) return pool.visible(&view, logical, kAllBlocks);
    uint32_t bits = 0;
    for (const Layer* layer : apart) bits |= bits_said(pool, *layer, logical);
    return bits;
  };
  auto has_page = [&](uint32_t logical) {
    return std::any_of(apart.begin(), apart.end(), [logical](const Layer* layer) {
      return layer->extents.has_page(logical) || layer->holes.has_page(logical);
    });
  };
  BlockRange found;
  for (uint64_t block = from; block < size_blocks && found.count < count_max;) {
    uint32_t logical = extent_of(block);
    uint64_t base_block = uint64_t{logical} * kBlocksPerExtent;
    if (!has_page(logical)) {
      if (found.count > 0) break;
      block = (uint64_t{logical} / SlotIndex::kPageEntries + 1) * SlotIndex::kPageEntries *
              kBlocksPerExtent;
      continue;
    }
    uint32_t bits = changed(logical) >> (block - base_block);
    if (found.count == 0) {
      auto skip = static_cast<uint32_t>(std::countr_zero(bits));
      if (bits == 0 || block + skip >= size_blocks) {
        block = base_block + kBlocksPerExtent;
        continue;
      }
      block += skip;
      bits >>= skip;
      found.first = block;
    }
    auto run = static_cast<uint32_t>(std::countr_one(bits));
    uint64_t end = std::min({block + run, found.first + count_max, size_blocks});
    found.count = static_cast<uint32_t>(end - found.first);
    if (end < base_block + kBlocksPerExtent) break;
    block = end;
  }
  return found;
}

}  // namespace cleat::store
