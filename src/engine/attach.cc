// Taking a volume over (R3, R5, R7): core/attach_rules.h is the checklist, this works through it.
#include <algorithm>
#include <array>

#include "common/log.h"
#include "core/attach_rules.h"
#include "engine/volume.h"

namespace cleat::engine {
namespace {

constexpr int kAttemptsMax = 8;
constexpr Duration kFenceInterval = 100ms;
// A member that refuses connections may be restarting; one that is cut off answers nothing at all.
// With another's answer in hand this is how long either is waited for, without any the longer time:
// also when all who answered lost the power, so that only a silent one may have every write that
// was acknowledged and not flushed.
constexpr Duration kFencePatience = 1500ms;
constexpr Duration kFencePatienceAlone = 15s;

struct Raised {
  VersionedRecord record;
  core::PreviousAttach previous;
};

// The transaction of R3.
io::Task<Result<Raised>> raise_epoch(VolumeContext& context, VolumeId volume,
                                     AttachRequest request) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    CO_TRY_ASSIGN(VersionedRecord seen, co_await context.registry.load(volume));
    const core::VolumeRecord& before = seen.record;
    bool elsewhere = before.primary != NodeId{} && before.primary != context.self;
    if (elsewhere && !request.take_over) {
      co_return fail(Code::kBusy, "the volume is attached on another node");
    }
    Raised raised;
    raised.previous.detached = before.primary == NodeId{} && before.clean;
    raised.previous.opened = before.opened == before.epoch;
    raised.previous.stopped = before.primary == context.self && request.earlier_process;
    core::VolumeRecord next = before;
    next.epoch = before.epoch.next();
    next.primary = context.self;
    next.clean = false;
    auto stored = co_await context.registry.compare_and_store(seen.revision, next);
    if (stored) {
      raised.record = VersionedRecord{std::move(next), *stored};
      co_return raised;
    }
    if (stored.error().code == Code::kConflict) continue;
    // The answer was lost, or the change was: the record tells.
    CO_TRY_ASSIGN(VersionedRecord found, co_await context.registry.load(volume));
    if (found.record != next) co_return fail(stored.error());
    raised.record = std::move(found);
    co_return raised;
  }
  co_return fail(Code::kConflict, "other changes of the volume kept coming first; try again");
}

}  // namespace

io::Task<Result<std::unique_ptr<Volume>>> Volume::attach(VolumeContext context, VolumeId volume,
                                                         AttachRequest request) {
  CO_TRY_ASSIGN(Raised raised, co_await raise_epoch(context, volume, request));
  std::unique_ptr<Volume> attached(new Volume(std::move(context), std::move(raised.record)));
  auto opened = co_await attached->open(raised.previous);
  if (!opened) {
    co_await attached->stop();
    co_return fail(opened.error());
  }
  co_return attached;
}

io::Task<Result<void>> Volume::open(core::PreviousAttach previous) {
  members_.set_epoch(record().id, record().epoch);
  members_.adopt(record());
  group_.spawn(membership_.run());
  CO_TRY_ASSIGN(std::vector<FenceAnswer> answers, co_await fence_members());
  TimePoint fenced_at = context_.executor.now();
  CO_TRY(co_await remove_unfenced(answers));
  // From here on heartbeats notice a member that goes silent: what it is asked for below may take
  // long.
  group_.spawn(tick());

  std::vector<core::FenceReply> replies;
  for (const FenceAnswer& answer : answers) replies.push_back(answer.reply);
  TimePoint lease_over = core::lease_over_at(previous, replies, fenced_at);
  if (lease_over > context_.executor.now()) co_await context_.executor.sleep_until(lease_over);

  Generation first = core::first_generation(record(), replies);
  membership_.clock() = core::GenerationClock(first, record().generation);
  wire::Header generation;
  generation.type = wire::Type::kSetGeneration;
  generation.generation = membership_.clock().current();
  CO_TRY(co_await on_all(membership_.set().healthy(), generation));
  CO_TRY(co_await make_equal(answers));
  // A member that failed meanwhile was not made equal: it leaves by what was stable before.
  CO_TRY(co_await removals_done());
  membership_.clock().flushed(first);
  equal_ = true;
  wire::Header clear;
  clear.type = wire::Type::kClearRecent;
  CO_TRY(co_await on_all(membership_.set().healthy(), clear));
  for (const FenceAnswer& answer : answers) {
    CO_TRY(co_await adjust_member(answer.reply.member, answer));
  }
  if (record().restoring != SnapshotId{}) CO_TRY(co_await finish_restore());
  if (gate_.aborted()) co_return fail(*gate_.aborted());

  Epoch epoch = record().epoch;
  Membership::Change opened = [epoch, first](core::VolumeRecord& next) -> Result<void> {
    next.opened = epoch;
    next.generation = first;  // members in sync are equal below it
    return {};
  };
  CO_TRY(co_await membership_.update(std::move(opened)));
  group_.spawn(resync_loop());
  LOG_INFO("volume {} attached at epoch {}, {} of {} replicas in sync", record().id.value,
           epoch.value, membership_.set().healthy().count(), record().replicas.size());
  co_return Result<void>{};
}

