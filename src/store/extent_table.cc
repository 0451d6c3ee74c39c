#include "store/extent_table.h"

#include <cstring>

#include "common/crc32c.h"

namespace cleat::store {
namespace {

uint32_t slot_check(uint64_t salt, uint32_t slot, const SlotImage& image) {
  uint32_t seed = crc32c(&salt, sizeof(salt), slot);
  return crc32c(&image, offsetof(SlotImage, check), seed);
}

// The crc32c of so short a text tells one flipped bit from any two to five of them.
bool repair_one_bit(uint64_t salt, uint32_t slot, SlotImage& image) {
  for (size_t bit = 0; bit < 8 * sizeof(image); ++bit) {
    SlotImage candidate = image;
    auto* bytes = reinterpret_cast<unsigned char*>(&candidate);
    bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1U << (bit % 8)));
    if (candidate.check == slot_check(salt, slot, candidate)) {
      image = candidate;
      return true;
    }
  }
  return false;
}

}  // namespace

SlotImage encode_slot(uint64_t salt, uint32_t slot, SlotState state) {
  SlotImage image{state.layer, state.logical, state.bits, 0};
  image.check = slot_check(salt, slot, image);
  return image;
}

Result<SlotState> decode_slot(uint64_t salt, uint32_t slot, SlotImage image, uint64_t& repaired) {
  if (image.layer == 0 && image.logical == 0 && image.bits == 0 && image.check == 0) {
    return SlotState{};
  }
  if (image.check != slot_check(salt, slot, image)) {
    if (!repair_one_bit(salt, slot, image)) {
      return fail(Code::kCorrupt, "extent table: a slot fails its check");
    }
    ++repaired;
  }
  return SlotState{image.layer, image.logical, image.bits};
}

std::vector<uint32_t> ExtentTable::take_dirty() {
  std::vector<uint32_t> pages;
  pages.reserve(dirty_count_);
  for (uint32_t page = 0; page < dirty_pages_.size() && pages.size() < dirty_count_; ++page) {
    if (!dirty_pages_[page]) continue;
    pages.push_back(page);
    dirty_pages_[page] = false;
  }
  dirty_count_ = 0;
  return pages;
}

}  // namespace cleat::store
