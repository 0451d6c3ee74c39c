// Layers: the writable top of each replica and its frozen states, each with an index from logical
// extent to slot, derived from the extent table. A layer's parent is what shows through where it
// has nothing.
//
// Threading: one loop. Pointers to layers stay valid until erase().
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/ids.h"
#include "store/extent_table.h"

namespace cleat::store {

// Logical extent -> slot. Pages of 64 entries, so that dense volumes cost 4 bytes an extent.
class SlotIndex {
 public:
  uint32_t find(uint32_t logical) const {
    auto page = pages_.find(logical / kPageEntries);
    return page == pages_.end() ? kNoSlot : page->second->slots[logical % kPageEntries];
  }
  void set(uint32_t logical, uint32_t slot);  // kNoSlot erases
  uint32_t count() const { return count_; }
  // Some of the logical extents that have a slot.
  std::vector<uint32_t> some(size_t count_max) const;
  template <class F>
  void for_each(F&& visit) const {
    for (const auto& [number, page] : pages_) {
      for (uint32_t i = 0; i < kPageEntries; ++i) {
        if (page->slots[i] != kNoSlot) visit(number * kPageEntries + i, page->slots[i]);
      }
    }
  }
  // Whether any of the 64 extents around `logical` (its page) has a slot.
  bool has_page(uint32_t logical) const { return pages_.contains(logical / kPageEntries); }
  static constexpr uint32_t kPageEntries = 64;

 private:
  struct Page {
    std::array<uint32_t, kPageEntries> slots;
    uint32_t used = 0;
    Page() { slots.fill(kNoSlot); }
  };
  absl::flat_hash_map<uint32_t, std::unique_ptr<Page>> pages_;
  uint32_t count_ = 0;
};

struct Layer {
  uint32_t id = kNoLayer;
  Layer* parent = nullptr;
  VolumeId volume;      // whose layer it is; a clone's base belongs to the other volume
  SnapshotId snapshot;  // none for a top
  bool frozen = false;
  bool deleting = false;  // to be merged into the layer above; no longer listed
  bool dropped = false;   // no longer in the catalog
  std::vector<Layer*> children;
  SlotIndex extents;
  SlotIndex holes;
};

class LayerTree {
 public:
  Layer* find(uint32_t id) const;
  // Ids are never used again, also not after a restart.
  uint32_t next_id() const { return next_id_; }
  void set_next_id(uint32_t id) { next_id_ = id; }
  Layer* create(VolumeId volume, Layer* parent);
  // As the catalog has it. The parent is linked by link().
  Layer* restore(uint32_t id, VolumeId volume);
  void link(Layer* layer, Layer* parent);
  void unlink(Layer* layer);
  void erase(Layer* layer);  // no children
  template <class F>
  void for_each(F&& visit) const {
    for (const auto& [id, layer] : layers_) visit(*layer);
  }
  size_t count() const { return layers_.size(); }

 private:
  absl::flat_hash_map<uint32_t, std::unique_ptr<Layer>> layers_;
  uint32_t next_id_ = 1;
};

}  // namespace cleat::store