io::Task<void> Volume::fence_until(core::MemberIndex member, TimePoint give_up_at,
                                   std::vector<FenceAnswer>& answers, std::optional<Error>& error) {
  for (;;) {
    auto answer = co_await members_.fence(member, kSilenceMax);
    if (answer) {
      answers.push_back(*std::move(answer));
      co_return;
    }
    error = answer.error();
    TimePoint now = context_.executor.now();
    bool any_whole = std::ranges::any_of(
        answers, [](const FenceAnswer& given) { return !given.reply.recent_lost; });
    TimePoint limit = any_whole ? give_up_at - kFencePatienceAlone + kFencePatience : give_up_at;
    bool final_answer = error->code == Code::kStaleEpoch || error->code == Code::kNotFound ||
                        error->code == Code::kPermission || error->code == Code::kUnsupported;
    if (final_answer || gate_.aborted() || now >= limit) co_return;
    co_await context_.executor.sleep(kFenceInterval);
  }
}

io::Task<Result<std::vector<FenceAnswer>>> Volume::fence_members() {
  core::MemberSet in_sync = membership_.set().in_sync();
  std::vector<FenceAnswer> answers;
  std::array<std::optional<Error>, 32> errors;
  TimePoint give_up_at = context_.executor.now() + kFencePatienceAlone;
  io::TaskGroup fences;
  for (core::MemberIndex member : in_sync) {
    fences.spawn(fence_until(member, give_up_at, answers, errors[member]));
  }
  co_await fences.close();
  core::MemberSet answered;
  for (const FenceAnswer& answer : answers) answered.add(answer.reply.member);
  for (core::MemberIndex member : in_sync - answered) {
    if (errors[member]->code != Code::kStaleEpoch) continue;
    co_return fail(Code::kStaleEpoch,
                   "R11: a replica knows a higher epoch than the metadata; a later attach won, or "
                   "etcd was restored from an older backup: see cluster rebuild-metadata");
  }
  if (answers.empty()) co_return fail(Code::kUnreachable, "R3: no replica in sync answered");
  co_return answers;
}

io::Task<Result<void>> Volume::remove_unfenced(const std::vector<FenceAnswer>& answers) {
  core::MemberSet answered;
  for (const FenceAnswer& answer : answers) answered.add(answer.reply.member);
  Error silent{Code::kUnreachable, 0, "it did not answer the fence"};
  for (core::MemberIndex member : membership_.set().healthy() - answered) {
    membership_.failed(member, silent);
  }
  co_return co_await removals_done();
}

io::Task<Result<void>> Volume::removals_done() {
  while (!membership_.set().leaving().empty()) {
    if (gate_.aborted()) co_return fail(*gate_.aborted());
    co_await membership_.changes().wait();
  }
  if (gate_.aborted()) co_return fail(*gate_.aborted());
  co_return Result<void>{};
}

io::Task<Result<void>> Volume::make_equal(const std::vector<FenceAnswer>& answers) {
  std::vector<core::FenceReply> replies;
  for (const FenceAnswer& answer : answers) {
    if (membership_.set().healthy().contains(answer.reply.member)) replies.push_back(answer.reply);
  }
  core::ReconcilePlan plan = core::reconcile_plan(replies, local_member());
  if (!plan.rewrite.empty() || !plan.compare_regions.empty()) {
    LOG_INFO("volume {}: takeover from replica {}: {} ranges rewritten, {} regions compared",
             record().id.value, plan.source, plan.rewrite.size(), plan.compare_regions.size());
  }
  uint64_t size = record().size_blocks;
  for (BlockRange range : plan.rewrite) {
    if (range.first >= size) continue;
    // A replica that lists its writes coarsely may list more than the volume has.
    range.count = static_cast<uint32_t>(std::min<uint64_t>(range.count, size - range.first));
    CO_TRY(co_await reconcile_region(plan, range));
  }
  for (uint64_t region : plan.compare_regions) {
    BlockRange range = region_range(region);
    if (range.count > 0) CO_TRY(co_await reconcile_region(plan, range));
  }
  co_return Result<void>{};
}

io::Task<Result<void>> Volume::reconcile_region(const core::ReconcilePlan& plan, BlockRange range) {
  for (core::MemberIndex target : plan.targets & membership_.set().healthy()) {
    CopyJob job;
    job.source = plan.source;
    job.target = target;
    job.range = range;
    job.generation = membership_.clock().current();
    auto done = co_await copier_.run(job);
    if (done) continue;
    if (done.error().member == plan.source) co_return fail(done.error().error);
    membership_.failed(target, done.error().error);
    CO_TRY(co_await removals_done());
  }
  co_return Result<void>{};
}

// What an interrupted snapshot, deletion or growth left behind is put right.
io::Task<Result<void>> Volume::adjust_member(core::MemberIndex member, const FenceAnswer& answer) {
  if (!membership_.set().healthy().contains(member)) co_return Result<void>{};
  wire::Header request;
  if (answer.size_blocks < record().size_blocks) {
    request.type = wire::Type::kResize;
    request.range.first = record().size_blocks;
    core::MemberSet alone;
    alone.add(member);
    CO_TRY(co_await on_all(alone, request));
  }
  for (SnapshotId snapshot : answer.snapshots) {
    auto known = [snapshot](const core::SnapshotRecord& s) { return s.id == snapshot; };
    if (std::ranges::any_of(record().snapshots, known)) continue;
    group_.spawn(forget_snapshot(member, snapshot));
  }
  if (gate_.aborted()) co_return fail(*gate_.aborted());
  co_return Result<void>{};
}

}  // namespace cleat::engine
