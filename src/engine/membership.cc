#include "engine/membership.h"

#include "common/log.h"

namespace cleat::engine {
namespace {

constexpr Duration kRetryInterval = 100ms;

}  // namespace

Membership::Membership(io::Executor& executor, VolumeRegistry& registry, OperationGate& gate,
                       Members& members, VersionedRecord record)
    : executor_(executor),
      registry_(registry),
      gate_(gate),
      members_(members),
      current_(std::move(record)),
      set_(current_.record),
      clock_(current_.record.generation, current_.record.generation),
      wake_(executor),
      changes_(executor),
      unlocked_(executor) {}

core::InSyncSet::Failed Membership::failed(core::MemberIndex member, Error error) {
  if (error.code == Code::kStaleEpoch) {
    gate_.abort(Error{Code::kStaleEpoch, 0, "the volume is attached elsewhere at a higher epoch"});
    changes_.notify_all();
    wake_.notify_all();
    return core::InSyncSet::Failed::kAlready;
  }
  core::InSyncSet::Failed outcome = set_.fail(member);
  using Failed = core::InSyncSet::Failed;
  if (outcome == Failed::kLeaving || outcome == Failed::kDropped) {
    LOG_WARN("volume {}: replica {} failed: {}", record().id.value, member, to_string(error));
    if (error.code == Code::kTimedOut) members_.give_up(member);
  }
  if (outcome == Failed::kDropped) gate_.member_left(member);
  if (outcome == Failed::kLeaving) wake_.notify_all();
  changes_.notify_all();
  return outcome;
}

io::Task<void> Membership::run() {
  while (!stopped_ && !gate_.aborted()) {
    co_await lock();
    auto next = set_.next_change(record(), clock_.stable_from());
    if (!next || stopped_) {
      unlock();
      if (!stopped_ && !gate_.aborted()) co_await wake_.wait();
      continue;
    }
    Stored stored = co_await store(*std::move(next));
    if (stored == Stored::kStored) {
      apply(set_.committed());
    } else {
      set_.conflicted(record());
      adopt();
    }
    unlock();
    changes_.notify_all();
    if (stored == Stored::kStored) co_await tell_members();
  }
}

void Membership::apply(core::InSyncSet::Outcome outcome) {
  clock_.raise();
  for (core::MemberIndex member : outcome.left) {
    LOG_WARN("volume {}: replica {} left the in-sync set at epoch {}", record().id.value, member,
             record().epoch.value);
    gate_.member_left(member);
  }
  for (core::MemberIndex member : outcome.joined) {
    LOG_INFO("volume {}: replica {} is in sync again", record().id.value, member);
  }
}

// The record may have lost members: nobody waits for those any more.
void Membership::adopt() {
  members_.adopt(record());
  set_.adopt(record());
  for (core::MemberIndex member = 0; member < 32; ++member) {
    if (!set_.wait_for().contains(member)) gate_.member_left(member);
  }
}

void Membership::stop() {
  stopped_ = true;
  wake_.notify_all();
  changes_.notify_all();
}

io::Task<Membership::Stored> Membership::store(core::VolumeRecord next) {
  for (;;) {
    if (stopped_) co_return Stored::kStopped;
    if (gate_.aborted()) co_return Stored::kFenced;
    auto stored = co_await registry_.compare_and_store(current_.revision, next);
    if (stored) {
      current_ = VersionedRecord{std::move(next), *stored};
      problem_ = "";
      co_return Stored::kStored;
    }
    if (stored.error().code == Code::kClosed) {
      gate_.abort(stored.error());
      co_return Stored::kFenced;
    }
    // After a lost answer too, only the stored record tells what happened.
    auto seen = co_await look_again(next);
    if (seen) co_return *seen;
    problem_ = "the metadata store (etcd) does not answer";
    co_await executor_.sleep(kRetryInterval);
  }
}

io::Task<std::optional<Membership::Stored>> Membership::look_again(const core::VolumeRecord& next) {
  auto loaded = co_await registry_.load(record().id);
  if (!loaded) {
    if (loaded.error().code != Code::kNotFound) co_return std::nullopt;
    gate_.abort(Error{Code::kStaleEpoch, 0, "the volume was deleted"});
    co_return Stored::kFenced;
  }
  if (loaded->record.epoch != record().epoch) {
    gate_.abort(Error{Code::kStaleEpoch, 0, "the volume is attached elsewhere at a higher epoch"});
    co_return Stored::kFenced;
  }
  bool ours = loaded->record == next;
  bool unchanged = loaded->revision == current_.revision;
  if (unchanged && !ours) co_return std::nullopt;
  current_ = *std::move(loaded);
  co_return ours ? Stored::kStored : Stored::kOverwritten;
}

io::Task<void> Membership::lock() {
  while (locked_) co_await unlocked_.wait();
  locked_ = true;
}

void Membership::unlock() {
  locked_ = false;
  unlocked_.notify_one();
}

io::Task<Result<void>> Membership::update(Change change) {
  co_await lock();
  Result<void> result;
  for (;;) {
    core::VolumeRecord next = record();
    result = change(next);
    if (!result || next == record()) break;
    Stored stored = co_await store(next);
    if (stored == Stored::kStored) break;
    if (stored == Stored::kOverwritten) continue;
    result = fail(gate_.aborted().value_or(Error{Code::kClosed, 0, "the volume is being closed"}));
    break;
  }
  if (!gate_.aborted()) adopt();
  unlock();
  changes_.notify_all();
  wake_.notify_all();
  if (result) co_await tell_members();
  co_return result;
}

io::Task<Result<void>> Membership::refresh() {
  co_await lock();
  auto loaded = co_await registry_.load(record().id);
  Result<void> result;
  if (!loaded) {
    result = fail(loaded.error());
  } else if (loaded->record.epoch != record().epoch) {
    Error fenced{Code::kStaleEpoch, 0, "the volume is attached elsewhere at a higher epoch"};
    gate_.abort(fenced);
    result = fail(fenced);
  } else {
    current_ = *std::move(loaded);
    adopt();
  }
  unlock();
  changes_.notify_all();
  co_return result;
}

io::Task<Result<void>> Membership::join(core::MemberIndex member) {
  set_.request_join(member);
  wake_.notify_all();
  while (!gate_.aborted() && !stopped_ && set_.syncing().contains(member)) {
    co_await changes_.wait();
  }
  if (gate_.aborted()) co_return fail(*gate_.aborted());
  if (!set_.healthy().contains(member)) {
    co_return fail(Code::kNotInSync, "the replica failed before it was in sync");
  }
  co_return Result<void>{};
}

io::Task<void> Membership::tell_members() {
  std::string bytes = registry_.encode(record());
  ConstBuffer payload = std::as_bytes(std::span(bytes));
  for (core::MemberIndex member : set_.healthy()) {
    wire::Header request;
    request.type = wire::Type::kSetRecord;
    auto told = co_await members_.call(member, request, payload, {});
    // One that must be fenced first is about to be; it gets the record with the next change.
    if (!told && told.error().code != Code::kNotInSync) failed(member, told.error());
  }
}

}  // namespace cleat::engine
