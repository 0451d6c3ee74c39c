// Carries out core::InSyncSet against the metadata (R2): every change of the volume's record by its
// primary goes through here, one transaction at a time.
//
// Threading: the volume's loop. run() lives as long as the volume is open.
#pragma once

#include <functional>
#include <optional>

#include "core/generation_clock.h"
#include "core/in_sync_set.h"
#include "engine/members.h"
#include "engine/operation_gate.h"
#include "engine/volume_registry.h"
#include "io/sync.h"
#include "io/task.h"

namespace cleat::engine {

class Membership {
 public:
  Membership(io::Executor& executor, VolumeRegistry& registry, OperationGate& gate,
             Members& members, VersionedRecord record);

  const core::VolumeRecord& record() const { return current_.record; }
  core::InSyncSet& set() { return set_; }
  core::GenerationClock& clock() { return clock_; }

  // What an error of a member means: a stale epoch fences the volume; anything else is never
  // ignored (R9).
  core::InSyncSet::Failed failed(core::MemberIndex member, Error error);

  // Drives due changes until the gate is aborted or stop() is called.
  io::Task<void> run();
  void stop();

  // Changes the record by compare-and-set, again and again until it holds; `change` may be called
  // several times and says whether there is anything to do. Waits while the metadata is away.
  // kStaleEpoch: another primary took over (the gate is then aborted).
  using Change = std::function<Result<void>(core::VolumeRecord&)>;
  io::Task<Result<void>> update(Change change);
  // The record was changed by control: reads it again.
  io::Task<Result<void>> refresh();

  // Asks for a member's entry into the in-sync set; returns when it is in, or has failed.
  io::Task<Result<void>> join(core::MemberIndex member);
  // Wakes at every change of the set.
  io::WaitQueue& changes() { return changes_; }

  // Why changes of the record don't get through, for people; empty when they do.
  const char* problem() const { return problem_; }

 private:
  enum class Stored : uint8_t { kStored, kOverwritten, kFenced, kStopped };
  // Stores `next` over current_; retries while the metadata is away. kOverwritten: another change
  // came first, and current_ is that now.
  io::Task<Stored> store(core::VolumeRecord next);
  io::Task<std::optional<Stored>> look_again(const core::VolumeRecord& next);
  io::Task<void> lock();
  void unlock();
  io::Task<void> tell_members();
  void apply(core::InSyncSet::Outcome outcome);
  void adopt();

  io::Executor& executor_;
  VolumeRegistry& registry_;
  OperationGate& gate_;
  Members& members_;
  VersionedRecord current_;
  core::InSyncSet set_;
  core::GenerationClock clock_;
  io::WaitQueue wake_;
  io::WaitQueue changes_;
  io::WaitQueue unlocked_;
  bool locked_ = false;
  bool stopped_ = false;
  const char* problem_ = "";
};

}  // namespace cleat::engine
