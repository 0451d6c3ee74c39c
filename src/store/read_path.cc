#include "store/read_path.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "store/pool_core.h"
#include "store/write_path.h"

namespace cleat::store {
namespace {

// Neighbours on the device and in the buffer.
struct Segment {
  uint64_t offset = 0;
  uint32_t buffer_block = 0;
  uint32_t count = 0;
  Result<void> done;
};
using Segments = absl::InlinedVector<Segment, 2>;

void add_blocks(PoolCore& pool, Segments& segments, uint32_t slot, uint32_t bits,
                uint64_t base_block) {
  while (bits != 0) {
    auto first = static_cast<uint32_t>(std::countr_zero(bits));
    auto count = static_cast<uint32_t>(std::countr_one(bits >> first));
    uint64_t offset = pool.geometry.extent_offset(slot) + first * kBlockSize;
    segments.push_back({offset, static_cast<uint32_t>(base_block + first), count, {}});
    bits &= count == 32 ? 0 : ~(((1U << count) - 1) << first);
  }
}

// `base_block` is the buffer's block for the extent's block 0; it may be "negative", and wraps.
void resolve_extent(PoolCore& pool, const Layer* layer, uint32_t logical, uint32_t need,
                    uint64_t base_block, Segments& segments) {
  for (; layer != nullptr && need != 0; layer = layer->parent) {
    if (uint32_t slot = layer->extents.find(logical); slot != kNoSlot) {
      add_blocks(pool, segments, slot, pool.table[slot].bits & need, base_block);
      need &= ~pool.table[slot].bits;
    }
    if (uint32_t slot = layer->holes.find(logical); slot != kNoSlot) need &= ~pool.table[slot].bits;
  }
}

void merge_neighbours(Segments& segments) {
  std::sort(segments.begin(), segments.end(),
            [](const Segment& a, const Segment& b) { return a.buffer_block < b.buffer_block; });
  size_t kept = 0;
  for (size_t i = 1; i < segments.size(); ++i) {
    Segment& last = segments[kept];
    if (last.buffer_block + last.count == segments[i].buffer_block &&
        last.offset + last.count * kBlockSize == segments[i].offset) {
      last.count += segments[i].count;
    } else {
      segments[++kept] = segments[i];
    }
  }
  if (!segments.empty()) segments.resize(kept + 1);
}

// What no segment fills.
void zero_gaps(const Segments& segments, BlockRange range, MutableBuffer into) {
  uint32_t at = 0;
  for (const Segment& segment : segments) {
    std::memset(into.data() + at * kBlockSize, 0, (segment.buffer_block - at) * kBlockSize);
    at = segment.buffer_block + segment.count;
  }
  std::memset(into.data() + at * kBlockSize, 0, (range.count - at) * kBlockSize);
}

io::Task<void> read_segment(io::Disk& disk, Segment& segment, MutableBuffer into) {
  MutableBuffer part = into.subspan(segment.buffer_block * kBlockSize, segment.count * kBlockSize);
  segment.done = co_await disk.read(segment.offset, part);
}

io::Task<void> read_segments(io::Disk& disk, Segments& segments, MutableBuffer into) {
  if (segments.size() == 1) {
    co_await read_segment(disk, segments[0], into);
    co_return;
  }
  io::TaskGroup group;
  for (Segment& segment : segments) group.spawn(read_segment(disk, segment, into));
  co_await group.close();
}

}  // namespace

io::Task<Result<void>> read_blocks(PoolCore& pool, const Layer& layer, BlockRange range,
                                   MutableBuffer into) {
  Segments segments;
  for (uint32_t logical = extent_of(range.first); logical <= extent_of(range.end() - 1);
       ++logical) {
    uint64_t base = uint64_t{logical} * kBlocksPerExtent - range.first;
    resolve_extent(pool, &layer, logical, mask_in(range, logical), base, segments);
  }
  if (segments.size() > 1) merge_neighbours(segments);
  zero_gaps(segments, range, into);
  if (segments.empty()) co_return Result<void>{};
  uint64_t period = pool.reads.begin();
  co_await read_segments(*pool.disk, segments, into);
  pool.reads.end(period);
  for (const Segment& segment : segments) CO_TRY(segment.done);
  co_return Result<void>{};
}

}  // namespace cleat::store
