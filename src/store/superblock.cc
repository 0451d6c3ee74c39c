#include "store/superblock.h"

#include <cstring>

#include "common/crc32c.h"

namespace cleat::store {
namespace {

struct Image {
  uint64_t magic;
  uint32_t version;
  uint32_t check;  // crc32c of the 512 bytes with this field zero
  uint64_t write_count;
  uint64_t cluster;
  uint64_t node;
  uint64_t pool;
  uint64_t salt;
  uint64_t open_count;
  uint64_t tail_sequence;
  uint64_t tail_position;
  uint64_t complete_through;
  uint64_t catalog_count;
  uint64_t clean;
  uint64_t journal_offset;
  uint64_t journal_bytes;
  uint64_t table_offset;
  uint64_t table_bytes;
  uint64_t catalog_offset;
  uint64_t catalog_bytes;
  uint64_t extents_offset;
  uint32_t extent_count;
  uint32_t hole_count;
  std::byte zero[344];
};
static_assert(sizeof(Image) == 512);
static_assert(offsetof(Image, write_count) == 16);
static_assert(offsetof(Image, clean) == 96);
static_assert(offsetof(Image, extent_count) == 160);
static_assert(std::is_trivially_copyable_v<Image>);

uint32_t check_of(Image image) {
  image.check = 0;
  return crc32c(&image, sizeof(image));
}

uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

uint64_t catalog_bytes_for(uint64_t pool_bytes) {
  uint64_t bytes = round_up(pool_bytes / 16384, kBlockSize);
  if (bytes < 4 * kMiB) return 4 * kMiB;
  return bytes > 64 * kMiB ? 64 * kMiB : bytes;
}

// Regions of whole blocks, in order, none overlapping, of the sizes that the counts need.
bool plausible(const Geometry& g) {
  bool sizes = g.journal_bytes >= kJournalBytesMin && g.journal_bytes <= kJournalBytesMax &&
               g.journal_bytes % kBlockSize == 0 && g.extent_count > 0 &&
               g.extent_count <= UINT32_MAX / 4 && g.hole_count <= g.extent_count &&
               g.table_bytes == round_up(g.slot_count() * kSlotBytes, kBlockSize) &&
               g.catalog_bytes >= kBlockSize && g.catalog_bytes <= kGiB &&
               g.catalog_bytes % kBlockSize == 0;
  return sizes && g.journal_offset == kJournalOffset &&
         g.table_offset == g.journal_offset + g.journal_bytes &&
         g.catalog_offset == g.table_offset + g.table_bytes &&
         g.extents_offset == round_up(g.catalog_offset + 2 * g.catalog_bytes, kMiB);
}

}  // namespace

Result<Geometry> plan_geometry(uint64_t pool_bytes, uint64_t journal_bytes) {
  if (pool_bytes < kPoolBytesMin) {
    return fail(Code::kInvalidArgument, "a pool has at least 256 MiB");
  }
  if (journal_bytes < kJournalBytesMin || journal_bytes > kJournalBytesMax ||
      journal_bytes % kBlockSize != 0 || journal_bytes > pool_bytes / 4) {
    return fail(Code::kInvalidArgument,
                "the journal has 128 KiB to 1 GiB, whole blocks, at most a quarter of the pool");
  }
  Geometry g;
  g.journal_offset = kJournalOffset;
  g.journal_bytes = journal_bytes;
  g.table_offset = g.journal_offset + g.journal_bytes;
  g.catalog_bytes = catalog_bytes_for(pool_bytes);
  auto place = [&g](uint64_t count) {
    g.extent_count = static_cast<uint32_t>(count);
    g.hole_count = g.extent_count / 4;
    g.table_bytes = round_up(g.slot_count() * kSlotBytes, kBlockSize);
    g.catalog_offset = g.table_offset + g.table_bytes;
    g.extents_offset = round_up(g.catalog_offset + 2 * g.catalog_bytes, kMiB);
  };
  uint64_t count = (pool_bytes - g.table_offset) / kExtentSize;
  if (count > UINT32_MAX / 4) return fail(Code::kInvalidArgument, "a pool has at most 128 TiB");
  for (place(count); g.end() > pool_bytes; place(count)) {
    count -= (g.end() - pool_bytes + kExtentSize - 1) / kExtentSize;
  }
  return g;
}

void encode_superblock(const Superblock& s, MutableBuffer block) {
  const Geometry& g = s.geometry;
  Image image{};
  image.magic = kPoolMagic;
  image.version = kPoolVersion;
  image.write_count = s.write_count;
  image.cluster = s.cluster;
  image.node = s.node;
  image.pool = s.pool;
  image.salt = s.salt;
  image.open_count = s.open_count;
  image.tail_sequence = s.tail_sequence;
  image.tail_position = s.tail_position;
  image.complete_through = s.complete_through;
  image.catalog_count = s.catalog_count;
  image.clean = s.clean ? 1 : 0;
  image.journal_offset = g.journal_offset;
  image.journal_bytes = g.journal_bytes;
  image.table_offset = g.table_offset;
  image.table_bytes = g.table_bytes;
  image.catalog_offset = g.catalog_offset;
  image.catalog_bytes = g.catalog_bytes;
  image.extents_offset = g.extents_offset;
  image.extent_count = g.extent_count;
  image.hole_count = g.hole_count;
  image.check = check_of(image);
  std::memset(block.data(), 0, block.size());
  std::memcpy(block.data(), &image, sizeof(image));
}

Result<Superblock> decode_superblock(ConstBuffer block) {
  Image image;
  if (block.size() < sizeof(image)) return fail(Code::kCorrupt, "superblock: too short");
  std::memcpy(&image, block.data(), sizeof(image));
  if (image.magic != kPoolMagic) return fail(Code::kCorrupt, "superblock: no pool here");
  if (image.check != check_of(image)) return fail(Code::kCorrupt, "superblock: damaged");
  if (image.version != kPoolVersion) {
    return fail(Code::kUnsupported, "superblock: unknown version of the pool's format");
  }
  Superblock s;
  s.write_count = image.write_count;
  s.cluster = image.cluster;
  s.node = image.node;
  s.pool = image.pool;
  s.salt = image.salt;
  s.open_count = image.open_count;
  s.tail_sequence = image.tail_sequence;
  s.tail_position = image.tail_position;
  s.complete_through = image.complete_through;
  s.catalog_count = image.catalog_count;
  s.clean = image.clean == 1;
  Geometry& g = s.geometry;
  g.journal_offset = image.journal_offset;
  g.journal_bytes = image.journal_bytes;
  g.table_offset = image.table_offset;
  g.table_bytes = image.table_bytes;
  g.catalog_offset = image.catalog_offset;
  g.catalog_bytes = image.catalog_bytes;
  g.extents_offset = image.extents_offset;
  g.extent_count = image.extent_count;
  g.hole_count = image.hole_count;
  bool inside = s.tail_position < g.journal_bytes && s.tail_position % kBlockSize == 0;
  if (!inside || !plausible(g)) return fail(Code::kCorrupt, "superblock: impossible layout");
  return s;
}

}  // namespace cleat::store
