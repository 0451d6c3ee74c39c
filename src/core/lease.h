// Peer lease (R5). Pure: time is an input.
//
// The primary may answer reads only while every member in sync has answered it within the lease.
// What counts is when the answered request was sent, not when the answer came. A member that
// another primary has fenced answers no more, so this one stops reading before a successor, which
// waits out the lease after fencing, begins.
#pragma once

#include <algorithm>
#include <array>

#include "common/time.h"
#include "core/member_set.h"

namespace cleat::core {

inline constexpr Duration kLease = std::chrono::seconds(2);
// A successor waits a little longer than the lease: two clocks may run at different rates.
inline constexpr Duration kLeaseWait = kLease + kLease / 20;
inline constexpr Duration kHeartbeatInterval = std::chrono::milliseconds(500);

class Lease {
 public:
  // An answer to a request that was sent at `sent`.
  void confirmed(MemberIndex member, TimePoint sent) {
    confirmed_[member] = std::max(confirmed_[member], sent);
  }
  bool may_read(MemberSet in_sync, TimePoint now) const {
    for (MemberIndex member : in_sync) {
      if (now - confirmed_[member] >= kLease) return false;
    }
    return true;
  }
  // Members whose last answer is so old that a heartbeat is due.
  MemberSet heartbeat_due(MemberSet members, TimePoint now) const {
    MemberSet due;
    for (MemberIndex member : members) {
      if (now - confirmed_[member] >= kHeartbeatInterval) due.add(member);
    }
    return due;
  }
  TimePoint last_confirmed(MemberIndex member) const { return confirmed_[member]; }

 private:
  std::array<TimePoint, 32> confirmed_{};
};

}  // namespace cleat::core
