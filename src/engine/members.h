// The replicas of a volume as its primary calls them, by index. Fills in what every message carries
// (volume, epoch, fence, member, what is known everywhere) and notes each answer for the lease
// (R5).
//
// A call that ended without an answer may still be done later, by whatever a lost connection
// delivers. So the member is not called again before it has answered a new fence (R4): until then
// call() and query() fail with kNotInSync, and ready() is the way on.
//
// Threading: the volume's loop.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "core/lease.h"
#include "core/member_set.h"
#include "core/types.h"
#include "engine/member.h"
#include "engine/operation_gate.h"
#include "engine/payloads.h"
#include "io/executor.h"
#include "io/sync.h"

namespace cleat::engine {

using MemberFactory = std::function<std::unique_ptr<Member>(const core::ReplicaRecord&)>;

// How long one message may take before its sender is told so. A member that does not even answer a
// heartbeat for kSilenceMax is given up: no progress, not one late reply (Longhorn's 8 s, issue
// 13744).
inline constexpr Duration kOperationTimeout = std::chrono::seconds(20);
inline constexpr Duration kSilenceMax = std::chrono::seconds(2);
inline constexpr Duration kSnapshotTimeout = std::chrono::minutes(30);

class Members {
 public:
  Members(io::Executor& executor, OperationGate& gate, MemberFactory factory);

  // Makes members that the record has and drops those that it has no more. Dropped ones are given
  // up and kept until the volume ends: calls may still be under way.
  void adopt(const core::VolumeRecord& record);
  void set_epoch(VolumeId volume, Epoch epoch);

  io::Task<Result<wire::Header>> call(core::MemberIndex member, wire::Header request,
                                      ConstBuffer payload, MutableBuffer into,
                                      Duration timeout = kOperationTimeout);
  io::Task<Result<Answer>> query(core::MemberIndex member, wire::Header request,
                                 ConstBuffer payload = {}, Duration timeout = kOperationTimeout);
  io::Task<Result<FenceAnswer>> fence(core::MemberIndex member, Duration timeout);
  // Returns when the member is fenced, by this call or another. kCorrupt: it has lost recent writes
  // with the power since it was last in sync.
  io::Task<Result<void>> ready(core::MemberIndex member, Duration timeout);
  // All pages of the member's dirty map, and of the regions in its open intents. Sorted.
  io::Task<Result<std::vector<core::DirtyRegion>>> dirty_regions(core::MemberIndex member,
                                                                 Generation at_or_above);
  io::Task<Result<std::vector<uint64_t>>> intent_regions(core::MemberIndex member);
  void give_up(core::MemberIndex member);
  // Members with a call that should have ended by now, and did not: their disk is stuck. A call
  // counts when this finds it the second time, so that a process that was stopped takes the answers
  // that wait for it first.
  core::MemberSet overdue();
  // Gives up members that were called and have said nothing for so long. For a volume that has
  // ended: no heartbeat looks after its calls any more.
  void give_up_silent(Duration silence);

  bool knows(core::MemberIndex member) const {
    return member < members_.size() && members_[member].member != nullptr;
  }
  const core::Lease& lease() const { return lease_; }

 private:
  // A call under way, in the frame that waits for it.
  struct Call {
    Call(Members& members, core::MemberIndex index, TimePoint limit);
    Call(const Call&) = delete;
    ~Call();
    Members& of;
    const Member* called;
    core::MemberIndex member;
    TimePoint until;
    bool found_overdue = false;
    Call* before = nullptr;
    Call* next = nullptr;
  };
  struct Slot {
    std::unique_ptr<Member> member;
    uint32_t fence = 0;  // the newest that it answered; 0: it must be fenced first
    bool recent_lost = false;
    uint32_t calls = 0;     // under way
    TimePoint called;       // when the newest of them began
    uint64_t attempts = 0;  // fences by ready() that have ended
    Result<void> outcome;   // of the last of them
  };

  Result<void> fill(core::MemberIndex member, wire::Header& request) const;
  void note(core::MemberIndex member, const wire::Header& request, TimePoint sent,
            const Result<void>& outcome);

  io::Executor& executor_;
  OperationGate& gate_;
  MemberFactory factory_;
  core::Lease lease_;
  VolumeId volume_;
  Epoch epoch_;
  uint32_t last_fence_ = 0;
  std::array<Slot, 32> members_;
  core::MemberSet fencing_;  // ready() is at it
  io::WaitQueue fenced_;
  Call* calls_ = nullptr;
  std::vector<std::unique_ptr<Member>> dropped_;
};

}  // namespace cleat::engine
