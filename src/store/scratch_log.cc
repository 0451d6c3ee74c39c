#include "store/scratch_log.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "common/check.h"
#include "common/crc32c.h"

namespace cleat::store {

struct ScratchLog::HalfHeader {
  uint64_t magic;
  uint64_t salt;
  uint64_t open_count;
  uint64_t fill_count;
  uint32_t check;
  uint32_t zero;

  uint32_t expected() const { return crc32c(this, offsetof(HalfHeader, check)); }
};

namespace {

uint32_t check_of(ScratchRecord record, uint32_t seed, size_t offset) {
  record.check = 0;
  return crc32c(&record, sizeof(record), seed + static_cast<uint32_t>(offset));
}

}  // namespace

ScratchLog::ScratchLog(std::unique_ptr<io::Scratch> scratch) : scratch_(std::move(scratch)) {
  static_assert(sizeof(HalfHeader) == 40);
  if (scratch_ == nullptr) return;
  memory_ = scratch_->memory();
  if (memory_.size() < kScratchBytesMin) return;
  half_bytes_ = memory_.size() / 2 / 64 * 64;
}

Result<std::vector<ScratchRecord>> ScratchLog::load(uint64_t salt, uint64_t open_count) const {
  if (!enabled()) return fail(Code::kNotFound, "scratch: no area");
  int best = -1;
  HalfHeader header{};
  for (int index = 0; index < 2; ++index) {
    HalfHeader candidate;
    std::memcpy(&candidate, half(index), sizeof(candidate));
    if (candidate.magic != kScratchMagic || candidate.check != candidate.expected() ||
        candidate.salt != salt || candidate.open_count != open_count) {
      continue;
    }
    if (best >= 0 && candidate.fill_count < header.fill_count) continue;
    best = index;
    header = candidate;
  }
  if (best < 0) return fail(Code::kNotFound, "scratch: nothing of this pool's last open");
  std::vector<ScratchRecord> records;
  size_t whole = 0;  // without a group that has no end
  for (size_t at = sizeof(HalfHeader); at + sizeof(ScratchRecord) <= half_bytes_;
       at += sizeof(ScratchRecord)) {
    ScratchRecord record;
    std::memcpy(&record, half(best) + at, sizeof(record));
    if (record.version != 1 || record.check != check_of(record, header.expected(), at)) break;
    if (record.type != ScratchType::kGroupEnd) records.push_back(record);
    if (record.grouped == 0) whole = records.size();
  }
  records.resize(whole);
  return records;
}

void ScratchLog::start(uint64_t salt, uint64_t open_count) {
  if (!enabled()) return;
  // The half with the highest fill may be what the open before left: use the other one.
  HalfHeader headers[2];
  for (int index = 0; index < 2; ++index) {
    std::memcpy(&headers[index], half(index), sizeof(HalfHeader));
    bool valid =
        headers[index].magic == kScratchMagic && headers[index].check == headers[index].expected();
    if (!valid) headers[index].fill_count = 0;
  }
  active_ = headers[0].fill_count >= headers[1].fill_count ? 0 : 1;
  fill_count_ = std::max(headers[0].fill_count, headers[1].fill_count);
  salt_ = salt;
  open_count_ = open_count;
  started_ = true;
  refill();
}

void ScratchLog::wipe() {
  if (!enabled()) return;
  started_ = false;
  std::memset(half(0), 0, sizeof(HalfHeader));
  std::memset(half(1), 0, sizeof(HalfHeader));
}

void ScratchLog::refill() {
  CHECK(!filling_, "the live state fits in half the scratch area");
  filling_ = true;
  active_ = 1 - active_;
  ++fill_count_;
  std::memset(half(active_), 0, sizeof(HalfHeader));
  used_ = sizeof(HalfHeader);
  HalfHeader header{kScratchMagic, salt_, open_count_, fill_count_, 0, 0};
  header.check = header.expected();
  seed_ = header.check;
  if (dump_) dump_();
  // The header makes the half count: after all of its records, should the process die in between.
  std::atomic_signal_fence(std::memory_order_release);
  std::memcpy(half(active_), &header, sizeof(header));
  std::atomic_signal_fence(std::memory_order_release);
  filling_ = false;
}

void ScratchLog::append(ScratchRecord record) {
  if (!started_) return;
  if (used_ + sizeof(record) > half_bytes_) {
    refill();
    // What the record says is in the live state that the new half begins with, or is said again
    // here.
  }
  record.grouped = grouping_ && !filling_ ? 1 : 0;
  record.check = check_of(record, seed_, used_);
  std::memcpy(half(active_) + used_, &record, sizeof(record));
  used_ += sizeof(record);
}

void ScratchLog::begin_group() {
  if (!started_) return;
  // A refill in the middle would take half of the group for the whole state.
  if (used_ + (kGroupRecordsMax + 1) * sizeof(ScratchRecord) > half_bytes_) refill();
  grouping_ = true;
}

void ScratchLog::end_group() {
  grouping_ = false;
  if (!started_) return;
  ScratchRecord end;
  end.type = ScratchType::kGroupEnd;
  append(end);
}

void ScratchLog::slot(uint64_t seal, uint32_t slot, SlotState state) {
  ScratchRecord record;
  record.type = ScratchType::kSlot;
  record.subject = seal;
  record.a = slot | uint64_t{state.layer} << 32;
  record.b = state.logical | uint64_t{state.bits} << 32;
  append(record);
}

void ScratchLog::recent(VolumeId volume, core::RecentWrite write) {
  ScratchRecord record;
  record.type = ScratchType::kRecent;
  record.subject = volume.value;
  record.a = write.seq.value;
  record.b = write.range.first;
  record.count = write.range.count;
  append(record);
}

void ScratchLog::stamp(VolumeId volume, core::DirtyRegion region, Generation generation) {
  ScratchRecord record;
  record.type = ScratchType::kStamp;
  record.subject = volume.value;
  record.count = static_cast<uint32_t>(region.region);
  record.a = generation.value;
  record.b = region.pieces;
  append(record);
}

void ScratchLog::note(ScratchType type, VolumeId volume, uint64_t a, uint64_t b) {
  ScratchRecord record;
  record.type = type;
  record.subject = volume.value;
  record.a = a;
  record.b = b;
  append(record);
}

SlotState scratch_slot_state(const ScratchRecord& record) {
  return {static_cast<uint32_t>(record.a >> 32), static_cast<uint32_t>(record.b),
          static_cast<uint32_t>(record.b >> 32)};
}

}  // namespace cleat::store
