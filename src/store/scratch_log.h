// A log in memory that outlives the process (docs/formats/scratch.md): what completed writes have
// changed and no flush has made durable yet, the recent writes, and the stamps that the catalog
// lacks.
//
// Two halves. One takes the records; when it is full the live state is written into the other. Each
// record carries a check seeded with its half's header and its offset, so the remains of an earlier
// fill are never read. Tied to one open of one pool: any other finds nothing.
// Cost of a record: a copy and a checksum of some 30 bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "core/dirty_map.h"
#include "core/types.h"
#include "io/scratch.h"
#include "store/extent_table.h"

namespace cleat::store {

inline constexpr uint64_t kScratchMagic = 0x3130485354414c43;  // "CLATSH01"
inline constexpr size_t kScratchBytesMin = 256 * kKiB;

enum class ScratchType : uint16_t {
  kSlot = 1,        // a: seal, slot + layer << 32; b: logical + bits << 32
  kRecent,          // volume, seq, first, count
  kEverywhere,      // volume, seq
  kClearRecent,     // volume
  kStamp,           // volume, region, generation, pieces
  kGeneration,      // volume, generation
  kRecentLost,      // volume: the list is not known
  kStampsLost,      // volume: stamps are missing; open zones count as unknown
  kRestartNumbers,  // volume: a new epoch
  kGroupEnd,        // the records before it that say so count only together
};

// One shape for all records.
struct ScratchRecord {
  uint32_t check = 0;
  ScratchType type{};
  uint16_t version = 1;
  uint32_t count = 0;    // kRecent: blocks; kStamp: region
  uint32_t grouped = 0;  // 1: counts only if a kGroupEnd follows
  uint64_t subject = 0;  // volume; kSlot: seal
  uint64_t a = 0;
  uint64_t b = 0;
};
static_assert(sizeof(ScratchRecord) == 40);

class ScratchLog {
 public:
  // `scratch` may be null: nothing is kept then.
  explicit ScratchLog(std::unique_ptr<io::Scratch> scratch);

  // Whether there is room for anything. False also without an area.
  bool enabled() const { return half_bytes_ != 0; }
  size_t half_records() const { return half_bytes_ / sizeof(ScratchRecord); }

  // The records that the open numbered `open_count` of this pool left; kNotFound when there are
  // none.
  Result<std::vector<ScratchRecord>> load(uint64_t salt, uint64_t open_count) const;

  // `dump` writes the whole live state through append(); it is called for each new fill.
  void set_dump(std::function<void()> dump) { dump_ = std::move(dump); }
  // Begins to log for this open, in a half that the open before does not need.
  void start(uint64_t salt, uint64_t open_count);
  // Nothing is valid any more: after an orderly close.
  void wipe();

  void slot(uint64_t seal, uint32_t slot, SlotState state);
  void recent(VolumeId volume, core::RecentWrite write);
  void stamp(VolumeId volume, core::DirtyRegion region, Generation generation);
  void note(ScratchType type, VolumeId volume, uint64_t a = 0, uint64_t b = 0);
  uint64_t fills() const { return fill_count_; }

  // The records of its scope count all or not at all. At most kGroupRecordsMax.
  class Group {
   public:
    explicit Group(ScratchLog& log) : log_(log) { log_.begin_group(); }
    Group(const Group&) = delete;
    ~Group() { log_.end_group(); }

   private:
    ScratchLog& log_;
  };
  static constexpr size_t kGroupRecordsMax = 16;

 private:
  struct HalfHeader;
  void append(ScratchRecord record);
  void begin_group();
  void end_group();
  void refill();
  std::byte* half(int index) const {
    return memory_.data() + static_cast<size_t>(index) * half_bytes_;
  }

  std::unique_ptr<io::Scratch> scratch_;
  MutableBuffer memory_;
  size_t half_bytes_ = 0;
  std::function<void()> dump_;
  uint64_t salt_ = 0;
  uint64_t open_count_ = 0;
  uint64_t fill_count_ = 0;
  int active_ = 0;
  size_t used_ = 0;
  uint32_t seed_ = 0;  // of the records' checks in this fill
  bool started_ = false;
  bool filling_ = false;
  bool grouping_ = false;
};

SlotState scratch_slot_state(const ScratchRecord& record);
inline uint32_t scratch_slot(const ScratchRecord& record) {
  return static_cast<uint32_t>(record.a);
}

}  // namespace cleat::store
