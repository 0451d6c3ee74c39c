// Writes the corpus of store_fuzz: one valid input of each kind. `store_corpus DIRECTORY`.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "store/catalog_format.h"
#include "store/journal_format.h"
#include "store/superblock.h"

namespace cleat::store {
namespace {

constexpr uint64_t kSalt = 0x5a17;

AlignedBuffer superblock() {
  Superblock block;
  block.write_count = 3;
  block.cluster = 77;
  block.node = 5;
  block.pool = 9;
  block.salt = kSalt;
  block.open_count = 1;
  auto geometry = plan_geometry(kPoolBytesMin, kJournalBytesMin);
  if (geometry) block.geometry = *geometry;
  AlignedBuffer out(kBlockSize);
  encode_superblock(block, out.span());
  return out;
}

ConstBuffer batch(BatchWriter& writer) {
  BatchHeader header;
  header.salt = kSalt;
  header.sequence = 4;
  writer.begin(header);
  SlotRecord record;
  record.slot = 12;
  record.fresh = 0b101;
  record.crcs[0] = 1;
  record.crcs[2] = 2;
  writer.add(record);
  writer.add(Note{RecordType::kIntent, VolumeId(7), 3, 2});
  writer.add(Note{RecordType::kEpoch, VolumeId(7), 6, 0});
  return writer.finish();
}

AlignedBuffer catalog() {
  CatalogImage image;
  image.count = 2;
  image.next_layer = 3;
  image.layers = {{1, 0, VolumeId(7), SnapshotId(70), true, false},
                  {2, 1, VolumeId(7), SnapshotId{}, false, false}};
  CatalogVolume volume;
  volume.volume = VolumeId(7);
  volume.size_blocks = 5000;
  volume.epoch = Epoch(3);
  volume.top = 2;
  volume.record = "record";
  volume.intents = {{0, 2}};
  volume.dirty = {{0, 1, 4}};
  volume.recent = {{Seq(1), {0, 1}}};
  image.volumes = {volume};
  return encode_catalog(image, kSalt);
}

void write(const std::filesystem::path& directory, const char* name, char kind, ConstBuffer bytes) {
  std::ofstream file(directory / name, std::ios::binary);
  file.put(kind);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

}  // namespace
}  // namespace cleat::store

int main(int argc, char** argv) {
  using namespace cleat::store;
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  std::filesystem::path directory = argv[1];
  std::filesystem::create_directories(directory);
  BatchWriter writer;
  for (char right : {char{0}, char{3}}) {
    std::string suffix = right != 0 ? "_put_right" : "";
    write(directory, ("superblock" + suffix).c_str(), right, superblock().span());
    write(directory, ("batch" + suffix).c_str(), static_cast<char>(right + 1), batch(writer));
    write(directory, ("catalog" + suffix).c_str(), static_cast<char>(right + 2), catalog().span());
  }
  const std::byte edits[] = {std::byte{16}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{9}};
  write(directory, "pool", 6, edits);
  return 0;
}
