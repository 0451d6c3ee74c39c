// Fuzz target of what a pool's disk may hold. The first byte of an input says what the rest is:
//   0 a superblock   1 a batch of the journal   2 a catalog image
//   3, 4, 5 the same, but checks are put right first, so that what is behind them is reached
//   6 changes to the metadata of a whole pool, which is then opened, read and closed:
//     5 bytes each, a place and a value
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "common/check.h"
#include "common/crc32c.h"
#include "store/catalog_format.h"
#include "store/journal_format.h"
#include "store/superblock.h"
#include "store/testing/pool_fixture.h"

namespace cleat::store {
namespace {

constexpr uint64_t kSalt = 0x5a17;
using Bytes = std::vector<std::byte>;

Bytes whole_blocks(ConstBuffer bytes) {
  Bytes out(bytes.begin(), bytes.end());
  out.resize((out.size() + kBlockSize) / kBlockSize * kBlockSize);
  return out;
}

template <class T>
void put(Bytes& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

// Places of the fields: docs/formats.
void right_superblock(Bytes& block) {
  put(block, 0, kPoolMagic);
  put(block, 8, kPoolVersion);
  put(block, 12, uint32_t{0});
  put(block, 12, crc32c(block.data(), 512));
}

void right_batch(Bytes& bytes) {
  BatchHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  header.magic = kBatchMagic;
  header.version = kBatchVersion;
  header.salt = kSalt;
  header.payload_bytes %= static_cast<uint32_t>(bytes.size() - sizeof(header) + 1);
  header.payload_check = crc32c(bytes.data() + sizeof(header), header.payload_bytes);
  header.header_check = 0;
  header.header_check = crc32c(&header, sizeof(header), static_cast<uint32_t>(kSalt));
  std::memcpy(bytes.data(), &header, sizeof(header));
}

void right_catalog(Bytes& bytes) {
  uint64_t length = 0;
  std::memcpy(&length, bytes.data() + 32, sizeof(length));
  length = std::max<uint64_t>(64, length % (bytes.size() + 1));
  put(bytes, 0, kCatalogMagic);
  put(bytes, 4, kCatalogVersion);
  put(bytes, 8, uint32_t{0});
  put(bytes, 16, kSalt);
  put(bytes, 32, length);
  put(bytes, 8, crc32c(bytes.data(), length));
}

void fuzz_superblock(const Bytes& bytes) {
  auto decoded = decode_superblock(ConstBuffer(bytes).first(kBlockSize));
  if (!decoded) return;
  AlignedBuffer again(kBlockSize);
  encode_superblock(*decoded, again.span());
  CHECK(decode_superblock(again.span()).has_value(), "what is valid stays valid");
}

void fuzz_batch(const Bytes& bytes) {
  auto decoded = decode_batch(bytes, kSalt);
  if (!decoded) return;
  BatchWriter writer;
  writer.begin(decoded->header);
  for (const SlotRecord& record : decoded->slots) writer.add(record);
  for (const Note& note : decoded->notes) writer.add(note);
  auto again = decode_batch(writer.finish(), kSalt);
  CHECK(again.has_value() && again->slots.size() == decoded->slots.size(), "the same again");
}

void fuzz_catalog(const Bytes& bytes) {
  static_cast<void>(catalog_length(bytes, kSalt));
  auto decoded = decode_catalog(bytes, kSalt);
  if (!decoded) return;
  AlignedBuffer again = encode_catalog(*decoded, kSalt);
  CHECK(decode_catalog(again.span(), kSalt).has_value(), "what is valid stays valid");
}

// A pool with two volumes, a snapshot and a journal to replay, and where its metadata are.
struct Sample {
  std::shared_ptr<sim::Medium> medium;
  std::vector<uint64_t> sectors;
};

Sample make_sample() {
  testing::PoolFixture f;
  f.must_open();
  ReplicaStore* volume = f.create(7, 5000);
  static_cast<void>(f.write(volume, 0, {1, 2}, 1, 4));
  static_cast<void>(f.loop().wait(volume->freeze(SnapshotId(70))));
  static_cast<void>(f.loop().wait(f.pool().clone(VolumeId(8), VolumeId(7), SnapshotId(70))));
  static_cast<void>(f.write(volume, 4500, {3}, 3, 5));
  static_cast<void>(f.flush(volume));
  sim::CrashPolicy all_lost;
  f.power_loss(all_lost);
  Sample sample{f.medium(), {}};
  AlignedBuffer block(kBlockSize);
  auto geometry = plan_geometry(f.options().capacity_bytes, f.options().journal_bytes);
  CHECK(geometry.has_value(), "it was formatted so");
  for (uint64_t at = 0; at < geometry->extents_offset; at += kBlockSize) {
    sample.medium->read_current(at, block.span());
    for (size_t sector = 0; sector < kBlockSize; sector += sim::kSectorSize) {
      ConstBuffer bytes = block.span().subspan(sector, sim::kSectorSize);
      bool used = std::ranges::any_of(bytes, [](std::byte b) { return b != std::byte{0}; });
      if (used) sample.sectors.push_back(at + sector);
    }
  }
  return sample;
}

void right_both_superblocks(sim::Medium& medium) {
  for (uint64_t offset : kSuperblockOffsets) {
    AlignedBuffer block(kBlockSize);
    medium.read_current(offset, block.span());
    Bytes bytes(block.span().begin(), block.span().end());
    right_superblock(bytes);
    medium.write_current(offset, bytes);
  }
}

void fuzz_pool(ConstBuffer edits) {
  static const Sample sample = make_sample();
  auto medium = std::make_shared<sim::Medium>(*sample.medium);
  for (; edits.size() >= 5; edits = edits.subspan(5)) {
    uint32_t place = 0;
    std::memcpy(&place, edits.data(), sizeof(place));
    place %= static_cast<uint32_t>(sample.sectors.size() * sim::kSectorSize);
    uint64_t sector = sample.sectors[place / sim::kSectorSize];
    Bytes bytes(sim::kSectorSize);
    medium->read_current(sector, bytes);
    bytes[place % sim::kSectorSize] = edits[4];
    medium->write_current(sector, bytes);
  }
  right_both_superblocks(*medium);
  testing::PoolFixture pool({}, medium, Bytes(1 * kMiB));
  auto opened = pool.open();
  if (!opened) {
    CHECK(!to_string(opened.error()).empty(), "a refusal says why");
    return;
  }
  for (ReplicaStore* store : pool.pool().replicas()) {
    AlignedBuffer block(kBlockSize);
    for (uint64_t at : {0, 1, 4500}) {
      if (at >= store->size_blocks()) continue;
      static_cast<void>(pool.loop().wait(store->read(View{}, BlockRange{at, 1}, block.span())));
    }
  }
  static_cast<void>(pool.close());
}

}  // namespace
}  // namespace cleat::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cleat;
  using namespace cleat::store;
  if (size == 0) return 0;
  ConstBuffer rest = std::as_bytes(std::span(data + 1, size - 1));
  Bytes bytes = whole_blocks(rest);
  switch (data[0]) {
    case 3: right_superblock(bytes); [[fallthrough]];
    case 0: fuzz_superblock(bytes); break;
    case 4: right_batch(bytes); [[fallthrough]];
    case 1: fuzz_batch(bytes); break;
    case 5: right_catalog(bytes); [[fallthrough]];
    case 2: fuzz_catalog(bytes); break;
    case 6: fuzz_pool(rest); break;
    default: break;
  }
  return 0;
}
