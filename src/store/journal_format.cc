#include "store/journal_format.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/crc32c.h"
#include "common/units.h"

namespace cleat::store {
namespace {

struct SlotImageHead {
  uint32_t type;
  uint32_t slot;
  uint32_t layer;
  uint32_t logical;
  uint32_t bits;
  uint32_t fresh;  // followed by a crc32c for each set bit, lowest block first
};
static_assert(sizeof(SlotImageHead) == 24);

struct NoteImage {
  uint32_t type;
  uint32_t zero;
  uint64_t volume;
  uint64_t first;
  uint64_t count;
};
static_assert(sizeof(NoteImage) == BatchWriter::kNoteBytes);

uint32_t header_check(BatchHeader header) {
  header.header_check = 0;
  return crc32c(&header, sizeof(header), static_cast<uint32_t>(header.salt));
}

// Reads packed values and never beyond the end.
class Cursor {
 public:
  explicit Cursor(ConstBuffer bytes) : bytes_(bytes) {}
  bool take(void* into, size_t size) {
    if (bytes_.size() < size) return false;
    std::memcpy(into, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return true;
  }
  bool peek(uint32_t& value) const {
    if (bytes_.size() < sizeof(value)) return false;
    std::memcpy(&value, bytes_.data(), sizeof(value));
    return true;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  ConstBuffer bytes_;
};

bool take_slot(Cursor& cursor, Batch& batch) {
  SlotImageHead head;
  if (!cursor.take(&head, sizeof(head))) return false;
  SlotRecord record;
  record.slot = head.slot;
  record.state = {head.layer, head.logical, head.bits};
  record.fresh = head.fresh;
  for (uint32_t left = head.fresh; left != 0; left &= left - 1) {
    auto block = static_cast<size_t>(std::countr_zero(left));
    if (!cursor.take(&record.crcs[block], sizeof(uint32_t))) return false;
  }
  if ((record.fresh & ~record.state.bits) != 0) return false;
  batch.slots.push_back(record);
  return true;
}

bool take_note(Cursor& cursor, Batch& batch) {
  NoteImage image;
  if (!cursor.take(&image, sizeof(image))) return false;
  batch.notes.push_back(
      {static_cast<RecordType>(image.type), VolumeId(image.volume), image.first, image.count});
  return true;
}

}  // namespace

uint64_t batch_bytes(uint64_t payload_bytes) {
  return (sizeof(BatchHeader) + payload_bytes + kBlockSize - 1) / kBlockSize * kBlockSize;
}

void BatchWriter::begin(BatchHeader header) {
  header_ = header;
  used_ = sizeof(BatchHeader);
  if (buffer_.size() == 0) buffer_ = AlignedBuffer(64 * kKiB);
}

void BatchWriter::put(const void* bytes, size_t size) {
  if (used_ + size > buffer_.size()) {
    AlignedBuffer larger(std::max<size_t>(buffer_.size() * 2, 64 * kKiB));
    std::memcpy(larger.data(), buffer_.data(), used_);
    buffer_ = std::move(larger);
  }
  std::memcpy(buffer_.data() + used_, bytes, size);
  used_ += size;
}

void BatchWriter::add(const SlotRecord& record) {
  SlotImageHead head{static_cast<uint32_t>(RecordType::kSlot),
                     record.slot,
                     record.state.layer,
                     record.state.logical,
                     record.state.bits,
                     record.fresh};
  put(&head, sizeof(head));
  for (uint32_t left = record.fresh; left != 0; left &= left - 1) {
    put(&record.crcs[static_cast<size_t>(std::countr_zero(left))], sizeof(uint32_t));
  }
  ++header_.record_count;
}

void BatchWriter::add(const Note& note) {
  NoteImage image{static_cast<uint32_t>(note.type), 0, note.volume.value, note.first, note.count};
  put(&image, sizeof(image));
  ++header_.record_count;
}

uint64_t BatchWriter::size_bytes() const { return batch_bytes(used_ - sizeof(BatchHeader)); }

ConstBuffer BatchWriter::finish() {
  size_t size = size_bytes();
  std::memset(buffer_.data() + used_, 0, size - used_);
  header_.payload_bytes = static_cast<uint32_t>(used_ - sizeof(BatchHeader));
  header_.payload_check = crc32c(buffer_.data() + sizeof(BatchHeader), header_.payload_bytes);
  header_.header_check = header_check(header_);
  std::memcpy(buffer_.data(), &header_, sizeof(header_));
  return buffer_.span().first(size);
}

Result<BatchHeader> decode_batch_header(ConstBuffer block, uint64_t salt) {
  BatchHeader header;
  if (block.size() < sizeof(header)) return fail(Code::kCorrupt, "journal: too short");
  std::memcpy(&header, block.data(), sizeof(header));
  if (header.magic != kBatchMagic || header.salt != salt ||
      header.header_check != header_check(header)) {
    return fail(Code::kNotFound, "journal: no batch here");
  }
  if (header.version != kBatchVersion) {
    return fail(Code::kUnsupported, "journal: unknown version of a batch");
  }
  return header;
}

Result<Batch> decode_batch(ConstBuffer bytes, uint64_t salt) {
  TRY_ASSIGN(BatchHeader header, decode_batch_header(bytes, salt));
  if (bytes.size() < sizeof(header) + uint64_t{header.payload_bytes}) {
    return fail(Code::kCorrupt, "journal: a batch is cut off");
  }
  ConstBuffer payload = bytes.subspan(sizeof(header), header.payload_bytes);
  if (crc32c(payload.data(), payload.size()) != header.payload_check) {
    return fail(Code::kCorrupt, "journal: a batch fails its check");
  }
  Batch batch;
  batch.header = header;
  Cursor cursor(payload);
  uint32_t count = 0;
  while (!cursor.empty()) {
    uint32_t type = 0;
    bool good = cursor.peek(type);
    if (type == static_cast<uint32_t>(RecordType::kSlot)) {
      good = good && take_slot(cursor, batch);
    } else if (type >= static_cast<uint32_t>(RecordType::kIntent) &&
               type <= static_cast<uint32_t>(RecordType::kEpoch)) {
      good = good && take_note(cursor, batch);
    } else {
      good = false;
    }
    if (!good) return fail(Code::kCorrupt, "journal: a record that makes no sense");
    ++count;
  }
  if (count != header.record_count) return fail(Code::kCorrupt, "journal: records are missing");
  return batch;
}

}  // namespace cleat::store
