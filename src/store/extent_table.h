// The extent table: who owns each physical extent and which of its blocks are valid
// (docs/formats/extent_table.md). Slots below extent_count are extents; those at and above are
// holes, which have no extent: their bits say "these blocks of the layer read as zeros".
//
// Here: the stored form of a slot, and the table in memory with what the running pool knows of each
// slot.
// Threading: one loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "common/buffer.h"
#include "common/result.h"
#include "store/superblock.h"

namespace cleat::store {

inline constexpr uint32_t kNoSlot = UINT32_MAX;
inline constexpr uint32_t kNoLayer = 0;
inline constexpr uint32_t kAllBlocks = UINT32_MAX;

// What a slot says; free when the layer is kNoLayer.
struct SlotState {
  uint32_t layer = kNoLayer;
  uint32_t logical = 0;  // index of the extent in the volume
  uint32_t bits = 0;     // valid blocks
  bool operator==(const SlotState&) const = default;
};

// The stored form. The check is the crc32c of the first 12 bytes seeded with salt and slot number;
// a slot never written (16 zero bytes) is free.
struct SlotImage {
  uint32_t layer;
  uint32_t logical;
  uint32_t bits;
  uint32_t check;
};
static_assert(sizeof(SlotImage) == kSlotBytes);
static_assert(offsetof(SlotImage, check) == 12);

SlotImage encode_slot(uint64_t salt, uint32_t slot, SlotState state);
// kCorrupt when the check fails and no single flipped bit explains it; `repaired` counts those that
// one did.
Result<SlotState> decode_slot(uint64_t salt, uint32_t slot, SlotImage image, uint64_t& repaired);

// A slot in memory.
struct Slot : SlotState {
  uint16_t users = 0;  // operations that write blocks of it
  uint16_t flags = 0;
};
static_assert(sizeof(Slot) == 16);

inline constexpr uint16_t kSlotPending = 1;   // changed since the last seal
inline constexpr uint16_t kSlotSealed = 2;    // in the batch that is being written
inline constexpr uint16_t kSlotUnmarked = 4;  // has blocks that only their checks prove

class ExtentTable {
 public:
  explicit ExtentTable(const Geometry& geometry)
      : slots_(static_cast<Slot*>(std::calloc(geometry.slot_count(), sizeof(Slot)))),
        slot_count_(geometry.slot_count()),
        dirty_pages_((slot_count_ + kSlotsPerPage - 1) / kSlotsPerPage, false) {}

  Slot& operator[](uint32_t slot) { return slots_[slot]; }
  const Slot& operator[](uint32_t slot) const { return slots_[slot]; }
  uint32_t slot_count() const { return slot_count_; }

  // Pages whose stored form is older than the durable state.
  void mark_dirty(uint32_t slot) {
    std::vector<bool>::reference page = dirty_pages_[slot / kSlotsPerPage];
    if (page) return;
    page = true;
    ++dirty_count_;
  }
  size_t dirty_count() const { return dirty_count_; }
  // The dirty pages, sorted; they are clean afterwards.
  std::vector<uint32_t> take_dirty();

 private:
  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };
  std::unique_ptr<Slot[], Free> slots_;
  uint32_t slot_count_;
  std::vector<bool> dirty_pages_;
  size_t dirty_count_ = 0;
};

}  // namespace cleat::store
