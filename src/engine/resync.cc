// Bringing a replica that is behind into the in-sync set (R8).
//
//   1. fence it; give it the snapshots it lacks, oldest first, each as its top and then frozen;
//   2. from now on it gets every new write;
//   3. each range that may differ is compared by digests, and copied, with its writes held;
//   4. raise the generation and flush all; the metadata transaction lets it in.
//
// With 4 its next absence begins at a generation of its own: what was dirty in this one is not
// asked for again, and when every replica is in sync it is forgotten.
// Whatever ends it early leaves the replica behind with its dirty regions; the next attempt
// compares digests first, so what is equal by then is not copied again.
#include <algorithm>

#include "common/log.h"
#include "core/resync_plan.h"
#include "engine/volume.h"
#include "wire/codec.h"

namespace cleat::engine {
namespace {

constexpr Duration kResyncRetry = 500ms;
// Side by side: enough small ranges to hide the way to the replica, few enough bytes not to stand
// in the way of writes.
constexpr size_t kCopyWorkers = 32;
constexpr uint64_t kCopyBytesMax = 2 * kMiB;
constexpr Duration kThrottleStep = 100ms;

}  // namespace

// One view of the source being copied to a member's top.
struct Volume::Copying {
  Copying(io::Executor& executor, core::MemberIndex to, SnapshotId of, core::ResyncPlan what)
      : member(to), view(of), plan(std::move(what)), room(executor) {}

