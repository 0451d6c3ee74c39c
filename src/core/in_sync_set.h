// Who has every acknowledged write (R2, R8, R10). Pure: the engine carries out what changes() asks
// for, as one metadata transaction conditioned on the epoch, and reports what came of it.
//
//   new, stale --begin_sync--> syncing --(join committed)--> in sync --fail--> leaving
//                                 |                                               |
//                                 +--fail--> stale <------(removal committed)-----+
//
// A write waits for members that are in sync, leaving or syncing. A leaving member stops the writes
// that wait for it until the transaction that removes it holds; a syncing one is dropped at once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/member_set.h"
#include "core/types.h"

namespace cleat::core {

class InSyncSet {
 public:
  explicit InSyncSet(const VolumeRecord& record);

  MemberSet in_sync() const { return in_sync_; }  // by the record, leaving ones included
  MemberSet leaving() const { return leaving_; }
  MemberSet syncing() const { return syncing_; }
  MemberSet healthy() const { return in_sync_ - leaving_; }
  MemberSet staying() const { return healthy() - removing_; }  // who can be counted on
  MemberSet behind() const { return behind_; }                 // stale or new, and not syncing

  // Who a new write is sent to, and whom it waits for.
  MemberSet send_to() const { return healthy() | syncing_; }
  MemberSet wait_for() const { return in_sync_ | syncing_; }
  // Whose answers the lease needs (R5): a takeover believes the stored record, in which a member
  // whose join is under way may be in sync already.
  MemberSet lease_from() const { return in_sync_ | (under_way_ ? pending_.joined : MemberSet{}); }

  enum class Failed : uint8_t {
    kLeaving,  // a transaction that removes it is due; writes wait for that
    kDropped,  // it was syncing and is behind again: writes no longer wait for it
    kLast,     // the only healthy member in sync that stays in the record: I/O waits for it (R10)
    kAlready,  // known to be leaving or behind
  };
  // The member failed: an error, a reset, no progress.
  Failed fail(MemberIndex member);

  // A person takes the member out of the record: until the end of that no other may count on it.
  // The caller has seen that others are healthy.
  void begin_removal(MemberIndex member) { removing_.add(member); }
  void end_removal(MemberIndex member) { removing_.remove(member); }

  bool is_last(MemberIndex member) const { return staying() == MemberSet{member}; }

  // A member that is behind gets every new write from now on.
  void begin_sync(MemberIndex member);
  // Its copy is complete and confirmed: the next change lets it in.
  void request_join(MemberIndex member);

  // The transaction that is due, if one is: leaving members become stale at `left_at`, a joining
  // one in sync. None when nothing is due, or when no healthy member would remain (R10: then I/O
  // waits).
  // One at a time: after this, call committed() or conflicted().
  std::optional<VolumeRecord> next_change(const VolumeRecord& current, Generation left_at);
  struct Outcome {
    MemberSet left;  // writes no longer wait for these
    MemberSet joined;
  };
  Outcome committed();
  // Another change of the record came first; it is `stored` now. What this one asked for may be in
  // there all the same, when only the answer was lost.
  void conflicted(const VolumeRecord& stored);

  // The record was changed by somebody else at the same epoch (a replica added or removed).
  void adopt(const VolumeRecord& record);

 private:
  MemberSet in_sync_;
  MemberSet leaving_;
  MemberSet syncing_;
  MemberSet behind_;
  MemberSet joining_;
  MemberSet removing_;
  bool under_way_ = false;
  Outcome pending_;
};

}  // namespace cleat::core
