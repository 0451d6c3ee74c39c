// Bringing a replica that is behind into the in-sync set (R8).
//
//   1. fence it; give it the snapshots it lacks, oldest first, each as its top and then frozen;
//   2. from now on it gets every new write;
//   3. each region that may differ is compared by digests, and copied, with its writes held;
//   4. flush it; the metadata transaction lets it in.
//
// Whatever ends it early leaves the replica behind with its dirty regions; the next attempt
// compares digests first, so what is equal by then is not copied again.
#include <algorithm>

#include "common/log.h"
#include "engine/volume.h"
#include "wire/codec.h"

namespace cleat::engine {
namespace {

constexpr Duration kResyncRetry = 500ms;
constexpr size_t kResyncWorkers = 4;

std::vector<uint64_t> sorted_union(std::vector<uint64_t> a, const std::vector<uint64_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  std::ranges::sort(a);
  auto repeated = std::ranges::unique(a);
  a.erase(repeated.begin(), repeated.end());
  return a;
}

}  // namespace

io::Task<void> Volume::resync_loop() {
  while (!ending()) {
    for (core::MemberIndex member : membership_.set().behind()) {
      if (ending()) break;
      auto result = co_await resync(member);
      resync_progress_.member = core::kNoMember;
      if (result) continue;
      LOG_INFO("volume {}: resync of replica {}: {}", record().id.value, member,
               to_string(result.error()));
    }
    TimePoint again = context_.executor.now() + kResyncRetry;
    while (!ending() && context_.executor.now() < again) {
      co_await ticked_.wait();
    }
  }
}

io::Task<Result<void>> Volume::resync(core::MemberIndex member) {
  CO_TRY_ASSIGN(FenceAnswer target, co_await members_.fence(member, kSilenceMax));
  if (!membership_.set().behind().contains(member)) co_return Result<void>{};
  resync_progress_ = ResyncProgress{};
  resync_progress_.member = member;
  resync_progress_.started = context_.executor.now();
  const core::ReplicaRecord* replica = record().find(member);
  resync_progress_.rebuild = replica->state == core::ReplicaState::kNew;
  LOG_INFO("volume {}: {} of replica {} begins", record().id.value,
           resync_progress_.rebuild ? "rebuild" : "resync", member);
  // What it lost or holds beside the others is in the dirty maps; its list starts anew.
  wire::Header clear;
  clear.type = wire::Type::kClearRecent;
  CO_TRY(co_await members_.call(member, clear, {}, {}));
  if (target.size_blocks < record().size_blocks) {
    wire::Header grow;
    grow.type = wire::Type::kResize;
    grow.range.first = record().size_blocks;
    CO_TRY(co_await members_.call(member, grow, {}, {}));
  }
  std::vector<core::SnapshotRecord> snapshots = record().snapshots;
  CO_TRY(co_await resync_snapshots(member, target));
  if (layers_changing_ > 0 || record().snapshots != snapshots) {
    co_return fail(Code::kBusy, "snapshots were taken or deleted meanwhile");
  }
  if (ending() || !membership_.set().behind().contains(member)) {
    co_return fail(Code::kCancelled, "the volume ends, or the replica was taken out");
  }
  membership_.set().begin_sync(member);
  auto result = co_await resync_top(member);
  if (!result) {
    membership_.failed(member, result.error());
    co_return result;
  }
  LOG_INFO("volume {}: replica {} compared {} MiB, copied {} KiB", record().id.value, member,
           resync_progress_.total_bytes / kMiB, resync_progress_.copied_bytes / kKiB);
  co_return Result<void>{};
}

// Snapshots that were deleted or taken while it was away. A snapshot is made by turning the
// replica's top into its content and freezing that, so it gets no new writes yet.
io::Task<Result<void>> Volume::resync_snapshots(core::MemberIndex member,
                                                const FenceAnswer& target) {
  for (SnapshotId held : target.snapshots) {
    auto known = [held](const core::SnapshotRecord& s) { return s.id == held; };
    if (std::ranges::any_of(record().snapshots, known)) continue;
    wire::Header request;
    request.type = wire::Type::kDeleteSnapshot;
    request.snapshot = held;
    CO_TRY(co_await members_.call(member, request, {}, {}, kSnapshotTimeout));
  }
  std::optional<SnapshotId> base;
  const std::vector<core::SnapshotRecord> wanted = record().snapshots;
  for (const core::SnapshotRecord& snapshot : wanted) {
    if (std::ranges::find(target.snapshots, snapshot.id) != target.snapshots.end()) {
      base = snapshot.id;
      continue;
    }
    CO_TRY_ASSIGN(std::vector<uint64_t> regions,
                  co_await regions_to_sync(member, snapshot.id, base));
    core::MemberIndex source = read_source({});
    for (uint64_t region : regions) {
      BlockRange range = region_range(region);
      if (range.count == 0) continue;
      CopyJob job{source, member, snapshot.id, range, membership_.clock().current(), true};
      auto copied = co_await copier_.run(job);
      if (!copied) co_return fail(copied.error().error);
      resync_progress_.copied_bytes += *copied;
    }
    wire::Header freeze;
    freeze.type = wire::Type::kFreeze;
    freeze.snapshot = snapshot.id;
    CO_TRY(co_await members_.call(member, freeze, {}, {}, kSnapshotTimeout));
    base = snapshot.id;
  }
  co_return Result<void>{};
}

// The regions of `view` that may differ from the member's top. Stale: dirty since it left, by the
// source's map and by its own. New: what the source holds above `base`, the newest snapshot the
// member has.
io::Task<Result<std::vector<uint64_t>>> Volume::regions_to_sync(core::MemberIndex member,
                                                                SnapshotId view,
                                                                std::optional<SnapshotId> base) {
  const core::ReplicaRecord* replica = record().find(member);
  core::MemberIndex source = read_source({});
  if (replica == nullptr || source == core::kNoMember) {
    co_return fail(Code::kUnreachable, "no replica in sync to copy from");
  }
  Generation left_at = replica->left_at;
  bool rebuild = replica->state == core::ReplicaState::kNew;
  // Its own map: writes that reached only it, and those of an attempt that was cut short.
  CO_TRY_ASSIGN(std::vector<uint64_t> own,
                co_await members_.regions(member, wire::Type::kDirtyRegions, left_at));
  std::vector<uint64_t> theirs;
  if (rebuild) {
    CO_TRY_ASSIGN(theirs, co_await changed_regions(source, view, base));
  } else {
    CO_TRY_ASSIGN(theirs, co_await members_.regions(source, wire::Type::kDirtyRegions, left_at));
  }
  co_return sorted_union(std::move(own), theirs);
}

io::Task<Result<std::vector<uint64_t>>> Volume::changed_regions(core::MemberIndex source,
                                                                SnapshotId view,
                                                                std::optional<SnapshotId> base) {
  std::vector<uint64_t> regions;
  std::array<std::byte, sizeof(uint64_t)> bytes{};
  ConstBuffer payload;
  if (base) {
    wire::Writer writer(bytes);
    writer.u64(base->value);
    payload = bytes;
  }
  wire::Header request;
  request.type = wire::Type::kNextChanged;
  request.snapshot = view;
  for (;;) {
    request.range.count = kBlocksPerZone;
    CO_TRY_ASSIGN(wire::Header reply, co_await members_.call(source, request, payload, {}));
    if (reply.range.count == 0) co_return regions;
    uint64_t first = reply.range.first / kBlocksPerRegion;
    uint64_t last = (reply.range.end() - 1) / kBlocksPerRegion;
    for (uint64_t region = first; region <= last; ++region) regions.push_back(region);
    // The rest of the last region is copied with it.
    request.range.first = (last + 1) * kBlocksPerRegion;
  }
}

io::Task<Result<void>> Volume::resync_top(core::MemberIndex member) {
  std::optional<SnapshotId> base;
  if (!record().snapshots.empty()) base = record().snapshots.back().id;
  CO_TRY_ASSIGN(std::vector<uint64_t> regions,
                co_await regions_to_sync(member, SnapshotId{}, base));
  resync_progress_.total_bytes = regions.size() * kRegionSize;
  Result<void> result;
  size_t next = 0;
  io::TaskGroup workers;
  for (size_t i = 0; i < kResyncWorkers; ++i) {
    workers.spawn(resync_worker(member, regions, next, result));
  }
  co_await workers.close();
  CO_TRY(result);
  wire::Header flush;
  flush.type = wire::Type::kFlush;
  CO_TRY(co_await members_.call(member, flush, {}, {}));
  co_return co_await membership_.join(member);
}

io::Task<void> Volume::resync_worker(core::MemberIndex member, const std::vector<uint64_t>& regions,
                                     size_t& next, Result<void>& result) {
  while (result && next < regions.size()) {
    uint64_t region = regions[next++];
    auto done = co_await resync_region(member, region);
    if (!done) result = done;
    resync_progress_.done_bytes += kRegionSize;
    uint64_t limit = context_.resync_bytes_per_second_max;
    if (limit == 0) continue;
    auto due = Duration(static_cast<int64_t>(static_cast<double>(resync_progress_.done_bytes) *
                                             1e9 / static_cast<double>(limit)));
    co_await context_.executor.sleep_until(resync_progress_.started + due);
  }
}

io::Task<Result<void>> Volume::resync_region(core::MemberIndex member, uint64_t region) {
  BlockRange range = region_range(region);
  if (range.count == 0) co_return Result<void>{};
  CO_TRY_ASSIGN(OperationGate::Id id, co_await gate_.enter(core::OperationKind::kCopy, range));
  gate_.start(id, {});
  Result<void> result;
  bool wanted = !ending() && membership_.set().syncing().contains(member);
  core::MemberIndex source = read_source({});
  if (!wanted || source == core::kNoMember) {
    result = fail(Code::kCancelled, "the replica failed, or there is none to copy from");
  } else {
    CopyJob job{source, member, SnapshotId{}, range, membership_.clock().current(), true};
    auto copied = co_await copier_.run(job);
    if (copied) resync_progress_.copied_bytes += *copied;
    if (!copied) result = fail(copied.error().error);
    if (!copied && copied.error().member == source) {
      membership_.failed(source, copied.error().error);
    }
  }
  gate_.leave(id);
  co_return result;
}

}  // namespace cleat::engine
