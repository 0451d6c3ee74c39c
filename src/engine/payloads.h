// Payloads of the messages that carry more than the header (docs/protocol.md).
#pragma once

#include <cstddef>
#include <vector>

#include "common/buffer.h"
#include "common/result.h"
#include "core/attach_rules.h"
#include "core/dirty_map.h"
#include "core/share_table.h"

namespace cleat::engine {

// What a replica answers to a fence. reply.member and reply.intent_regions are not sent.
struct FenceAnswer {
  core::FenceReply reply;
  uint64_t size_blocks = 0;
  std::vector<SnapshotId> snapshots;  // oldest first
};

// Lists of regions go in pages of at most this many.
inline constexpr size_t kRegionsPerPage = 65536;

// Recent writes that a fence's answer lists at most: it has to fit into one frame.
inline constexpr size_t kRecentWritesMax = 65536;
// The list, or when it is longer than `count_max` one that covers it in coarser ranges: whole
// aligned spans of blocks, as small as will do. What a takeover compares is then more than it
// needs, and never less (R7).
std::vector<core::RecentWrite> coarse_recent(std::vector<core::RecentWrite> recent,
                                             size_t count_max);

std::vector<std::byte> encode_fence(const FenceAnswer& answer);
Result<FenceAnswer> decode_fence(ConstBuffer bytes);

std::vector<std::byte> encode_dirty(const std::vector<core::DirtyRegion>& regions);
// kCorrupt for a list that is not sorted, or has a region without pieces.
Result<std::vector<core::DirtyRegion>> decode_dirty(ConstBuffer bytes);

// Changes of a sharer at most in one join.
inline constexpr size_t kUnansweredMax = 65536;
std::vector<std::byte> encode_unanswered(const std::vector<core::UnansweredChange>& changes);
// kLimit for more than kUnansweredMax.
Result<std::vector<core::UnansweredChange>> decode_unanswered(ConstBuffer bytes);

std::vector<std::byte> encode_numbers(const std::vector<uint64_t>& numbers);
// kCorrupt for a list that is not sorted.
Result<std::vector<uint64_t>> decode_numbers(ConstBuffer bytes);

}  // namespace cleat::engine
