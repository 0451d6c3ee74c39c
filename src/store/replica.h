// What the running pool knows of one replica. Internal to the store.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <array>
#include <string>

#include "core/dirty_map.h"
#include "store/intent_map.h"
#include "store/layer_tree.h"
#include "store/recent_list.h"

namespace cleat::store {

inline constexpr uint64_t kSizeBlocksMax = uint64_t{1} << 36;  // 256 TiB

inline uint64_t regions_of(uint64_t size_blocks) {
  return (size_blocks + kBlocksPerRegion - 1) / kBlocksPerRegion;
}

struct Replica {
  VolumeId volume;
  uint64_t size_blocks = 0;
  Epoch epoch;
  Generation generation;
  Layer* top = nullptr;
  std::vector<Layer*> frozen;  // oldest first
  std::string record;
  IntentMap intents;
  core::DirtyMap dirty;
  RecentList recent;
  bool recent_lost = false;

  // Regions stamped since the catalog was written, and since the one being written was captured.
  absl::flat_hash_set<uint64_t> stamped;
  absl::flat_hash_set<uint64_t> stamped_captured;
  bool stamps_lost = false;  // the scratch area could not hold them

  // Writes under way by the parity of the period in which they began. A period ends, and zones have
  // idled for one more, when those of the period before have ended: what a write touches at its
  // beginning stays open until it ends.
  uint64_t period = 0;
  std::array<uint64_t, 2> writing{};
  uint64_t operations = 0;  // under way
  bool removed = false;
};

}  // namespace cleat::store
