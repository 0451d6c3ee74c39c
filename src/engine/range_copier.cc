#include "engine/range_copier.h"

#include <xxhash.h>

#include <algorithm>

#include "io/task_group.h"

namespace cleat::engine {
namespace {

// Equal blocks between different ones that are read, not written, with them: cheaper than a call.
constexpr uint32_t kJoinBlocks = 4;

bool all_zero(ConstBuffer data) {
  return std::ranges::all_of(data, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

// What each side holds of a job's range.
struct RangeCopier::Sides {
  Digests source;
  Digests target;
  io::PooledBuffer data;     // the source's blocks, when they were read first
  Result<void> target_seen;  // whether `target` is known
  uint64_t copied = 0;       // bytes
  uint64_t first = 0;        // of the range

  bool differ(uint64_t block) const { return source[block - first] != target[block - first]; }
  // The next run of blocks that differ, in which up to `join` equal ones are taken along; empty at
  // the end.
  BlockRange next_difference(uint64_t from, uint64_t limit, uint32_t join) const {
    while (from < limit && !differ(from)) ++from;
    uint64_t end = from;
    for (uint64_t at = from; at < limit && at <= end + join; ++at) {
      if (differ(at)) end = at + 1;
    }
    return BlockRange{from, static_cast<uint32_t>(end - from)};
  }
};

io::Task<Result<void>> RangeCopier::digests(core::MemberIndex member, SnapshotId view,
                                            BlockRange range, Digests& out) {
  wire::Header request;
  request.type = wire::Type::kDigest;
  request.range = range;
  request.snapshot = view;
  MutableBuffer into(reinterpret_cast<std::byte*>(out.data()), range.count * sizeof(uint64_t));
  CO_TRY(co_await members_.call(member, request, {}, into));
  co_return Result<void>{};
}

io::Task<Result<void>> RangeCopier::read(const CopyJob& job, BlockRange range, MutableBuffer into) {
  wire::Header request;
  request.type = wire::Type::kRead;
  request.range = range;
  request.snapshot = job.view;
  CO_TRY(co_await members_.call(job.source, request, {}, into));
  co_return Result<void>{};
}

io::Task<void> RangeCopier::look_at_target(const CopyJob& job, Sides& sides) {
  sides.target_seen = co_await digests(job.target, SnapshotId{}, job.range, sides.target);
}

io::Task<Result<void>> RangeCopier::look_at_source(const CopyJob& job, Sides& sides) {
  if (!job.read_first) co_return co_await digests(job.source, job.view, job.range, sides.source);
  sides.data = buffers_.take(job.range.bytes());
  CO_TRY(co_await read(job, job.range, sides.data.span()));
  for (uint32_t i = 0; i < job.range.count; ++i) {
    sides.source[i] = XXH3_64bits(sides.data.data() + i * kBlockSize, kBlockSize);
  }
  co_return Result<void>{};
}

io::Task<tl::expected<uint64_t, CopyFailure>> RangeCopier::run(CopyJob job) {
  Sides sides;
  sides.first = job.range.first;
  io::TaskGroup target;
  target.spawn(look_at_target(job, sides));
  auto source_seen = co_await look_at_source(job, sides);
  co_await target.close();
  if (!source_seen) co_return tl::unexpected(CopyFailure{source_seen.error(), job.source});
  if (!sides.target_seen) {
    co_return tl::unexpected(CopyFailure{sides.target_seen.error(), job.target});
  }
  uint64_t end = job.range.end();
  BlockRange span = sides.next_difference(job.range.first, end, kJoinBlocks);
  while (span.count > 0) {
    auto done = co_await copy_span(job, span, sides);
    if (!done) co_return tl::unexpected(done.error());
    span = sides.next_difference(span.end(), end, kJoinBlocks);
  }
  co_return sides.copied;
}

// Reads the span at once, writes what differs in it, and compares all of it.
io::Task<tl::expected<void, CopyFailure>> RangeCopier::copy_span(const CopyJob& job,
                                                                 BlockRange span, Sides& sides) {
  uint64_t offset = span.first - sides.first;
  io::PooledBuffer own;
  ConstBuffer data;
  if (sides.data.empty()) {
    own = buffers_.take(span.bytes());
    auto done = co_await read(job, span, own.span());
    if (!done) co_return tl::unexpected(CopyFailure{done.error(), job.source});
    data = own.span();
  } else {
    data = sides.data.span().subspan(offset * kBlockSize, span.bytes());
  }
  auto written = co_await put_differences(job, span, data, sides);
  if (!written) co_return tl::unexpected(CopyFailure{written.error(), job.target});
  Digests again;
  auto seen = co_await digests(job.target, SnapshotId{}, span, again);
  if (!seen) co_return tl::unexpected(CopyFailure{seen.error(), job.target});
  if (!std::equal(again.begin(), again.begin() + span.count, sides.source.begin() + offset)) {
    Error differs{Code::kCorrupt, 0, "the replica does not hold what was copied to it"};
    co_return tl::unexpected(CopyFailure{differs, job.target});
  }
  co_return tl::expected<void, CopyFailure>{};
}

io::Task<Result<void>> RangeCopier::put_differences(const CopyJob& job, BlockRange span,
                                                    ConstBuffer data, Sides& sides) {
  BlockRange run = sides.next_difference(span.first, span.end(), 0);
  while (run.count > 0) {
    CO_TRY(
        co_await put(job, run, data.subspan((run.first - span.first) * kBlockSize, run.bytes())));
    sides.copied += run.bytes();
    run = sides.next_difference(run.end(), span.end(), 0);
  }
  co_return Result<void>{};
}

// Zeros stay holes: a copy of a thin volume is thin.
io::Task<Result<void>> RangeCopier::put(const CopyJob& job, BlockRange run, ConstBuffer data) {
  wire::Header request;
  request.range = run;
  request.generation = job.generation;
  bool zeros = all_zero(data);
  request.type = zeros ? wire::Type::kZero : wire::Type::kWrite;
  ConstBuffer payload = zeros ? ConstBuffer{} : data;
  CO_TRY(co_await members_.call(job.target, request, payload, {}));
  co_return Result<void>{};
}

}  // namespace cleat::engine
