// Which zones of a volume have an open intent: only in these may its replicas differ after a power
// loss. An intent is durable before the first write into its zone, and is cleared once the zone has
// been idle.
#pragma once

#include <cstdint>
#include <vector>

#include "common/units.h"

namespace cleat::store {

struct ZoneRun {
  uint32_t first = 0;
  uint32_t count = 0;
  bool operator==(const ZoneRun&) const = default;
};

class IntentMap {
 public:
  explicit IntentMap(uint64_t size_blocks = 0) { resize(size_blocks); }
  void resize(uint64_t size_blocks);

  static uint32_t zone_of(uint64_t block) { return static_cast<uint32_t>(block / kBlocksPerZone); }
  bool is_open(uint32_t zone) const { return zones_[zone] != 0; }
  void open(uint32_t zone);
  // The zones of the range have work now. They are open.
  void touch(BlockRange range);
  // One tick of idle time has passed. Gives the zones that were idle for two whole ticks.
  std::vector<uint32_t> tick();
  void clear(uint32_t zone);
  bool empty() const { return open_count_ == 0; }
  bool covers(BlockRange range) const;

  // Sorted; joined over the smallest gaps when there are more than `runs_max`.
  std::vector<ZoneRun> runs(size_t runs_max) const;

 private:
  static constexpr uint8_t kFresh = 3;  // ticks until idle
  std::vector<uint8_t> zones_;          // 0: clean; else open, and how many ticks it may still idle
  size_t open_count_ = 0;
};

}  // namespace cleat::store
