#include "store/journal.h"

#include <algorithm>
#include <bit>

#include "common/crc32c.h"
#include "store/pool_core.h"

namespace cleat::store {
namespace {

constexpr size_t kNotesPerBatchMax = 256;
constexpr size_t kPendingMax = 16384;

// Small enough that recovery can always write what a batch and the scratch log held once more.
size_t pending_limit(uint64_t ring_bytes, const ScratchLog& scratch) {
  size_t limit = std::min<size_t>(ring_bytes / 16 / BatchWriter::kSlotRecordBytesMax, kPendingMax);
  if (scratch.enabled()) limit = std::min(limit, scratch.half_records() / 8);
  return limit;
}

}  // namespace

Journal::Journal(PoolCore& pool)
    : pool_(pool),
      ring_bytes_(pool.geometry.journal_bytes),
      pending_max_(pending_limit(pool.geometry.journal_bytes, pool.scratch)),
      changed_(pool.executor),
      hot_drained_(pool.executor) {
  pending_.reserve(pending_max_);
  sealed_.reserve(pending_max_);
}

void Journal::start_at(uint64_t sequence, uint64_t position, uint64_t seal,
                       uint64_t tail_position) {
  next_sequence_ = sequence;
  durable_sequence_ = sequence - 1;
  head_position_ = position;
  durable_position_ = position;
  tail_position_ = tail_position;
  used_bytes_ = (position + ring_bytes_ - tail_position) % ring_bytes_;
  seal_ = seal;
}

// --- slots changed since the last seal

Journal::PendingSlot& Journal::touch(uint32_t slot) {
  Slot& entry = pool_.table[slot];
  if ((entry.flags & kSlotPending) != 0) return pending_[pending_index_[slot]];
  entry.flags |= kSlotPending;
  pending_index_[slot] = static_cast<uint32_t>(pending_.size());
  PendingSlot& added = pending_.emplace_back();
  added.slot = slot;
  added.prior = entry;
  added.trusted = entry.bits;
  if (pending_.size() == pending_max_ / 2) request_flush();
  return added;
}

Journal::PendingSlot* Journal::pending(uint32_t slot) {
  if ((pool_.table[slot].flags & kSlotPending) == 0) return nullptr;
  return &pending_[pending_index_[slot]];
}

void Journal::forget(uint32_t slot) {
  Slot& entry = pool_.table[slot];
  if ((entry.flags & kSlotPending) == 0) return;
  uint32_t at = pending_index_[slot];
  pending_index_.erase(slot);
  entry.flags &= static_cast<uint16_t>(~kSlotPending);
  if (at + 1 != pending_.size()) {
    pending_[at] = pending_.back();
    pending_index_[pending_[at].slot] = at;
  }
  pending_.pop_back();
}

void Journal::made_valid(uint32_t slot, uint32_t mask, const std::byte* blocks) {
  Slot& entry = pool_.table[slot];
  bool pure_overwrite = (entry.flags & kSlotPending) == 0 && (entry.bits & mask) == mask;
  if (pure_overwrite) return;
  PendingSlot& p = touch(slot);
  uint32_t fresh = mask & ~p.trusted;
  for (uint32_t left = mask; left != 0; left &= left - 1) {
    auto block = static_cast<size_t>(std::countr_zero(left));
    if ((fresh >> block & 1) != 0) p.crcs[block] = crc32c(blocks, kBlockSize);
    blocks += kBlockSize;
  }
  p.fresh |= fresh;
  if ((entry.bits & mask) == mask) return;
  entry.bits |= mask;
  pool_.scratch.slot(open_seal(), slot, entry);
}

SlotState Journal::durable_state(uint32_t slot) const {
  const Slot& entry = pool_.table[slot];
  if ((entry.flags & kSlotSealed) != 0) return sealed_[sealed_index_.at(slot)].pending.prior;
  if ((entry.flags & kSlotPending) != 0) return pending_[pending_index_.at(slot)].prior;
  return entry;
}

uint32_t Journal::unmarked(uint32_t slot) const {
  if ((pool_.table[slot].flags & kSlotUnmarked) == 0) return 0;
  uint32_t blocks = 0;
  if (auto found = unmarked_.find(slot); found != unmarked_.end()) blocks |= found->second;
  if (auto found = sealed_index_.find(slot); found != sealed_index_.end()) {
    blocks |= sealed_[found->second].pending.fresh;
  }
  return blocks;
}

void Journal::dump_unflushed(ScratchLog& scratch) const {
  for (const SealedSlot& sealed : sealed_) scratch.slot(seal_, sealed.pending.slot, sealed.state);
  for (const PendingSlot& p : pending_) scratch.slot(open_seal(), p.slot, pool_.table[p.slot]);
}

void Journal::end_hot_overwrite() {
  if (--hot_overwrites_ == 0) hot_drained_.notify_all();
}

// --- making durable

void Journal::start() {
  if (running_) return;
  running_ = true;
  pool_.background.spawn(run());
}

void Journal::request_flush() {
  flushes_wanted_ = flushes_begun_ + 1;
  start();
}

io::Task<Result<void>> Journal::flush() {
  bool anything = !pending_.empty() || data_writes_ != data_writes_flushed_;
  uint64_t mine = flushes_begun_ + (anything ? 1 : 0);
  if (anything) request_flush();
  while (flushes_done_ < mine && !pool_.failure) co_await changed_.wait();
  co_return pool_.usable();
}

io::Task<Result<void>> Journal::commit(Note note) {
  notes_.push_back(note);
  uint64_t mine = notes_begun_ + notes_.size();
  start();
  while (notes_done_ < mine && !pool_.failure) co_await changed_.wait();
  co_return pool_.usable();
}

io::Task<Result<void>> Journal::mark() {
  uint64_t mine = next_sequence_;
  batch_wanted_ = true;
  start();
  while (durable_sequence_ < mine && !pool_.failure) co_await changed_.wait();
  co_return pool_.usable();
}

bool Journal::wanted() const {
  return !pool_.failure && (flushes_wanted_ > flushes_begun_ || !notes_.empty() || batch_wanted_);
}

io::Task<void> Journal::run() {
  // Never from inside touch(): the seal would take away the pending slot that is being changed.
  co_await pool_.executor.yield();
  while (wanted()) {
    Result<void> done = co_await one_round();
    if (!done) pool_.fail_pool(done.error());
    changed_.notify_all();
  }
  running_ = false;
}

uint64_t Journal::bytes_bound() const {
  return batch_bytes(pending_.size() * BatchWriter::kSlotRecordBytesMax +
                     std::min(notes_.size(), kNotesPerBatchMax) * BatchWriter::kNoteBytes);
}

// The last quarter of the ring is for recovery.
io::Task<Result<void>> Journal::wait_for_room() {
  while (used_bytes_ + bytes_bound() > ring_bytes_ - ring_bytes_ / 4) {
    CO_TRY(pool_.usable());
    pool_.checkpoint.request();
    co_await changed_.wait();
  }
  co_return pool_.usable();
}

io::Task<Result<void>> Journal::one_round() {
  bool flush = flushes_wanted_ > flushes_begun_;
  if (flush) {
    sealing_ = true;
    while (hot_overwrites_ > 0) co_await hot_drained_.wait();
  }
  Result<void> room = co_await wait_for_room();
  // While this round waited for room others may have begun to ask for a flush: they are served too.
  sealing_ = false;
  CO_TRY(room);
  bool data = data_writes_ != data_writes_flushed_;
  bool batch = batch_wanted_ || !notes_.empty() || (flush && !pending_.empty());
  if (flush) flushes_begun_ = flushes_wanted_;
  ConstBuffer bytes;
  if (batch) {
    begin_batch(flush && !pending_.empty());
    if (flush) seal_slots();
    take_notes();
    bytes = writer_.finish();
  }
  uint64_t data_writes = data_writes_;
  changed_.notify_all();  // the gate for overwrites is open again
  if (batch) {
    Result<void> written = co_await write_batch(bytes, !(flush && data));
    CO_TRY(written);
  }
  if (flush && data) {
    data_writes_flushed_ = data_writes;
    Result<void> flushed = co_await pool_.disk->flush();
    CO_TRY(flushed);
  }
  CO_TRY(pool_.usable());
  if (batch) complete_batch();
  if (flush) flushes_done_ = flushes_begun_;
  if (used_bytes_ > ring_bytes_ / 2) pool_.checkpoint.request();
  co_return Result<void>{};
}

void Journal::begin_batch(bool seals) {
  BatchHeader header;
  header.salt = pool_.superblock.salt;
  header.sequence = next_sequence_;
  header.complete_through = next_sequence_ - 1;
  header.catalog_count = pool_.catalog_count;
  if (seals) ++seal_;
  header.seal = seal_;
  writer_.begin(header);
  batch_wanted_ = false;
}

void Journal::seal_slots() {
  for (const PendingSlot& p : pending_) {
    Slot& entry = pool_.table[p.slot];
    entry.flags &= static_cast<uint16_t>(~kSlotPending);
    // Allocated for a write that is still under way: nothing to say yet.
    if (entry.bits == 0 && entry.users > 0 && p.prior.bits == 0) continue;
    SlotRecord record;
    record.slot = p.slot;
    record.state = entry;
    record.fresh = p.fresh & entry.bits;
    record.crcs = p.crcs;
    if (entry.bits == 0) {
      record.state = SlotState{};
      if (entry.users == 0) {
        pool_.detach(p.slot);
        freed_.push_back(p.slot);
      }
    }
    writer_.add(record);
    sealed_index_[p.slot] = static_cast<uint32_t>(sealed_.size());
    sealed_.push_back({p, record.state});
    sealed_.back().pending.fresh = record.fresh;
    entry.flags |= kSlotSealed;
    if (record.fresh != 0) entry.flags |= kSlotUnmarked;
  }
  pending_.clear();
  pending_index_.clear();
}

void Journal::take_notes() {
  size_t count = std::min(notes_.size(), kNotesPerBatchMax);
  notes_in_flight_.assign(notes_.begin(), notes_.begin() + static_cast<ptrdiff_t>(count));
  notes_.erase(notes_.begin(), notes_.begin() + static_cast<ptrdiff_t>(count));
  notes_begun_ += count;
  for (const Note& note : notes_in_flight_) writer_.add(note);
}

io::Task<Result<void>> Journal::write_batch(ConstBuffer bytes, bool durable) {
  io::WriteMode mode = durable ? io::WriteMode::kDurable : io::WriteMode::kCached;
  uint64_t position = head_position_;
  head_position_ = (head_position_ + bytes.size()) % ring_bytes_;
  used_bytes_ += bytes.size();
  ++next_sequence_;
  size_t first = std::min<size_t>(bytes.size(), ring_bytes_ - position);
  uint64_t ring = pool_.geometry.journal_offset;
  Result<void> written = co_await pool_.disk->write(ring + position, bytes.first(first), mode);
  CO_TRY(written);
  if (first < bytes.size()) {
    Result<void> rest = co_await pool_.disk->write(ring, bytes.subspan(first), mode);
    CO_TRY(rest);
  }
  co_return Result<void>{};
}

void Journal::complete_batch() {
  durable_sequence_ = next_sequence_ - 1;
  durable_position_ = head_position_;
  for (const auto& [slot, blocks] : unmarked_) {
    auto sealed = sealed_index_.find(slot);
    bool still = sealed != sealed_index_.end() && sealed_[sealed->second].pending.fresh != 0;
    if (!still) pool_.table[slot].flags &= static_cast<uint16_t>(~kSlotUnmarked);
  }
  unmarked_.clear();
  for (const SealedSlot& sealed : sealed_) {
    uint32_t slot = sealed.pending.slot;
    pool_.table[slot].flags &= static_cast<uint16_t>(~kSlotSealed);
    pool_.table.mark_dirty(slot);
    if (sealed.pending.fresh != 0) unmarked_[slot] = sealed.pending.fresh;
  }
  sealed_.clear();
  sealed_index_.clear();
  for (uint32_t slot : freed_) pool_.retire(slot);
  freed_.clear();
  for (const Note& note : notes_in_flight_) pool_.apply(note);
  notes_done_ += notes_in_flight_.size();
  notes_in_flight_.clear();
}

void Journal::advance_tail(uint64_t position) {
  uint64_t freed = (position + ring_bytes_ - tail_position_) % ring_bytes_;
  used_bytes_ -= freed;
  tail_position_ = position;
  changed_.notify_all();
}

io::Task<Result<void>> Journal::write_recovery_batch(const std::vector<SlotRecord>& records) {
  begin_batch(false);
  for (const SlotRecord& record : records) writer_.add(record);
  ConstBuffer bytes = writer_.finish();
  if (used_bytes_ + bytes.size() >= ring_bytes_) {
    co_return fail(Code::kCorrupt, "journal: no room for recovery");
  }
  Result<void> written = co_await write_batch(bytes, true);
  CO_TRY(written);
  complete_batch();
  co_return Result<void>{};
}

}  // namespace cleat::store
