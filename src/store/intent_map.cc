#include "store/intent_map.h"

#include <algorithm>

namespace cleat::store {

void IntentMap::resize(uint64_t size_blocks) {
  zones_.resize((size_blocks + kBlocksPerZone - 1) / kBlocksPerZone, 0);
}

void IntentMap::open(uint32_t zone) {
  if (zone >= zones_.size()) return;
  if (zones_[zone] == 0) ++open_count_;
  zones_[zone] = kFresh;
}

void IntentMap::touch(BlockRange range) {
  if (range.count == 0) return;
  for (uint32_t zone = zone_of(range.first); zone <= zone_of(range.end() - 1); ++zone) {
    zones_[zone] = kFresh;
  }
}

bool IntentMap::covers(BlockRange range) const {
  if (range.count == 0) return true;
  for (uint32_t zone = zone_of(range.first); zone <= zone_of(range.end() - 1); ++zone) {
    if (!is_open(zone)) return false;
  }
  return true;
}

std::vector<uint32_t> IntentMap::tick() {
  std::vector<uint32_t> idle;
  for (uint32_t zone = 0; zone < zones_.size(); ++zone) {
    if (zones_[zone] > 1)
      --zones_[zone];
    else if (zones_[zone] == 1)
      idle.push_back(zone);
  }
  return idle;
}

void IntentMap::clear(uint32_t zone) {
  if (zones_[zone] != 0) --open_count_;
  zones_[zone] = 0;
}

std::vector<ZoneRun> IntentMap::runs(size_t runs_max) const {
  for (uint32_t gap = 0;; gap = gap * 2 + 1) {
    std::vector<ZoneRun> runs;
    for (uint32_t zone = 0; zone < zones_.size(); ++zone) {
      if (!is_open(zone)) continue;
      if (!runs.empty() && zone - (runs.back().first + runs.back().count) <= gap) {
        runs.back().count = zone + 1 - runs.back().first;
      } else {
        runs.push_back({zone, 1});
      }
    }
    if (runs.size() <= std::max<size_t>(runs_max, 1)) return runs;
  }
}

}  // namespace cleat::store
