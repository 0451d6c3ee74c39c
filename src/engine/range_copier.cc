#include "engine/range_copier.h"

#include <algorithm>

namespace cleat::engine {
namespace {

bool all_zero(ConstBuffer data) {
  return std::ranges::all_of(data, [](std::byte b) { return b == std::byte{0}; });
}

// The next run of blocks at or after `from` that differ; empty at the end.
BlockRange next_difference(const RangeCopier::Digests& a, const RangeCopier::Digests& b,
                           BlockRange range, uint32_t from) {
  while (from < range.count && a[from] == b[from]) ++from;
  uint32_t end = from;
  while (end < range.count && a[end] != b[end]) ++end;
  return BlockRange{range.first + from, end - from};
}

}  // namespace

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

io::Task<tl::expected<uint64_t, CopyFailure>> RangeCopier::run(CopyJob job) {
  uint64_t copied = 0;
  Digests source;
  Digests target;
  auto read = co_await digests(job.source, job.view, job.range, source);
  if (!read) co_return tl::unexpected(CopyFailure{read.error(), job.source});
  if (job.compare) {
    auto seen = co_await digests(job.target, SnapshotId{}, job.range, target);
    if (!seen) co_return tl::unexpected(CopyFailure{seen.error(), job.target});
  } else {
    std::ranges::transform(source, target.begin(), [](uint64_t digest) { return ~digest; });
  }
  BlockRange run = next_difference(source, target, job.range, 0);
  if (run.count == 0) co_return copied;
  while (run.count > 0) {
    auto done = co_await copy_run(job, run);
    if (!done) co_return tl::unexpected(done.error());
    copied += *done;
    auto next = static_cast<uint32_t>(run.end() - job.range.first);
    run = next_difference(source, target, job.range, next);
  }
  auto again = co_await digests(job.target, SnapshotId{}, job.range, target);
  if (!again) co_return tl::unexpected(CopyFailure{again.error(), job.target});
  if (!std::equal(source.begin(), source.begin() + job.range.count, target.begin())) {
    Error differs{Code::kCorrupt, 0, "the replica does not hold what was copied to it"};
    co_return tl::unexpected(CopyFailure{differs, job.target});
  }
  co_return copied;
}

io::Task<tl::expected<uint64_t, CopyFailure>> RangeCopier::copy_run(const CopyJob& job,
                                                                    BlockRange run) {
  io::PooledBuffer data = buffers_.take(run.bytes());
  wire::Header request;
  request.type = wire::Type::kRead;
  request.range = run;
  request.snapshot = job.view;
  auto read = co_await members_.call(job.source, request, {}, data.span());
  if (!read) co_return tl::unexpected(CopyFailure{read.error(), job.source});
  auto written = co_await put(job, run, data.span());
  if (!written) co_return tl::unexpected(CopyFailure{written.error(), job.target});
  co_return run.bytes();
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
