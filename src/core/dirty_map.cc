#include "core/dirty_map.h"

#include <algorithm>

namespace cleat::core {

void DirtyMap::resize(uint64_t region_count) {
  region_count_ = region_count;
  pages_.resize((region_count + kPageRegions - 1) / kPageRegions);
}

void DirtyMap::set(uint64_t region, uint64_t value) {
  auto& page = pages_[region / kPageRegions];
  if (page == nullptr) {
    page = std::make_unique<Page>();
    page->fill(0);
  }
  (*page)[region % kPageRegions] = value;
}

uint64_t DirtyMap::stamp_of(uint64_t region) const {
  if (region >= region_count_) return 0;
  const auto& page = pages_[region / kPageRegions];
  return page == nullptr ? 0 : (*page)[region % kPageRegions];
}

bool DirtyMap::stamp(uint64_t region, Generation generation) {
  if (region >= region_count_ || stamp_of(region) >= generation.value) return false;
  set(region, generation.value);
  return true;
}

void DirtyMap::mark_unknown(uint64_t region) {
  if (region >= region_count_) return;
  set(region, kUnknown);
  has_unknown_ = true;
  unknown_as_of_ = 0;
}

void DirtyMap::settle_unknown(Generation generation) {
  if (has_unknown_ && unknown_as_of_ == 0) unknown_as_of_ = generation.value;
}

std::vector<uint64_t> DirtyMap::at_or_above(Generation generation) const {
  uint64_t least = std::max<uint64_t>(generation.value, 1);
  std::vector<uint64_t> regions;
  for (uint64_t p = 0; p < pages_.size(); ++p) {
    if (pages_[p] == nullptr) continue;
    for (uint64_t i = 0; i < kPageRegions; ++i) {
      if ((*pages_[p])[i] >= least) regions.push_back(p * kPageRegions + i);
    }
  }
  return regions;
}

void DirtyMap::forget(Generation below) {
  bool unknown_too = has_unknown_ && unknown_as_of_ != 0 && below.value > unknown_as_of_;
  for (auto& page : pages_) {
    if (page == nullptr) continue;
    bool empty = true;
    for (uint64_t& stamp : *page) {
      if (stamp == kUnknown ? unknown_too : stamp < below.value) stamp = 0;
      if (stamp != 0) empty = false;
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
      set(region, run.generation);
    }
    has_unknown_ = has_unknown_ || run.generation == kUnknown;
  }
  unknown_as_of_ = has_unknown_ ? unknown_as_of : 0;
}

}  // namespace cleat::core
