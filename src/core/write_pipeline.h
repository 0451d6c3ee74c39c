// Order and acknowledgement of a volume's writes on its primary (R1, R2, R6). Pure.
//
// An operation takes a place over its range; it starts when every earlier operation that overlaps
// it has ended, so replicas can't apply overlapping writes in different orders. It is complete when
// every member it waits for has acknowledged it or has left the set. Reads pass only the writes
// that they overlap; a copy of a resync holds its range like a write.
//
// Size: at most kOperationsMax at once. Overlap is found by a scan of the operations in flight,
// which is cheaper than a tree for the tens that are usual.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/member_set.h"
#include "core/types.h"

namespace cleat::core {

inline constexpr uint32_t kOperationsMax = 1024;

enum class OperationKind : uint8_t {
  kWrite,  // exclusive, has a seq: write, zero
  kCopy,   // exclusive, no seq: a part of a resync
  kRead,   // shared
};

class WritePipeline {
 public:
  using Id = uint32_t;
  static constexpr Id kNone = ~Id{0};

  WritePipeline();

  // Takes a place. kNone when kOperationsMax are in flight.
  Id submit(OperationKind kind, BlockRange range);
  // Nothing earlier that overlaps is left.
  bool may_start(Id id) const { return operations_[id].blocked_by == 0; }
  // A write gets its number here; start only what may start.
  Seq start(Id id, MemberSet wait_for);

  // True when nothing is left to wait for.
  bool acknowledged(Id id, MemberIndex member);
  bool complete(Id id) const { return operations_[id].waiting.empty(); }
  // The member left: nobody waits for it any more. Appends what became complete.
  void member_left(MemberIndex member, std::vector<Id>& completed);

  // Gives the place back, after completion (or before the start). Appends what may start now, in
  // the order of submission.
  void finish(Id id, std::vector<Id>& startable);

  // Every write up to this seq is complete on every member. Never passes one that was given up: it
  // may be on some, and a takeover must hear of it (R7).
  Seq known_everywhere() const;
  Seq last_seq() const { return last_seq_; }
  uint32_t in_flight() const { return static_cast<uint32_t>(active_.size()); }
  MemberSet waiting(Id id) const { return operations_[id].waiting; }

 private:
  struct Operation {
    BlockRange range;
    uint64_t order = 0;
    Seq seq;
    MemberSet waiting;
    uint32_t blocked_by = 0;  // earlier operations that overlap
    OperationKind kind = OperationKind::kRead;
    bool started = false;
  };

  static bool conflict(const Operation& a, const Operation& b);

  std::vector<Operation> operations_;  // by id
  std::vector<Id> free_;
  std::vector<Id> active_;  // in the order of submission
  uint64_t next_order_ = 1;
  Seq last_seq_;
  Seq given_up_{~uint64_t{0}};  // the lowest write that finished and was not complete
};

}  // namespace cleat::core
