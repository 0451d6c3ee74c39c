// Makes a range of one member equal to another's: digests are compared by block, what differs is
// copied, and what was copied is compared again (R8, R9).
//
// Threading: the volume's loop. The caller sees to it that nothing writes to the range meanwhile.
#pragma once

#include <array>

#include "engine/members.h"
#include "io/buffer_pool.h"

namespace cleat::engine {

// The longest range of one call: one region.
inline constexpr uint32_t kCopyBlocksMax = kBlocksPerRegion;

struct CopyJob {
  core::MemberIndex source = core::kNoMember;
  core::MemberIndex target = core::kNoMember;
  SnapshotId view;        // what is read at the source: a snapshot, or the top; the target's top is
                          // what is written
  BlockRange range;       // at most kCopyBlocksMax
  Generation generation;  // stamped on the target's dirty map
  // Most of the range is expected to differ: the source's blocks are read at once, and their
  // digests made here, instead of asking it for digests first.
  bool read_first = false;
};

// Which side failed, so that the caller knows whom to blame.
struct CopyFailure {
  Error error;
  core::MemberIndex member = core::kNoMember;
};

class RangeCopier {
 public:
  RangeCopier(Members& members, io::BufferPool& buffers) : members_(members), buffers_(buffers) {}

  // Bytes copied.
  io::Task<tl::expected<uint64_t, CopyFailure>> run(CopyJob job);
  // Digests of the blocks of a range, one 64-bit XXH3 each.
  using Digests = std::array<uint64_t, kCopyBlocksMax>;
  io::Task<Result<void>> digests(core::MemberIndex member, SnapshotId view, BlockRange range,
                                 Digests& out);

 private:
  struct Sides;
  io::Task<void> look_at_target(const CopyJob& job, Sides& sides);
  io::Task<Result<void>> look_at_source(const CopyJob& job, Sides& sides);
  io::Task<Result<void>> read(const CopyJob& job, BlockRange range, MutableBuffer into);
  io::Task<tl::expected<void, CopyFailure>> copy_span(const CopyJob& job, BlockRange span,
                                                      Sides& sides);
  io::Task<Result<void>> put_differences(const CopyJob& job, BlockRange span, ConstBuffer data,
                                         Sides& sides);
  io::Task<Result<void>> put(const CopyJob& job, BlockRange run, ConstBuffer data);

  Members& members_;
  io::BufferPool& buffers_;
};

}  // namespace cleat::engine
