// Dirty map of one replica: what was written from some generation on (R8, R9).
//
// For each region of 1 MiB the generation of its last write, the stamp, which is durable; beside
// it, only in memory, which of its 64 pieces of 16 KiB were written. Two sets of pieces are kept
// for a region: `newer` of the writes at or above the generation `mark`, `older` of those below. A
// question about a generation G is answered
//     stamp < G: nothing     mark <= G: newer     otherwise: older and newer
// so the answer may have more pieces than were written since G, and never fewer. After a restart
// that found only the stamps, `older` is all pieces and `mark` lies above the stamp: what is
// written from then on is known by piece again. With the first write of a later generation newer
// becomes older, if nothing else is in there; forget() empties older as soon as all of it is
// confirmed. So while generations go by and are confirmed, the pieces are exact for the last one or
// two.
//
// Why 16 KiB: to compare so much costs a disk hardly more than a block, and the pieces of a region
// are one word. A region takes 32 bytes while it is dirty: 32 MiB for each TiB if all of it is,
// beside the 160 MiB of the store's index within the 256 MiB allowed (design.md §10). Sets of
// blocks would take 80 MiB to save reading 12 KiB for each small write that was missed.
//
// A stamp that was lost with the power is "unknown": it answers every question with all pieces, and
// is forgotten only by a confirmation of a generation above the first one that was set after the
// loss.
// Pure: no I/O, no clock. Memory: in pages of 512 regions that exist once stamped.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/ids.h"
#include "common/units.h"

namespace cleat::core {

// A set of pieces of one region, lowest bit first.
using Pieces = uint64_t;
inline constexpr uint32_t kPiecesPerRegion = 64;
inline constexpr uint32_t kBlocksPerPiece = kBlocksPerRegion / kPiecesPerRegion;
inline constexpr Pieces kAllPieces = ~Pieces{0};

// Those of `region` that the blocks touch.
Pieces pieces_in(uint64_t region, BlockRange range);

struct DirtyRegion {
  uint64_t region = 0;
  Pieces pieces = 0;
  bool operator==(const DirtyRegion&) const = default;
};
// Both sorted by region; so is the answer.
std::vector<DirtyRegion> dirty_union(const std::vector<DirtyRegion>& a,
                                     const std::vector<DirtyRegion>& b);

// The stored form: stamps alone.
struct DirtyRun {
  uint64_t first = 0;
  uint64_t count = 0;
  uint64_t generation = 0;
  bool operator==(const DirtyRun&) const = default;
};

class DirtyMap {
 public:
  static constexpr uint64_t kUnknown = UINT64_MAX;

  explicit DirtyMap(uint64_t region_count = 0) { resize(region_count); }
  void resize(uint64_t region_count);
  uint64_t region_count() const { return region_count_; }

  // A write. True when it changed the map.
  bool stamp(uint64_t region, Pieces pieces, Generation generation);
  void mark_unknown(uint64_t region);
  uint64_t stamp_of(uint64_t region) const;  // 0: none
  // What may have been written at or above the generation.
  Pieces pieces_of(uint64_t region, Generation at_or_above) const;

  // The generation in force since the last loss, when there are unknown stamps. The first call
  // counts.
  void settle_unknown(Generation generation);
  uint64_t unknown_as_of() const { return unknown_as_of_; }

  // pieces_of() of every region from `from` on where it is not empty, sorted; at most `count_max`.
  std::vector<DirtyRegion> at_or_above(Generation generation, uint64_t from = 0,
                                       size_t count_max = SIZE_MAX) const;
  // Everything below this generation is confirmed to be equal everywhere (R9).
  void forget(Generation below);

  // The stamps as at most `runs_max` runs; coarser (more regions, later generations) when they
  // would need more.
  std::vector<DirtyRun> runs(size_t runs_max) const;
  void load(const std::vector<DirtyRun>& runs, uint64_t unknown_as_of);

 private:
  static constexpr uint64_t kPageRegions = 512;
  struct Entry {
    uint64_t stamp = 0;  // 0: clean, and the rest is 0 too
    uint64_t mark = 0;
    Pieces older = 0;
    Pieces newer = 0;
    Pieces at_or_above(uint64_t generation) const;
  };
  static_assert(sizeof(Entry) == 32);
  using Page = std::array<Entry, kPageRegions>;
  Entry& entry(uint64_t region);
  const Entry* find(uint64_t region) const;
  // Only the stamp is known.
  void set_whole(uint64_t region, uint64_t stamp);
  std::vector<DirtyRun> runs_of(uint64_t granularity) const;

  uint64_t region_count_ = 0;
  uint64_t unknown_as_of_ = 0;
  bool has_unknown_ = false;
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace cleat::core
