#include "core/dirty_map.h"

#include <algorithm>

namespace cleat::core {

Pieces pieces_in(uint64_t region, BlockRange range) {
  uint64_t base = region * kBlocksPerRegion;
  uint64_t first = std::max(range.first, base);
  uint64_t end = std::min(range.end(), base + kBlocksPerRegion);
  if (first >= end) return 0;
  uint64_t from = (first - base) / kBlocksPerPiece;
  uint64_t count = (end - 1 - base) / kBlocksPerPiece - from + 1;
  return kAllPieces >> (kPiecesPerRegion - count) << from;
}

std::vector<DirtyRegion> dirty_union(const std::vector<DirtyRegion>& a,
                                     const std::vector<DirtyRegion>& b) {
  std::vector<DirtyRegion> both;
  both.reserve(std::max(a.size(), b.size()));
  auto of_a = a.begin();
  auto of_b = b.begin();
  while (of_a != a.end() || of_b != b.end()) {
    bool from_a = of_b == b.end() || (of_a != a.end() && of_a->region <= of_b->region);
    const DirtyRegion& next = from_a ? *of_a++ : *of_b++;
    if (!both.empty() && both.back().region == next.region) {
      both.back().pieces |= next.pieces;
    } else {
      both.push_back(next);
    }
  }
  return both;
}

void DirtyMap::resize(uint64_t region_count) {
  region_count_ = region_count;
  pages_.resize((region_count + kPageRegions - 1) / kPageRegions);
}

DirtyMap::Entry& DirtyMap::entry(uint64_t region) {
  auto& page = pages_[region / kPageRegions];
  if (page == nullptr) page = std::make_unique<Page>();
  return (*page)[region % kPageRegions];
}

const DirtyMap::Entry* DirtyMap::find(uint64_t region) const {
  if (region >= region_count_) return nullptr;
  const auto& page = pages_[region / kPageRegions];
  return page == nullptr ? nullptr : &(*page)[region % kPageRegions];
}

void DirtyMap::set_whole(uint64_t region, uint64_t stamp) {
  entry(region) = Entry{stamp, stamp == kUnknown ? kUnknown : stamp + 1, kAllPieces, 0};
}

uint64_t DirtyMap::stamp_of(uint64_t region) const {
  const Entry* found = find(region);
  return found == nullptr ? 0 : found->stamp;
}

Pieces DirtyMap::Entry::at_or_above(uint64_t generation) const {
  if (stamp == 0 || stamp < generation) return 0;
  return mark <= generation && stamp != kUnknown ? newer : older | newer;
}

Pieces DirtyMap::pieces_of(uint64_t region, Generation at_or_above) const {
  const Entry* found = find(region);
  return found == nullptr ? 0 : found->at_or_above(at_or_above.value);
}

bool DirtyMap::stamp(uint64_t region, Pieces pieces, Generation generation) {
  if (region >= region_count_ || pieces == 0 || generation.value == 0) return false;
  Entry& now = entry(region);
  Entry before = now;
  if (now.stamp == 0) now.mark = generation.value;
  if (generation.value > now.stamp) {
    if (now.older == 0 && now.newer != 0) {
      now.older = now.newer;
      now.newer = 0;
      now.mark = now.stamp + 1;
    }
    now.stamp = generation.value;
  }
  if (generation.value >= now.mark) {
    now.newer |= pieces;
  } else {
    now.older |= pieces & ~now.newer;  // a late write; newer answers for the rest of it
  }
  return now.stamp != before.stamp || now.older != before.older || now.newer != before.newer;
}

void DirtyMap::mark_unknown(uint64_t region) {
  if (region >= region_count_) return;
  set_whole(region, kUnknown);
  has_unknown_ = true;
  unknown_as_of_ = 0;
}

void DirtyMap::settle_unknown(Generation generation) {
  if (has_unknown_ && unknown_as_of_ == 0) unknown_as_of_ = generation.value;
}

std::vector<DirtyRegion> DirtyMap::at_or_above(Generation generation, uint64_t from,
                                               size_t count_max) const {
  std::vector<DirtyRegion> regions;
  for (uint64_t region = from; region < region_count_ && regions.size() < count_max; ++region) {
    if (pages_[region / kPageRegions] == nullptr) {
      region |= kPageRegions - 1;
      continue;
    }
    Pieces pieces = pieces_of(region, generation);
    if (pieces != 0) regions.push_back({region, pieces});
  }
  return regions;
}

void DirtyMap::forget(Generation below) {
  bool unknown_too = has_unknown_ && unknown_as_of_ != 0 && below.value > unknown_as_of_;
  for (auto& page : pages_) {
    if (page == nullptr) continue;
    bool empty = true;
    for (Entry& now : *page) {
      if (now.stamp == kUnknown ? unknown_too : now.stamp < below.value) now = Entry{};
      if (now.mark <= below.value) now.older = 0;
      if (now.stamp != 0) empty = false;
    }
    if (empty) page.reset();
  }
  if (unknown_too) {
    has_unknown_ = false;
    unknown_as_of_ = 0;
  }
}

std::vector<DirtyRun> DirtyMap::runs_of(uint64_t granularity) const {
  std::vector<DirtyRun> runs;
  auto add = [&runs](uint64_t first, uint64_t count, uint64_t generation) {
    if (generation == 0) return;
    if (!runs.empty() && runs.back().first + runs.back().count == first &&
        runs.back().generation == generation) {
      runs.back().count += count;
    } else {
      runs.push_back({first, count, generation});
    }
  };
  for (uint64_t first = 0; first < region_count_;) {
    if (first % kPageRegions == 0 && granularity <= kPageRegions &&
        pages_[first / kPageRegions] == nullptr) {
      first += kPageRegions;
      continue;
    }
    uint64_t count = std::min(granularity, region_count_ - first);
    uint64_t highest = 0;
    for (uint64_t i = 0; i < count; ++i) highest = std::max(highest, stamp_of(first + i));
    add(first, count, highest);
    first += count;
  }
  return runs;
}

std::vector<DirtyRun> DirtyMap::runs(size_t runs_max) const {
  for (uint64_t granularity = 1;; granularity *= 2) {
    std::vector<DirtyRun> runs = runs_of(granularity);
    if (runs.size() <= std::max<size_t>(runs_max, 1)) return runs;
  }
}

void DirtyMap::load(const std::vector<DirtyRun>& runs, uint64_t unknown_as_of) {
  for (auto& page : pages_) page.reset();
  has_unknown_ = false;
  for (const DirtyRun& run : runs) {
    for (uint64_t region = run.first; region < region_count_ && region - run.first < run.count;
         ++region) {
      if (run.generation != 0) set_whole(region, run.generation);
    }
    has_unknown_ = has_unknown_ || run.generation == kUnknown;
  }
  unknown_as_of_ = has_unknown_ ? unknown_as_of : 0;
}

}  // namespace cleat::core
