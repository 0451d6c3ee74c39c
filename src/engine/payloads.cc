#include "engine/payloads.h"

#include <algorithm>
#include <set>

#include "wire/codec.h"

namespace cleat::engine {
namespace {

constexpr size_t kFenceFixedBytes = 1 + 8 + 8 + 8 + 4 + 4;
constexpr size_t kRecentBytes = 8 + 8 + 4;
constexpr size_t kDirtyBytes = 8 + 8;
constexpr size_t kUnansweredBytes = 8 + 8 + 4;
constexpr uint64_t kRegionsMax = UINT64_MAX / kBlocksPerRegion;

}  // namespace

std::vector<core::RecentWrite> coarse_recent(std::vector<core::RecentWrite> recent,
                                             size_t count_max) {
  Seq newest;
  for (const core::RecentWrite& write : recent) newest = std::max(newest, write.seq);
  uint64_t span = kBlocksPerRegion;
  while (recent.size() > count_max) {
    std::set<uint64_t> spans;
    for (const core::RecentWrite& write : recent) {
      if (write.range.count == 0) continue;
      for (uint64_t at = write.range.first / span; at <= (write.range.end() - 1) / span; ++at) {
        spans.insert(at);
      }
    }
    recent.clear();
    for (uint64_t at : spans) {
      recent.push_back({newest, BlockRange{at * span, static_cast<uint32_t>(span)}});
    }
    span *= 2;
  }
  return recent;
}

std::vector<std::byte> encode_fence(const FenceAnswer& answer) {
  const core::FenceReply& reply = answer.reply;
  std::vector<std::byte> bytes(kFenceFixedBytes + reply.recent.size() * kRecentBytes +
                               answer.snapshots.size() * sizeof(uint64_t));
  wire::Writer writer(bytes);
  writer.u8(reply.recent_lost ? 1 : 0);
  writer.u64(reply.generation.value);
  writer.u64(static_cast<uint64_t>(reply.quiet_for.count()));
  writer.u64(answer.size_blocks);
  writer.u32(static_cast<uint32_t>(reply.recent.size()));
  writer.u32(static_cast<uint32_t>(answer.snapshots.size()));
  for (const core::RecentWrite& write : reply.recent) {
    writer.u64(write.seq.value);
    writer.u64(write.range.first);
    writer.u32(write.range.count);
  }
  for (SnapshotId snapshot : answer.snapshots) writer.u64(snapshot.value);
  return bytes;
}

Result<FenceAnswer> decode_fence(ConstBuffer bytes) {
  wire::Reader reader(bytes);
  FenceAnswer answer;
  TRY_ASSIGN(uint8_t lost, reader.u8());
  TRY_ASSIGN(uint64_t generation, reader.u64());
  TRY_ASSIGN(uint64_t quiet_ns, reader.u64());
  TRY_ASSIGN(answer.size_blocks, reader.u64());
  TRY_ASSIGN(uint32_t recent_count, reader.u32());
  TRY_ASSIGN(uint32_t snapshot_count, reader.u32());
  // No clock and no counter gets there: what is computed with them must not overflow.
  if (quiet_ns > UINT64_MAX / 4 || generation > UINT64_MAX / 4) {
    return fail(Code::kCorrupt, "a fence's answer with a number that can't be");
  }
  answer.reply.recent_lost = lost != 0;
  answer.reply.generation = Generation(generation);
  answer.reply.quiet_for = Duration(static_cast<int64_t>(quiet_ns));
  for (uint32_t i = 0; i < recent_count; ++i) {
    TRY_ASSIGN(uint64_t seq, reader.u64());
    TRY_ASSIGN(uint64_t first, reader.u64());
    TRY_ASSIGN(uint32_t count, reader.u32());
    answer.reply.recent.push_back({Seq(seq), BlockRange{first, count}});
  }
  for (uint32_t i = 0; i < snapshot_count; ++i) {
    TRY_ASSIGN(uint64_t snapshot, reader.u64());
    answer.snapshots.push_back(SnapshotId(snapshot));
  }
  TRY(reader.finish());
  return answer;
}

std::vector<std::byte> encode_dirty(const std::vector<core::DirtyRegion>& regions) {
  std::vector<std::byte> bytes(regions.size() * kDirtyBytes);
  wire::Writer writer(bytes);
  for (const core::DirtyRegion& dirty : regions) {
    writer.u64(dirty.region);
    writer.u64(dirty.pieces);
  }
  return bytes;
}

Result<std::vector<core::DirtyRegion>> decode_dirty(ConstBuffer bytes) {
  if (bytes.size() % kDirtyBytes != 0) {
    return fail(Code::kCorrupt, "a list of dirty regions of odd length");
  }
  std::vector<core::DirtyRegion> regions(bytes.size() / kDirtyBytes);
  wire::Reader reader(bytes);
  uint64_t least = 0;
  for (core::DirtyRegion& dirty : regions) {
    TRY_ASSIGN(dirty.region, reader.u64());
    TRY_ASSIGN(dirty.pieces, reader.u64());
    if (dirty.region < least || dirty.region >= kRegionsMax || dirty.pieces == 0) {
      return fail(Code::kCorrupt, "a list of dirty regions out of order, or with an empty one");
    }
    least = dirty.region + 1;
  }
  return regions;
}

std::vector<std::byte> encode_unanswered(const std::vector<core::UnansweredChange>& changes) {
  std::vector<std::byte> bytes(changes.size() * kUnansweredBytes);
  wire::Writer writer(bytes);
  for (const core::UnansweredChange& change : changes) {
    writer.u64(change.number);
    writer.u64(change.range.first);
    writer.u32(change.range.count);
  }
  return bytes;
}

Result<std::vector<core::UnansweredChange>> decode_unanswered(ConstBuffer bytes) {
  if (bytes.size() > kUnansweredMax * kUnansweredBytes) {
    return fail(Code::kLimit, "a sharer with too many changes without an answer");
  }
  wire::Reader reader(bytes);
  std::vector<core::UnansweredChange> changes;
  while (reader.remaining() > 0) {
    core::UnansweredChange change;
    TRY_ASSIGN(change.number, reader.u64());
    TRY_ASSIGN(change.range.first, reader.u64());
    TRY_ASSIGN(change.range.count, reader.u32());
    if (change.range.first > UINT64_MAX - change.range.count) {
      return fail(Code::kCorrupt, "a change of a sharer over a range that overflows");
    }
    changes.push_back(change);
  }
  return changes;
}

std::vector<std::byte> encode_numbers(const std::vector<uint64_t>& numbers) {
  std::vector<std::byte> bytes(numbers.size() * sizeof(uint64_t));
  wire::Writer writer(bytes);
  for (uint64_t number : numbers) writer.u64(number);
  return bytes;
}

Result<std::vector<uint64_t>> decode_numbers(ConstBuffer bytes) {
  if (bytes.size() % sizeof(uint64_t) != 0) return fail(Code::kCorrupt, "a list of odd length");
  std::vector<uint64_t> numbers(bytes.size() / sizeof(uint64_t));
  wire::Reader reader(bytes);
  uint64_t least = 0;
  for (uint64_t& number : numbers) {
    TRY_ASSIGN(number, reader.u64());
    if (number < least || number >= kRegionsMax) {
      return fail(Code::kCorrupt, "a list of numbers out of order");
    }
    least = number + 1;
  }
  return numbers;
}

}  // namespace cleat::engine
