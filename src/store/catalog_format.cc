#include "store/catalog_format.h"

#include <cstddef>
#include <cstring>

#include "common/crc32c.h"
#include "common/units.h"

namespace cleat::store {
namespace {

struct Header {
  uint32_t magic;
  uint32_t version;
  uint32_t check;  // crc32c of `length` bytes with this field zero
  uint32_t next_layer;
  uint64_t salt;
  uint64_t count;
  uint64_t length;
  uint64_t applied_sequence;
  uint32_t layer_count;
  uint32_t volume_count;
  uint64_t zero;
};
static_assert(sizeof(Header) == 64);
static_assert(offsetof(Header, salt) == 16);

struct LayerImage {
  uint32_t id;
  uint32_t parent;
  uint64_t volume;
  uint64_t snapshot;
  uint32_t flags;
  uint32_t zero;
};
static_assert(sizeof(LayerImage) == 32);
constexpr uint32_t kLayerFrozen = 1;
constexpr uint32_t kLayerDeleting = 2;

struct VolumeImage {
  uint64_t volume;
  uint64_t size_blocks;
  uint64_t epoch;
  uint64_t generation;
  uint64_t unknown_as_of;
  uint32_t top;
  uint32_t flags;
  uint32_t record_bytes;  // followed by the record, padded to 8, the runs, the recent writes
  uint32_t intent_count;
  uint32_t dirty_count;
  uint32_t recent_count;
};
static_assert(sizeof(VolumeImage) == 64);
constexpr uint32_t kVolumeRecentLost = 1;

struct DirtyImage {
  uint32_t first;
  uint32_t count;
  uint64_t generation;
};
static_assert(sizeof(DirtyImage) == 16);

struct RecentImage {
  uint64_t seq;
  uint64_t first;
  uint32_t count;
  uint32_t zero;
};
static_assert(sizeof(RecentImage) == 24);
static_assert(sizeof(ZoneRun) == 8);

size_t padded(size_t size) { return (size + 7) / 8 * 8; }

class Writer {
 public:
  void put(const void* bytes, size_t size) {
    const auto* from = static_cast<const std::byte*>(bytes);
    bytes_.insert(bytes_.end(), from, from + size);
  }
  void pad() { bytes_.resize(padded(bytes_.size())); }
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(ConstBuffer bytes) : bytes_(bytes) {}
  bool take(void* into, size_t size) {
    if (bytes_.size() < size) return false;
    std::memcpy(into, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return true;
  }
  bool holds(uint64_t count, size_t size) const { return count <= bytes_.size() / size; }
  bool empty() const { return bytes_.empty(); }

 private:
  ConstBuffer bytes_;
};

void put_volume(Writer& writer, const CatalogVolume& v) {
  VolumeImage image{v.volume.value,
                    v.size_blocks,
                    v.epoch.value,
                    v.generation.value,
                    v.unknown_as_of,
                    v.top,
                    v.recent_lost ? kVolumeRecentLost : 0,
                    static_cast<uint32_t>(v.record.size()),
                    static_cast<uint32_t>(v.intents.size()),
                    static_cast<uint32_t>(v.dirty.size()),
                    static_cast<uint32_t>(v.recent.size())};
  writer.put(&image, sizeof(image));
  writer.put(v.record.data(), v.record.size());
  writer.pad();
  for (const ZoneRun& run : v.intents) writer.put(&run, sizeof(run));
  for (const core::DirtyRun& run : v.dirty) {
    DirtyImage dirty{static_cast<uint32_t>(run.first), static_cast<uint32_t>(run.count),
                     run.generation};
    writer.put(&dirty, sizeof(dirty));
  }
  for (const core::RecentWrite& write : v.recent) {
    RecentImage recent{write.seq.value, write.range.first, write.range.count, 0};
    writer.put(&recent, sizeof(recent));
  }
}

bool take_runs(Reader& reader, const VolumeImage& image, CatalogVolume& v) {
  if (!reader.holds(image.intent_count, sizeof(ZoneRun))) return false;
  for (uint32_t i = 0; i < image.intent_count; ++i) {
    ZoneRun run;
    if (!reader.take(&run, sizeof(run))) return false;
    v.intents.push_back(run);
  }
  if (!reader.holds(image.dirty_count, sizeof(DirtyImage))) return false;
  for (uint32_t i = 0; i < image.dirty_count; ++i) {
    DirtyImage run;
    if (!reader.take(&run, sizeof(run))) return false;
    v.dirty.push_back({run.first, run.count, run.generation});
  }
  if (!reader.holds(image.recent_count, sizeof(RecentImage))) return false;
  for (uint32_t i = 0; i < image.recent_count; ++i) {
    RecentImage recent;
    if (!reader.take(&recent, sizeof(recent))) return false;
    v.recent.push_back({Seq(recent.seq), {recent.first, recent.count}});
  }
  return true;
}

bool take_volume(Reader& reader, CatalogVolume& v) {
  VolumeImage image;
  if (!reader.take(&image, sizeof(image))) return false;
  if (image.record_bytes > kRecordBytesMax || !reader.holds(image.record_bytes, 1)) return false;
  v.volume = VolumeId(image.volume);
  v.size_blocks = image.size_blocks;
  v.epoch = Epoch(image.epoch);
  v.generation = Generation(image.generation);
  v.unknown_as_of = image.unknown_as_of;
  v.top = image.top;
  v.recent_lost = (image.flags & kVolumeRecentLost) != 0;
  v.record.resize(padded(image.record_bytes));
  if (!reader.take(v.record.data(), v.record.size())) return false;
  v.record.resize(image.record_bytes);
  return take_runs(reader, image, v);
}

}  // namespace

AlignedBuffer encode_catalog(const CatalogImage& image, uint64_t salt) {
  Header header{};
  header.magic = kCatalogMagic;
  header.version = kCatalogVersion;
  header.next_layer = image.next_layer;
  header.salt = salt;
  header.count = image.count;
  header.applied_sequence = image.applied_sequence;
  header.layer_count = static_cast<uint32_t>(image.layers.size());
  header.volume_count = static_cast<uint32_t>(image.volumes.size());
  Writer writer;
  writer.put(&header, sizeof(header));
  for (const CatalogLayer& layer : image.layers) {
    uint32_t flags = (layer.frozen ? kLayerFrozen : 0) | (layer.deleting ? kLayerDeleting : 0);
    LayerImage entry{layer.id, layer.parent, layer.volume.value, layer.snapshot.value, flags, 0};
    writer.put(&entry, sizeof(entry));
  }
  for (const CatalogVolume& volume : image.volumes) put_volume(writer, volume);
  std::vector<std::byte>& bytes = writer.bytes();
  header.length = bytes.size();
  std::memcpy(bytes.data(), &header, sizeof(header));
  header.check = crc32c(bytes.data(), bytes.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  AlignedBuffer buffer((bytes.size() + kBlockSize - 1) / kBlockSize * kBlockSize);
  std::memset(buffer.data(), 0, buffer.size());
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  return buffer;
}

uint64_t catalog_length(ConstBuffer block, uint64_t salt) {
  Header header;
  std::memcpy(&header, block.data(), sizeof(header));
  return header.magic == kCatalogMagic && header.salt == salt ? header.length : 0;
}

Result<CatalogImage> decode_catalog(ConstBuffer bytes, uint64_t salt) {
  Header header;
  if (bytes.size() < sizeof(header)) return fail(Code::kCorrupt, "catalog: too short");
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kCatalogMagic || header.salt != salt || header.length > bytes.size() ||
      header.length < sizeof(header)) {
    return fail(Code::kCorrupt, "catalog: no image here");
  }
  std::vector<std::byte> copy(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(header.length));
  uint32_t zero = 0;
  std::memcpy(copy.data() + offsetof(Header, check), &zero, sizeof(zero));
  if (crc32c(copy.data(), copy.size()) != header.check) {
    return fail(Code::kCorrupt, "catalog: damaged");
  }
  if (header.version != kCatalogVersion) {
    return fail(Code::kUnsupported, "catalog: unknown version");
  }
  CatalogImage image;
  image.count = header.count;
  image.applied_sequence = header.applied_sequence;
  image.next_layer = header.next_layer;
  Reader reader(ConstBuffer(copy).subspan(sizeof(header)));
  bool good = reader.holds(header.layer_count, sizeof(LayerImage));
  for (uint32_t i = 0; good && i < header.layer_count; ++i) {
    LayerImage entry;
    good = reader.take(&entry, sizeof(entry));
    image.layers.push_back({entry.id, entry.parent, VolumeId(entry.volume),
                            SnapshotId(entry.snapshot), (entry.flags & kLayerFrozen) != 0,
                            (entry.flags & kLayerDeleting) != 0});
  }
  for (uint32_t i = 0; good && i < header.volume_count; ++i) {
    good = take_volume(reader, image.volumes.emplace_back());
  }
  if (!good || !reader.empty()) return fail(Code::kCorrupt, "catalog: entries that make no sense");
  return image;
}

}  // namespace cleat::store