  core::MemberIndex member;
  SnapshotId view;  // none: the top, with the writes to what is copied held
  core::ResyncPlan plan;
  uint64_t bytes_in_flight = 0;
  io::WaitQueue room;
  Result<void> result;
};

io::Task<void> Volume::resync_loop() {
  while (!ending()) {
    // Before the first attempt, too: who opens a volume only to fence a lost node lets it go at
    // once, and would wait for an attempt to reach that node.
    TimePoint again = context_.executor.now() + kResyncRetry;
    while (!ending() && context_.executor.now() < again) {
      co_await ticked_.wait();
    }
    for (core::MemberIndex member : membership_.set().behind()) {
      if (ending()) break;
      auto result = co_await resync(member);
      resync_progress_.member = core::kNoMember;
      if (result) resync_problems_[member].clear();
      if (!result) resync_failed(member, result.error());
    }
  }
}

// Twice a second while a node is away: said once.
void Volume::resync_failed(core::MemberIndex member, Error error) {
  std::string problem = to_string(error);
  if (problem == resync_problems_[member]) {
    LOG_DEBUG("volume {}: resync of replica {}: {}", record().id.value, member, problem);
    return;
  }
  LOG_INFO("volume {}: resync of replica {}: {}", record().id.value, member, problem);
  resync_problems_[member] = std::move(problem);
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
  uint64_t size_blocks = record().size_blocks;
  std::vector<core::SnapshotRecord> snapshots = record().snapshots;
  if (target.size_blocks < size_blocks) {
    wire::Header grow;
    grow.type = wire::Type::kResize;
    grow.range.first = size_blocks;
    CO_TRY(co_await members_.call(member, grow, {}, {}));
  }
  CO_TRY(co_await resync_snapshots(member, target));
  bool changed = record().snapshots != snapshots || record().size_blocks != size_blocks;
  if (layers_changing_ || changed) {
    co_return fail(Code::kBusy, "the volume's snapshots or its size were changed meanwhile");
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
  co_return Result<void>{};
}

// Snapshots that were deleted or taken while it was away. A snapshot is made by turning the
// replica's top into its content and freezing that, so it gets no new writes yet.
io::Task<Result<void>> Volume::resync_snapshots(core::MemberIndex member,
                                                const FenceAnswer& target) {
  CO_TRY_ASSIGN(std::vector<SnapshotId> kept, co_await keep_snapshots(member, target));
  std::optional<SnapshotId> base;
  const std::vector<core::SnapshotRecord> wanted = record().snapshots;
  for (const core::SnapshotRecord& snapshot : wanted) {
    if (std::ranges::find(kept, snapshot.id) != kept.end()) {
      base = snapshot.id;
      continue;
    }
    CO_TRY_ASSIGN(DirtyRegions regions, co_await regions_to_sync(member, snapshot.id, base));
    CO_TRY(co_await copy_regions(member, snapshot.id, std::move(regions)));
    wire::Header freeze;
    freeze.type = wire::Type::kFreeze;
    freeze.snapshot = snapshot.id;
    CO_TRY(co_await members_.call(member, freeze, {}, {}, kSnapshotTimeout));
    rebuilt_snapshots_[member].push_back(snapshot.id);
    base = snapshot.id;
  }
  co_return Result<void>{};
}

// Takes away what it should not have, and what it froze under a snapshot's id in an attempt that
// the others repeated without it.
io::Task<Result<std::vector<SnapshotId>>> Volume::keep_snapshots(core::MemberIndex member,
                                                                 const FenceAnswer& target) {
  const core::ReplicaRecord* replica = record().find(member);
  if (replica == nullptr) co_return fail(Code::kNotFound, "the replica was taken out");
  Generation left_at = replica->left_at;
  std::vector<SnapshotId> kept;
  for (SnapshotId held : target.snapshots) {
    auto known = [held](const core::SnapshotRecord& s) { return s.id == held; };
    auto listed = std::ranges::find_if(record().snapshots, known);
    const std::vector<SnapshotId>& rebuilt = rebuilt_snapshots_[member];
    bool right = listed != record().snapshots.end() &&
                 (left_at > listed->taken_at || std::ranges::find(rebuilt, held) != rebuilt.end());
    if (right) {
      kept.push_back(held);
      continue;
    }
    wire::Header request;
    request.type = wire::Type::kDeleteSnapshot;
    request.snapshot = held;
    CO_TRY(co_await members_.call(member, request, {}, {}, kSnapshotTimeout));
  }
  co_return kept;
}

// A replica in sync whose dirty map goes back so far; none: only what they hold can be compared.
core::MemberIndex Volume::complete_source(Generation since) {
  core::MemberIndex found = core::kNoMember;
  for (core::MemberIndex member : membership_.set().healthy()) {
    const core::ReplicaRecord* replica = record().find(member);
    if (replica == nullptr || replica->complete_from > since) continue;
    if (found == core::kNoMember || member == local_member()) found = member;
  }
  return found;
}

// The pieces of `view` that may differ from the member's top. The top of a stale one: dirty since
// it left, by the source's map and by its own. Else, or when no map goes back so far: what the two
// hold beside `base`, the newest snapshot that the member has. Both ways: what one has above the
// base the other may lack, and after a restore the base has what the top lacks.
io::Task<Result<Volume::DirtyRegions>> Volume::regions_to_sync(core::MemberIndex member,
                                                               SnapshotId view,
                                                               std::optional<SnapshotId> base) {
  const core::ReplicaRecord* replica = record().find(member);
  core::MemberIndex source = read_source({});
  if (replica == nullptr || source == core::kNoMember) {
    co_return fail(Code::kUnreachable, "no replica in sync to copy from");
  }
  Generation left_at = replica->left_at;
  // Maps tell of the top alone: of a snapshot they lack what was written after it and forgotten
  // since, because all replicas had it.
  bool by_maps = view == SnapshotId{} && replica->state != core::ReplicaState::kNew;
  core::MemberIndex mapped = by_maps ? complete_source(left_at) : core::kNoMember;
  // Its own map: writes that reached only it, and those of an attempt that was cut short.
  CO_TRY_ASSIGN(DirtyRegions regions, co_await members_.dirty_regions(member, left_at));
  if (mapped != core::kNoMember) {
    CO_TRY_ASSIGN(DirtyRegions theirs, co_await members_.dirty_regions(mapped, left_at));
    co_return core::dirty_union(regions, theirs);
  }
  CO_TRY_ASSIGN(DirtyRegions above, co_await changed_regions(source, view, base));
  regions = core::dirty_union(regions, above);
  CO_TRY_ASSIGN(DirtyRegions own, co_await changed_regions(member, SnapshotId{}, base));
  regions = core::dirty_union(regions, own);
  if (base) {
    CO_TRY_ASSIGN(DirtyRegions below, co_await changed_regions(source, *base, view));
    regions = core::dirty_union(regions, below);
    CO_TRY_ASSIGN(DirtyRegions hidden, co_await changed_regions(member, *base, SnapshotId{}));
    regions = core::dirty_union(regions, hidden);
  }
  co_return regions;
}

// Whole pieces from the first change in a region on: a question for each run in it would cost more
// than reading what was never written.
io::Task<Result<Volume::DirtyRegions>> Volume::changed_regions(core::MemberIndex source,
                                                               SnapshotId view,
                                                               std::optional<SnapshotId> base) {
  DirtyRegions regions;
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
    if (reply.range.first < request.range.first) {
      co_return fail(Code::kCorrupt, "a list of changed blocks goes back");
    }
    uint64_t last = (reply.range.end() - 1) / kBlocksPerRegion;
    uint64_t end = (last + 1) * kBlocksPerRegion;
    BlockRange changed{reply.range.first, static_cast<uint32_t>(end - reply.range.first)};
    for (uint64_t region = changed.first / kBlocksPerRegion; region <= last; ++region) {
      regions.push_back({region, core::pieces_in(region, changed)});
    }
    request.range.first = end;
  }
}

io::Task<Result<void>> Volume::resync_top(core::MemberIndex member) {
  // Writes that were under way when it began to get them may be missing there, and in the maps too.
  co_await gate_.everywhere(gate_.last_seq());
  std::optional<SnapshotId> base;
  if (!record().snapshots.empty()) base = record().snapshots.back().id;
  CO_TRY_ASSIGN(DirtyRegions regions, co_await regions_to_sync(member, SnapshotId{}, base));
  CO_TRY(co_await copy_regions(member, SnapshotId{}, std::move(regions)));
  Duration taken = context_.executor.now() - resync_progress_.started;
  LOG_INFO("volume {}: replica {} compared {} KiB, copied {} KiB in {} ms", record().id.value,
           member, resync_progress_.total_bytes / kKiB, resync_progress_.copied_bytes / kKiB,
           taken / 1ms);
  CO_TRY(co_await settle_generation());
  CO_TRY(co_await membership_.join(member));
  co_await forget_stable();
  co_return Result<void>{};
}

io::Task<Result<void>> Volume::copy_regions(core::MemberIndex member, SnapshotId view,
                                            DirtyRegions regions) {
  core::ResyncPlan plan(std::move(regions), record().size_blocks);
  resync_progress_.total_bytes += plan.total_bytes();
  Copying copying(context_.executor, member, view, std::move(plan));
  io::TaskGroup workers;
  for (size_t i = 0; i < kCopyWorkers; ++i) workers.spawn(copy_worker(copying));
  co_await workers.close();
  co_return copying.result;
}

io::Task<void> Volume::copy_worker(Copying& copying) {
  while (copying.result) {
    std::optional<BlockRange> range = copying.plan.next();
    if (!range) co_return;
    while (copying.bytes_in_flight + range->bytes() > kCopyBytesMax) co_await copying.room.wait();
    if (!copying.result) co_return;
    copying.bytes_in_flight += range->bytes();
    auto done = co_await copy_held(copying, *range);
    copying.bytes_in_flight -= range->bytes();
    copying.room.notify_all();
    if (!done) copying.result = done;
    resync_progress_.done_bytes += range->bytes();
    co_await throttle();
  }
}

io::Task<void> Volume::throttle() {
  uint64_t limit = context_.resync_bytes_per_second_max;
  if (limit == 0) co_return;
  auto due = Duration(static_cast<int64_t>(static_cast<double>(resync_progress_.done_bytes) * 1e9 /
                                           static_cast<double>(limit)));
  TimePoint until = resync_progress_.started + due;
  while (!ending() && context_.executor.now() < until) {
    co_await context_.executor.sleep_until(
        std::min(until, context_.executor.now() + kThrottleStep));
  }
}

// A snapshot is never written; the top is, but for what is held.
io::Task<Result<void>> Volume::copy_held(Copying& copying, BlockRange range) {
  if (copying.view != SnapshotId{}) co_return co_await copy_range(copying, range);
  CO_TRY_ASSIGN(OperationGate::Id id, co_await gate_.enter(core::OperationKind::kCopy, range));
  gate_.start(id, {});
  auto result = co_await copy_range(copying, range);
  gate_.leave(id);
  co_return result;
}

io::Task<Result<void>> Volume::copy_range(Copying& copying, BlockRange range) {
  const core::InSyncSet& set = membership_.set();
  bool top = copying.view == SnapshotId{};
  bool wanted = (top ? set.syncing() : set.behind()).contains(copying.member);
  core::MemberIndex source = read_source({});
  if (ending() || !wanted || source == core::kNoMember) {
    co_return fail(Code::kCancelled, "the replica failed, or there is none to copy from");
  }
  CopyJob job;
  job.source = source;
  job.target = copying.member;
  job.view = copying.view;
  job.range = range;
  job.generation = membership_.clock().current();
  job.read_first = resync_progress_.rebuild;
  auto copied = co_await copier_.run(job);
  if (copied) {
    resync_progress_.copied_bytes += *copied;
    co_return Result<void>{};
  }
  // A snapshot that was deleted meanwhile is nobody's failure.
  bool deleted = !top && copied.error().error.code == Code::kNotFound;
  if (copied.error().member == source && !deleted) {
    membership_.failed(source, copied.error().error);
  }
  co_return fail(copied.error().error);
}

}  // namespace cleat::engine
