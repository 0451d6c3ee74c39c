// What changes a whole volume: snapshots, size, replicas; and the check that replicas are equal.
#include <xxhash.h>

#include <algorithm>

#include "common/log.h"
#include "engine/volume.h"

namespace cleat::engine {
namespace {

constexpr size_t kSnapshotsMax = 1024;
// A change of the layers that finds no moment without a write under way fails, and lets the others
// go on.
constexpr Duration kHoldMax = 5s;

bool has_snapshot(const core::VolumeRecord& record, SnapshotId id) {
  auto same = [id](const core::SnapshotRecord& s) { return s.id == id; };
  return std::ranges::any_of(record.snapshots, same);
}

}  // namespace

// One change of the layers or of the size at a time.
io::Task<Result<void>> Volume::layers_unchanged() {
  while (layers_changing_) {
    if (gate_.aborted()) co_return fail(*gate_.aborted());
    co_await ticked_.wait();
  }
  co_return Result<void>{};
}

// A replica that is being synced would get the layers wrong: it waits for the next attempt. Writes
// wait until the gate is released.
io::Task<Result<void>> Volume::begin_layers_change(const char* why) {
  layers_changing_ = true;
  for (core::MemberIndex member : membership_.set().syncing()) {
    membership_.failed(member, Error{Code::kCancelled, 0, why});
  }
  auto held = co_await gate_.hold(context_.executor.now() + kHoldMax);
  if (!held) layers_changing_ = false;
  co_return held;
}

io::Task<Result<void>> Volume::snapshot(core::SnapshotRecord snapshot) {
  Use use(*this);
  CO_TRY(co_await layers_unchanged());
  if (has_snapshot(record(), snapshot.id)) co_return Result<void>{};
  if (record().snapshots.size() >= kSnapshotsMax) {
    co_return fail(Code::kLimit, "a volume has at most 1024 snapshots: delete some first");
  }
  CO_TRY(co_await begin_layers_change("a snapshot is being taken"));
  snapshot.size_blocks = record().size_blocks;
  auto taken = co_await freeze_members(snapshot.id);
  // Who failed is leaving, and gets no generation that is stable: its left_at is no higher.
  snapshot.taken_at = membership_.clock().current();
  membership_.clock().raise();
  // What is written from here on is above it. The record may wait for metadata that is away.
  gate_.release();
  if (taken) taken = co_await list_snapshot(std::move(snapshot));
  layers_changing_ = false;
  co_return taken;
}

// What an earlier attempt froze under this id, or one whose answer was lost, is an older state or
// the same one: it is merged and frozen again.
io::Task<void> Volume::freeze_member(core::MemberIndex member, SnapshotId snapshot,
                                     Result<void>& result) {
  wire::Header request;
  request.snapshot = snapshot;
  for (;;) {
    request.type = wire::Type::kFreeze;  // a flush: writes wait for it no longer than for that
    auto reply = co_await members_.call(member, request, {}, {});
    if (reply) co_return;
    if (reply.error().code == Code::kAlreadyExists) {
      request.type = wire::Type::kDeleteSnapshot;
      reply = co_await members_.call(member, request, {}, {}, kSnapshotTimeout);
      if (reply || reply.error().code == Code::kNotFound) continue;
    }
    Error final_error{};
    Answered outcome = co_await answered(member, reply.error(), final_error);
    if (outcome == Answered::kYes) continue;
    if (outcome == Answered::kError) result = fail(final_error);
    co_return;
  }
}

io::Task<Result<void>> Volume::freeze_members(SnapshotId snapshot) {
  Result<void> result;
  io::TaskGroup freezes;
  for (core::MemberIndex member : membership_.set().healthy()) {
    freezes.spawn(freeze_member(member, snapshot, result));
  }
  co_await freezes.close();
  if (gate_.aborted()) co_return fail(*gate_.aborted());
  co_return result;
}

io::Task<Result<void>> Volume::list_snapshot(core::SnapshotRecord snapshot) {
  CO_TRY(co_await removals_done());
  Membership::Change add = [taken = std::move(snapshot)](core::VolumeRecord& next) -> Result<void> {
    if (!has_snapshot(next, taken.id)) next.snapshots.push_back(taken);
    return {};
  };
  co_return co_await membership_.update(std::move(add));
}

io::Task<Result<void>> Volume::delete_snapshot(SnapshotId snapshot) {
  Use use(*this);
  CO_TRY(co_await layers_unchanged());
  Membership::Change take_off = [snapshot](core::VolumeRecord& next) -> Result<void> {
    if (next.restoring == snapshot) {
      return fail(Code::kBusy, "the snapshot is being restored");
    }
    std::erase_if(next.snapshots, [snapshot](const auto& s) { return s.id == snapshot; });
    return {};
  };
  CO_TRY(co_await membership_.update(std::move(take_off)));
  wire::Header request;
  request.type = wire::Type::kDeleteSnapshot;
  request.snapshot = snapshot;
  for (core::MemberIndex member : membership_.set().healthy()) {
    auto deleted = co_await members_.call(member, request, {}, {}, kSnapshotTimeout);
    if (deleted || deleted.error().code == Code::kNotFound) continue;
    if (deleted.error().code == Code::kBusy) co_return fail(deleted.error());
    Error final_error{};
    Answered outcome = co_await answered(member, deleted.error(), final_error);
    if (outcome == Answered::kError) co_return fail(final_error);
    // It is back after a break: what it still holds of the snapshot goes in the background.
    if (outcome == Answered::kYes) group_.spawn(forget_snapshot(member, snapshot));
  }
  co_return Result<void>{};
}

// A snapshot that the record does not have. One that stays only takes room, until the next attach.
io::Task<void> Volume::forget_snapshot(core::MemberIndex member, SnapshotId snapshot) {
  wire::Header request;
  request.type = wire::Type::kDeleteSnapshot;
  request.snapshot = snapshot;
  auto deleted = co_await members_.call(member, request, {}, {}, kSnapshotTimeout);
  if (deleted || deleted.error().code == Code::kNotFound) co_return;
  LOG_INFO("volume {}: replica {} keeps snapshot {} for now: {}", record().id.value, member,
           snapshot.value, to_string(deleted.error()));
}

// The record says so first: a replica that has done it and one that has not differ everywhere, so
// that whoever attaches after a crash finishes it.
io::Task<Result<void>> Volume::restore(SnapshotId snapshot) {
  Use use(*this);
  CO_TRY(co_await layers_unchanged());
  if (!has_snapshot(record(), snapshot)) co_return fail(Code::kNotFound, "no such snapshot");
  CO_TRY(co_await begin_layers_change("a snapshot is being restored"));
  Membership::Change mark = [snapshot](core::VolumeRecord& next) -> Result<void> {
    if (!has_snapshot(next, snapshot)) return fail(Code::kNotFound, "no such snapshot");
    next.restoring = snapshot;
    return {};
  };
  auto restored = co_await membership_.update(std::move(mark));
  bool begun = restored.has_value();
  if (begun) restored = co_await finish_restore();
  if (begun && !restored) {
    gate_.abort(Error{Code::kIoError, 0,
                      "a restore failed half-way: detach, and attach again, which finishes it"});
  }
  gate_.release();
  layers_changing_ = false;
  co_return restored;
}

io::Task<Result<void>> Volume::finish_restore() {
  wire::Header request;
  request.type = wire::Type::kRestore;
  request.snapshot = record().restoring;
  CO_TRY(co_await on_all(membership_.set().healthy(), request));
  CO_TRY(co_await removals_done());
  // What was away can't tell from its dirty map what a restore changed: it is rebuilt.
  Membership::Change done = [](core::VolumeRecord& next) -> Result<void> {
    next.restoring = SnapshotId{};
    for (core::ReplicaRecord& replica : next.replicas) {
      if (replica.state != core::ReplicaState::kInSync) replica.state = core::ReplicaState::kNew;
    }
    return {};
  };
  co_return co_await membership_.update(std::move(done));
}

io::Task<Result<void>> Volume::resize(uint64_t size_blocks) {
  Use use(*this);
  CO_TRY(co_await layers_unchanged());
  if (size_blocks < record().size_blocks) {
    co_return fail(Code::kInvalidArgument, "a volume can't be made smaller");
  }
  // A replica that began to sync now would be let in with the size that it was asked for before.
  layers_changing_ = true;
  auto grown = co_await grow(size_blocks);
  layers_changing_ = false;
  co_return grown;
}

io::Task<Result<void>> Volume::grow(uint64_t size_blocks) {
  wire::Header request;
  request.type = wire::Type::kResize;
  request.range.first = size_blocks;
  CO_TRY(co_await on_all(membership_.set().healthy() | membership_.set().syncing(), request));
  CO_TRY(co_await removals_done());
  Membership::Change larger = [size_blocks](core::VolumeRecord& next) -> Result<void> {
    next.size_blocks = std::max(next.size_blocks, size_blocks);
    return {};
  };
  co_return co_await membership_.update(std::move(larger));
}

io::Task<Result<void>> Volume::add_replica(core::ReplicaRecord replica) {
  Use use(*this);
  replica.state = core::ReplicaState::kNew;
  replica.left_at = Generation{};
  Membership::Change add = [replica](core::VolumeRecord& next) -> Result<void> {
    const core::ReplicaRecord* known = next.find(replica.index);
    if (known != nullptr && known->node == replica.node && known->pool == replica.pool) return {};
    if (known != nullptr) return fail(Code::kAlreadyExists, "the replica's index is taken");
    if (next.replicas.size() >= core::kReplicasMax) {
      return fail(Code::kLimit, "a volume has at most 3 replicas, and one more while one moves");
    }
    next.replicas.push_back(replica);
    return {};
  };
  // What an earlier replica of this index was given is not in this one.
  bool fresh = record().find(replica.index) == nullptr;
  if (fresh && replica.index < rebuilt_snapshots_.size()) rebuilt_snapshots_[replica.index].clear();
  co_return co_await membership_.update(std::move(add));
}

io::Task<Result<void>> Volume::remove_replica(core::MemberIndex member, uint32_t in_sync_left_min) {
  Use use(*this);
  Membership::Change remove = [this, member,
                               in_sync_left_min](core::VolumeRecord& next) -> Result<void> {
    const core::ReplicaRecord* known = next.find(member);
    if (known == nullptr) return {};
    core::MemberSet others = membership_.set().staying() - core::MemberSet{member};
    if (others.empty()) {
      return fail(Code::kConflict, "it is the last replica in sync: add another first");
    }
    if (static_cast<uint32_t>(others.count()) < in_sync_left_min) {
      return fail(Code::kConflict, "too few of the others are in sync now: wait until more are");
    }
    // Until the record holds, the others must not leave one after the other (R10).
    membership_.set().begin_removal(member);
    std::erase_if(next.replicas, [member](const auto& r) { return r.index == member; });
    return {};
  };
  auto removed = co_await membership_.update(std::move(remove));
  membership_.set().end_removal(member);
  co_return removed;
}

io::Task<Result<void>> Volume::admit_sharer(NodeId node) {
  Use use(*this);
  Membership::Change admit = [node](core::VolumeRecord& next) -> Result<void> {
    if (next.has_sharer(node)) return {};
    if (next.sharers.size() >= core::kSharersMax) {
      return fail(Code::kLimit, "the shared volume is attached on as many nodes as it may be");
    }
    next.sharers.push_back(node);
    return {};
  };
  co_return co_await membership_.update(std::move(admit));
}

io::Task<Result<void>> Volume::expel_sharer(NodeId node) {
  Use use(*this);
  Membership::Change expel = [node](core::VolumeRecord& next) -> Result<void> {
    std::erase(next.sharers, node);
    return {};
  };
  co_return co_await membership_.update(std::move(expel));
}

io::Task<Result<CheckReport>> Volume::check() {
  Use use(*this);
  CheckReport report;
  std::vector<uint64_t> regions;
  core::MemberSet members = membership_.set().healthy();
  for (core::MemberIndex member : members) {
    CO_TRY_ASSIGN(DirtyRegions held, co_await changed_regions(member, SnapshotId{}, {}));
    for (const core::DirtyRegion& dirty : held) regions.push_back(dirty.region);
    report.replicas.push_back(ReplicaDigest{member, 0, {}});
  }
  std::ranges::sort(regions);
  auto repeated = std::ranges::unique(regions);
  regions.erase(repeated.begin(), repeated.end());
  auto digests = std::make_unique<RangeCopier::Digests>();
  for (uint64_t region : regions) {
    BlockRange range = region_range(region);
    if (range.count == 0) continue;
    CO_TRY_ASSIGN(OperationGate::Id id, co_await gate_.enter(core::OperationKind::kCopy, range));
    gate_.start(id, {});
    for (ReplicaDigest& replica : report.replicas) {
      auto read = co_await copier_.digests(replica.member, SnapshotId{}, range, *digests);
      if (!read) replica.problem = to_string(read.error());
      replica.digest =
          XXH3_64bits_withSeed(digests->data(), range.count * sizeof(uint64_t), replica.digest);
    }
    gate_.leave(id);
    report.compared_bytes += range.bytes();
  }
  report.equal = std::ranges::all_of(report.replicas, [&report](const ReplicaDigest& replica) {
    return replica.problem.empty() && replica.digest == report.replicas.front().digest;
  });
  co_return report;
}

io::Task<Result<void>> Volume::healed(Duration timeout) {
  Use use(*this);
  TimePoint give_up_at = context_.executor.now() + timeout;
  while (membership_.set().healthy().count() < static_cast<int>(record().replicas.size())) {
    if (gate_.aborted()) co_return fail(*gate_.aborted());
    if (context_.executor.now() >= give_up_at) {
      co_return fail(Code::kTimedOut, "replicas were still behind when the time was over");
    }
    co_await ticked_.wait();
  }
  co_return Result<void>{};
}

}  // namespace cleat::engine
