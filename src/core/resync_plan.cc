#include "core/resync_plan.h"

#include <algorithm>
#include <bit>

namespace cleat::core {
namespace {

constexpr uint32_t kRunPiecesMax = kResyncBlocksMax / kBlocksPerPiece;

// The pieces of a region that have blocks of the volume.
Pieces pieces_inside(uint64_t region, uint64_t size_blocks) {
  uint64_t base = region * kBlocksPerRegion;
  if (base >= size_blocks) return 0;
  uint64_t count = std::min<uint64_t>(size_blocks - base, kBlocksPerRegion);
  return pieces_in(region, {base, static_cast<uint32_t>(count)});
}

BlockRange clipped(uint64_t first, uint32_t count, uint64_t size_blocks) {
  return {first, static_cast<uint32_t>(std::min<uint64_t>(count, size_blocks - first))};
}

}  // namespace

ResyncPlan::ResyncPlan(std::vector<DirtyRegion> regions, uint64_t size_blocks)
    : regions_(std::move(regions)), size_blocks_(size_blocks) {
  for (DirtyRegion& dirty : regions_) {
    dirty.pieces &= pieces_inside(dirty.region, size_blocks);
    if (dirty.pieces == 0) continue;
    total_bytes_ +=
        static_cast<uint64_t>(std::popcount(dirty.pieces)) * kBlocksPerPiece * kBlockSize;
    auto last = kPiecesPerRegion - 1 - static_cast<uint32_t>(std::countl_zero(dirty.pieces));
    uint64_t end = dirty.region * kBlocksPerRegion + uint64_t{last + 1} * kBlocksPerPiece;
    if (end > size_blocks) total_bytes_ -= (end - size_blocks) * kBlockSize;
  }
}

std::optional<BlockRange> ResyncPlan::next() {
  while (at_ < regions_.size() && regions_[at_].pieces == 0) ++at_;
  if (at_ == regions_.size()) return std::nullopt;
  DirtyRegion& dirty = regions_[at_];
  auto first = static_cast<uint32_t>(std::countr_zero(dirty.pieces));
  auto adjacent = static_cast<uint32_t>(std::countr_one(dirty.pieces >> first));
  uint32_t count = std::min(adjacent, kRunPiecesMax);
  dirty.pieces &= ~(kAllPieces >> (kPiecesPerRegion - count) << first);
  return clipped(dirty.region * kBlocksPerRegion + uint64_t{first} * kBlocksPerPiece,
                 count * kBlocksPerPiece, size_blocks_);
}

}  // namespace cleat::core
