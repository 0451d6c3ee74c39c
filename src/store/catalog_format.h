// The stored form of the catalog (docs/formats/catalog.md): volumes, layers, epochs, intents, dirty
// maps. A whole image each time, into the older of two copies; only the used length is written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/result.h"
#include "core/dirty_map.h"
#include "core/types.h"
#include "store/intent_map.h"

namespace cleat::store {

inline constexpr uint32_t kCatalogMagic = 0x54434c43;  // "CLCT"
inline constexpr uint32_t kCatalogVersion = 1;
inline constexpr size_t kRecordBytesMax = 64 * kKiB;

struct CatalogLayer {
  uint32_t id = 0;
  uint32_t parent = 0;
  VolumeId volume;
  SnapshotId snapshot;
  bool frozen = false;
  bool deleting = false;
};

struct CatalogVolume {
  VolumeId volume;
  uint64_t size_blocks = 0;
  Epoch epoch;
  Generation generation;
  uint64_t unknown_as_of = 0;
  uint32_t top = 0;
  bool recent_lost = false;
  std::string record;
  std::vector<ZoneRun> intents;
  std::vector<core::DirtyRun> dirty;
  std::vector<core::RecentWrite> recent;  // only after an orderly close
};

struct CatalogImage {
  uint64_t count = 0;             // number of this image: the higher of two valid copies counts
  uint64_t applied_sequence = 0;  // notes of journal batches up to this one are in it
  uint32_t next_layer = 1;
  std::vector<CatalogLayer> layers;
  std::vector<CatalogVolume> volumes;
};

// A whole number of blocks.
AlignedBuffer encode_catalog(const CatalogImage& image, uint64_t salt);
// Bytes of the image that begins with this block, as its header has it; 0: there is none.
uint64_t catalog_length(ConstBuffer block, uint64_t salt);
// kCorrupt: none, damaged or senseless. kUnsupported: another version.
Result<CatalogImage> decode_catalog(ConstBuffer bytes, uint64_t salt);

}  // namespace cleat::store
