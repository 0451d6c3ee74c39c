// How a volume is taken over (R3, R5, R7). Pure: a checklist that the engine works through.
//
// After the metadata transaction has raised the epoch:
//   1. fence every member in sync; a member that does not answer in time is unreachable;
//   2. at least one must answer; the unreachable ones leave by a transaction (R2);
//   3. wait out the lease unless the last primary is known to have stopped;
//   4. make the members equal: reconcile_plan();
//   5. open.
#pragma once

#include <optional>
#include <vector>

#include "common/time.h"
#include "core/lease.h"
#include "core/member_set.h"
#include "core/types.h"

namespace cleat::core {

struct FenceReply {
  MemberIndex member = kNoMember;
  bool recent_lost = false;              // power was lost: the list is gone
  Generation generation;                 // highest this member knows
  std::vector<RecentWrite> recent;       // writes not known to be everywhere
  std::vector<uint64_t> intent_regions;  // only when recent_lost: what may differ
  Duration quiet_for{};  // since it last answered a lower epoch, or since its process started
};

// What the record said before the transaction that raised the epoch.
struct PreviousAttach {
  bool detached = true;  // nobody was primary, or the detach was orderly
  // It had got as far as serving I/O. If not, one still older may serve reads.
  bool opened = true;
  // Its primary is known to have ended: it was an earlier process of this node.
  bool stopped = false;
};

// When reads and writes may begin, given when the last member in sync answered the fence. An old
// primary reads only while every member in sync answers it, so one that has been quiet for long
// shortens the wait.
TimePoint lease_over_at(const PreviousAttach& previous, const std::vector<FenceReply>& replies,
                        TimePoint fenced_at);

// What makes the members equal before the volume opens.
struct ReconcilePlan {
  MemberIndex source = kNoMember;
  MemberSet targets;
  std::vector<BlockRange> rewrite;        // sorted, disjoint: copied from source to targets
  std::vector<uint64_t> compare_regions;  // sorted: digests are compared, what differs is copied
};

// `preferred` is the member on the primary's node, if any. The source is a member that lost no list
// if there is one: it has every acknowledged write, flushed or not.
ReconcilePlan reconcile_plan(const std::vector<FenceReply>& replies, MemberIndex preferred);

// The generation that a new primary starts with: above every one seen.
Generation first_generation(const VolumeRecord& record, const std::vector<FenceReply>& replies);

}  // namespace cleat::core
