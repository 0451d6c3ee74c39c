// The running journal: slots changed since the last seal, and the one batch at a time that makes
// them durable. One flush serves everybody who asked before it began.
//
// A batch that makes blocks valid goes out with their data, unordered, and one flush covers both.
// So until the next batch is durable (it says that this one is complete), only the blocks' checks
// prove that the data arrived, and such "unmarked" blocks must not be overwritten: request mark()
// first.
//
// Threading: one loop.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <vector>

#include "common/result.h"
#include "io/sync.h"
#include "io/task.h"
#include "store/journal_format.h"
#include "store/scratch_log.h"

namespace cleat::store {

class PoolCore;

class Journal {
 public:
  explicit Journal(PoolCore& pool);
  // Where recovery ended: the next batch has this sequence and place.
  void start_at(uint64_t sequence, uint64_t position, uint64_t seal, uint64_t tail_position);

  // --- slots changed since the last seal
  struct PendingSlot {
    uint32_t slot = 0;
    SlotState prior;  // what the seal before said
    uint32_t trusted =
        0;               // blocks whose durable data is an older state of the same block: no check
    uint32_t fresh = 0;  // the other valid blocks: recorded with their checks
    std::array<uint32_t, 32> crcs{};
  };
  // The slot is about to change.
  PendingSlot& touch(uint32_t slot);
  PendingSlot* pending(uint32_t slot);
  // The slot is free without a record: it never was in one, or its layer is gone from the catalog.
  void forget(uint32_t slot);
  // Blocks of the slot whose data was written; `blocks` holds those of `mask`, lowest first.
  void made_valid(uint32_t slot, uint32_t mask, const std::byte* blocks);
  // What the stored table may say of the slot: its state in the newest durable batch.
  SlotState durable_state(uint32_t slot) const;
  // Blocks that must not be overwritten before mark().
  uint32_t unmarked(uint32_t slot) const;
  // Who would add pending slots waits while this holds, by wait_changed(); request_flush() ends it.
  bool crowded() const { return pending_.size() + reserved_ >= pending_max_; }
  // Slots that a write under way will add.
  void reserve(size_t slots) { reserved_ += slots; }
  void unreserve(size_t slots) { reserved_ -= slots; }
  uint64_t open_seal() const { return seal_ + 1; }
  // Everything that is not durable, into the scratch log.
  void dump_unflushed(ScratchLog& scratch) const;

  // --- overwrites of fresh blocks: their checks must not be sealed meanwhile
  bool sealing() const { return sealing_; }
  void begin_hot_overwrite() { ++hot_overwrites_; }
  void end_hot_overwrite();
  void data_written() { ++data_writes_; }

  // --- making durable
  io::Task<Result<void>> flush();
  io::Task<Result<void>> commit(Note note);
  // Returns when the batch that was the newest is durably marked complete.
  io::Task<Result<void>> mark();
  bool has_unmarked() const { return !unmarked_.empty(); }
  void request_flush();
  auto wait_changed() { return changed_.wait(); }
  void notify_changed() { changed_.notify_all(); }

  // --- the ring
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t durable_sequence() const { return durable_sequence_; }
  uint64_t durable_position() const { return durable_position_; }
  // Everything before this place is in the table and the catalog.
  void advance_tail(uint64_t position);
  // Writes the given records as one durable batch, right now: recovery only.
  io::Task<Result<void>> write_recovery_batch(const std::vector<SlotRecord>& records);

 private:
  struct SealedSlot {
    PendingSlot pending;
    SlotState state;
  };
  io::Task<void> run();
  io::Task<Result<void>> one_round();
  io::Task<Result<void>> wait_for_room();
  io::Task<Result<void>> write_batch(ConstBuffer bytes, bool durable);
  void start();
  bool wanted() const;
  uint64_t bytes_bound() const;
  void begin_batch(bool seals);
  void seal_slots();
  void take_notes();
  void complete_batch();

  PoolCore& pool_;
  uint64_t ring_bytes_;
  size_t pending_max_;
  size_t reserved_ = 0;

  std::vector<PendingSlot> pending_;
  absl::flat_hash_map<uint32_t, uint32_t> pending_index_;
  std::vector<SealedSlot> sealed_;
  absl::flat_hash_map<uint32_t, uint32_t> sealed_index_;
  absl::flat_hash_map<uint32_t, uint32_t> unmarked_;  // slot -> blocks, of the newest durable batch
  std::vector<uint32_t> freed_;                       // by the batch in flight
  uint64_t seal_ = 0;
  bool sealing_ = false;
  uint64_t hot_overwrites_ = 0;

  std::vector<Note> notes_;
  std::vector<Note> notes_in_flight_;
  uint64_t notes_begun_ = 0;
  uint64_t notes_done_ = 0;

  BatchWriter writer_;
  uint64_t next_sequence_ = 1;
  uint64_t durable_sequence_ = 0;
  uint64_t head_position_ = 0;
  uint64_t durable_position_ = 0;
  uint64_t tail_position_ = 0;
  uint64_t used_bytes_ = 0;

  bool running_ = false;
  uint64_t flushes_wanted_ = 0;
  uint64_t flushes_begun_ = 0;
  uint64_t flushes_done_ = 0;
  bool batch_wanted_ = false;
  uint64_t data_writes_ = 0;
  uint64_t data_writes_flushed_ = 0;  // when the last flush began
  io::WaitQueue changed_;
  io::WaitQueue hot_drained_;
};

}  // namespace cleat::store
