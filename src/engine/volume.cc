#include "engine/volume.h"

#include <algorithm>

#include "common/log.h"

namespace cleat::engine {
namespace {

constexpr Duration kTickInterval = 100ms;
constexpr Duration kStabilizeInterval = 3s;

}  // namespace

Volume::Volume(VolumeContext context, VersionedRecord record)
    : context_(std::move(context)),
      gate_(context_.executor),
      write_hold_(context_.executor, gate_),
      members_(context_.executor, gate_, context_.make_member),
      membership_(context_.executor, context_.registry, gate_, members_, std::move(record)),
      copier_(members_, context_.buffers),
      ticked_(context_.executor),
      unused_(context_.executor) {}

Volume::~Volume() = default;

uint64_t Volume::size_bytes() const { return record().size_blocks * kBlockSize; }

core::MemberIndex Volume::local_member() const {
  for (const core::ReplicaRecord& replica : record().replicas) {
    if (replica.node == context_.self) return replica.index;
  }
  return core::kNoMember;
}

BlockRange Volume::region_range(uint64_t region) const {
  uint64_t first = region * kBlocksPerRegion;
  uint64_t size = record().size_blocks;
  uint64_t count = first >= size ? 0 : std::min<uint64_t>(kBlocksPerRegion, size - first);
  return BlockRange{first, static_cast<uint32_t>(count)};
}

io::Task<void> Volume::tick() {
  TimePoint stabilize_at = context_.executor.now() + kStabilizeInterval;
  while (!stopping_) {
    if (gate_.aborted()) {
      members_.give_up_silent(kSilenceMax);
      ticked_.notify_all();
      co_await context_.executor.sleep(kTickInterval);
      continue;
    }
    TimePoint now = context_.executor.now();
    write_hold_.expire(now);
    core::MemberSet members = membership_.set().in_sync() | membership_.set().syncing();
    for (core::MemberIndex member : members_.lease().heartbeat_due(members, now) - heartbeats_) {
      group_.spawn(heartbeat(member));
    }
    // Also when the set has changed: the next absence is to begin with a generation of its own.
    const core::GenerationClock& clock = membership_.clock();
    bool unstable = gate_.last_seq() != stabilized_ || clock.stable_from() != clock.current();
    if (now >= stabilize_at && unstable && !stabilizing_) {
      stabilize_at = now + kStabilizeInterval;
      group_.spawn(stabilize());
    }
    ticked_.notify_all();
    co_await context_.executor.sleep(kTickInterval);
  }
  ticked_.notify_all();
}

io::Task<void> Volume::heartbeat(core::MemberIndex member) {
  heartbeats_.add(member);
  wire::Header request;
  request.type = wire::Type::kHeartbeat;
  auto answer = co_await members_.call(member, request, {}, {}, kSilenceMax);
  bool whole = answer.has_value();
  if (!whole && answer.error().code == Code::kNotInSync) whole = co_await fence_again(member);
  heartbeats_.remove(member);  // the next may begin only now: one at a time, whatever it waits for
  if (whole) {
    ticked_.notify_all();
    co_return;
  }
  Error error = answer.error();
  // Silence: whatever else waits for this member waits for the same.
  if (error.code == Code::kTimedOut) members_.give_up(member);
  membership_.failed(member, error);
}

io::Task<void> Volume::stabilize() {
  stabilizing_ = true;
  co_await stabilize_once();
  stabilizing_ = false;
}

io::Task<void> Volume::stabilize_once() {
  core::MemberSet before = membership_.set().in_sync();
  auto settled = co_await settle_generation();
  if (settled && membership_.set().in_sync() == before) co_await forget_stable();
}

// What is stable need not be remembered when every replica is in sync (R9).
io::Task<void> Volume::forget_stable() {
  core::MemberSet in_sync = membership_.set().healthy();
  if (in_sync.count() != static_cast<int>(record().replicas.size())) co_return;
  wire::Header request;
  request.type = wire::Type::kForgetDirty;
  request.generation = membership_.clock().stable_from();
  auto forgotten = co_await on_all(in_sync, request);
  if (!forgotten) LOG_INFO("volume {}: dirty maps keep more than they need", record().id.value);
}

// Raises the generation; the older ones are stable once their writes are complete and flushed by
// every member in sync, and by the one that is being synced.
io::Task<Result<void>> Volume::settle_generation() {
  Seq covered = gate_.last_seq();
  Generation raised = membership_.clock().raise();
  co_await gate_.everywhere(covered);
  CO_TRY(co_await flush_members());
  membership_.clock().flushed(raised);
  stabilized_ = std::max(stabilized_, covered);
  co_return Result<void>{};
}

// A member that fails leaves the set (R9); `result` is the error of one that can't.
io::Task<void> Volume::tell(core::MemberIndex member, wire::Header request, Result<void>& result) {
  for (;;) {
    auto reply = co_await members_.call(member, request, {}, {}, kSnapshotTimeout);
    if (reply) co_return;
    Error final_error{};
    Answered outcome = co_await answered(member, reply.error(), final_error);
    if (outcome == Answered::kYes) continue;
    if (outcome == Answered::kError) result = fail(final_error);
    co_return;
  }
}

// Sends one request to each and waits for all.
io::Task<Result<void>> Volume::on_all(core::MemberSet members, wire::Header request) {
  Result<void> result;
  io::TaskGroup told;
  for (core::MemberIndex member : members) told.spawn(tell(member, request, result));
  co_await told.close();
  if (gate_.aborted()) co_return fail(*gate_.aborted());
  co_return result;
}

io::Task<Result<void>> Volume::detach() {
  Result<void> result;
  detaching_ = true;
  co_await gate_.drained();
  if (!gate_.aborted()) result = co_await flush_members();
  if (result && !gate_.aborted()) {
    wire::Header request;
    request.type = wire::Type::kClearRecent;
    result = co_await on_all(membership_.set().healthy(), request);
  }
  if (result) {
    Generation generation = membership_.clock().current();
    Membership::Change detached = [generation](core::VolumeRecord& record) -> Result<void> {
      record.primary = NodeId{};
      record.clean = true;
      record.generation = generation;
      return {};
    };
    result = co_await membership_.update(std::move(detached));
  }
  co_await stop();
  co_return result;
}

io::Task<void> Volume::stop() {
  stopping_ = true;
  gate_.abort(Error{Code::kClosed, 0, "the volume was detached"});
  membership_.stop();
  ticked_.notify_all();
  for (const core::ReplicaRecord& replica : record().replicas) {
    if (replica.node != context_.self) members_.give_up(replica.index);
  }
  co_await group_.close();
  while (users_ > 0) co_await unused_.wait();
  co_await gate_.drained();
}

VolumeStatus Volume::status() {
  VolumeStatus status;
  status.in_sync = membership_.set().healthy();
  status.unreachable = membership_.set().leaving() | membership_.set().behind();
  status.resync = resync_progress_;
  status.now = context_.executor.now();
  status.in_flight = gate_.in_flight();
  if (gate_.aborted()) {
    status.stalled = gate_.aborted()->what;
  } else if (stalled_ > 0) {
    status.stalled = "the last replica in sync does not answer";
  } else if (!membership_.set().leaving().empty()) {
    status.stalled = *membership_.problem() != '\0' ? membership_.problem()
                                                    : "a failed replica is being taken out";
  }
  return status;
}

}  // namespace cleat::engine
