// The stored form of journal batches (docs/formats/journal.md): a header, records, zeros up to a
// whole block. A batch lies in the ring at the place after the one before and goes on at the ring's
// start.
//
// All numbers are little endian; records are packed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/result.h"
#include "store/extent_table.h"

namespace cleat::store {

inline constexpr uint32_t kBatchMagic = 0x424a4c43;  // "CLJB"
inline constexpr uint32_t kBatchVersion = 1;

struct BatchHeader {
  uint32_t magic = kBatchMagic;
  uint32_t header_check = 0;  // crc32c of the 64 bytes with this field zero, seeded with the salt
  uint64_t salt = 0;
  uint64_t sequence = 0;
  uint64_t complete_through = 0;  // every batch up to this one is durable, and its data
  uint64_t seal = 0;           // number of the newest seal of pending slots in or before this batch
  uint64_t catalog_count = 0;  // the newest catalog image is at least this one
  uint32_t payload_bytes = 0;
  uint32_t payload_check = 0;  // crc32c
  uint32_t record_count = 0;
  uint32_t version = kBatchVersion;
};
static_assert(sizeof(BatchHeader) == 64);
static_assert(offsetof(BatchHeader, seal) == 32);
static_assert(offsetof(BatchHeader, version) == 60);

enum class RecordType : uint32_t { kSlot = 1, kIntent = 2, kEpoch = 3 };

// What a slot is from now on. A set bit of `fresh` is a block that this batch makes valid: its
// crc32c proves that its data arrived; if not, the bit is dropped.
struct SlotRecord {
  uint32_t slot = 0;
  SlotState state;
  uint32_t fresh = 0;
  std::array<uint32_t, 32> crcs{};  // of the fresh blocks, by block number
};

// A small change of one volume.
struct Note {
  RecordType type = RecordType::kIntent;
  VolumeId volume;
  uint64_t first = 0;  // kIntent: zone; kEpoch: the epoch
  uint64_t count = 0;  // kIntent: zones
};

class BatchWriter {
 public:
  void begin(BatchHeader header);
  void add(const SlotRecord& record);
  void add(const Note& note);
  // The finished batch, a whole number of blocks; valid until the next begin().
  ConstBuffer finish();
  // Bytes of the batch if it were finished now.
  uint64_t size_bytes() const;

  static constexpr uint64_t kSlotRecordBytesMax = 24 + 4 * 32;
  static constexpr uint64_t kNoteBytes = 32;

 private:
  void put(const void* bytes, size_t size);

  BatchHeader header_;
  AlignedBuffer buffer_;
  size_t used_ = 0;
};

uint64_t batch_bytes(uint64_t payload_bytes);

// The header alone: nothing when it is none, is damaged, or belongs to another pool.
Result<BatchHeader> decode_batch_header(ConstBuffer block, uint64_t salt);

struct Batch {
  BatchHeader header;
  std::vector<SlotRecord> slots;
  std::vector<Note> notes;
};
// `bytes` begins at the header and holds the whole batch.
Result<Batch> decode_batch(ConstBuffer bytes, uint64_t salt);

}  // namespace cleat::store
