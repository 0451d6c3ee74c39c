// The superblock and the layout of a pool's regions (docs/formats/pool.md).
//
// Two copies, each in a block of its own, always written one after the other: what the second still
// says is true as long as the first is being replaced. All numbers are little endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/buffer.h"
#include "common/result.h"
#include "common/units.h"

namespace cleat::store {

inline constexpr uint64_t kPoolMagic = 0x31304c4f4f504c43;  // "CLPOOL01"
inline constexpr uint32_t kPoolVersion = 1;
inline constexpr std::array<uint64_t, 2> kSuperblockOffsets{0, 64 * kKiB};
inline constexpr uint64_t kJournalOffset = 1 * kMiB;
inline constexpr uint64_t kPoolBytesMin = 256 * kMiB;
inline constexpr uint64_t kJournalBytesMin = 128 * kKiB;
inline constexpr uint64_t kJournalBytesMax = 1 * kGiB;
inline constexpr uint64_t kSlotBytes = 16;
inline constexpr uint32_t kSlotsPerPage = 256;  // a page of the extent table is one block

// Where the regions are. Fixed at format.
struct Geometry {
  uint64_t journal_offset = 0;
  uint64_t journal_bytes = 0;
  uint64_t table_offset = 0;
  uint64_t table_bytes = 0;
  uint64_t catalog_offset = 0;  // of the first copy; the second follows it
  uint64_t catalog_bytes = 0;   // of one copy
  uint64_t extents_offset = 0;
  uint32_t extent_count = 0;
  uint32_t hole_count = 0;  // slots at and above extent_count

  uint32_t slot_count() const { return extent_count + hole_count; }
  uint64_t extent_offset(uint32_t slot) const { return extents_offset + slot * kExtentSize; }
  uint64_t end() const { return extent_offset(extent_count); }
  bool operator==(const Geometry&) const = default;
};

// kInvalidArgument when `pool_bytes` is below kPoolBytesMin or the journal does not fit in it.
Result<Geometry> plan_geometry(uint64_t pool_bytes, uint64_t journal_bytes);

struct Superblock {
  uint64_t write_count = 0;  // of this superblock: the higher of two valid copies counts
  uint64_t cluster = 0;
  uint64_t node = 0;
  uint64_t pool = 0;
  uint64_t salt = 0;              // random at format: seeds every check in the pool
  uint64_t open_count = 0;        // of this pool: ties a scratch area to one open
  uint64_t tail_sequence = 0;     // of the oldest batch that the table and catalog may lack
  uint64_t tail_position = 0;     // its place in the ring, in bytes
  uint64_t complete_through = 0;  // every batch up to this one is complete, data included
  uint64_t catalog_count = 0;     // the newest catalog image is at least this one
  bool clean = false;             // closed in order: no scratch, no recent writes to lose
  Geometry geometry;
};

// One block.
void encode_superblock(const Superblock& superblock, MutableBuffer block);
// kCorrupt: no superblock, or damaged. kUnsupported: another version.
Result<Superblock> decode_superblock(ConstBuffer block);

}  // namespace cleat::store
