// Which operations of a shared volume's sharers may go on (ADR 9). Pure.
//
// A read or change stands in one line with all others and may start when nothing earlier that it
// conflicts with is left; two reads never conflict. A change stays in the line after its answer,
// until its sharer has confirmed that it got it: a sharer that got none repeats the change, at its
// old place and under its old number, before anything that could have seen it.
//
// A sharer that connects anew names the changes it has no answer to; they keep their places, or go
// before all that has not started, but behind what has and conflicts with them. A new process of a
// sharer names what the kernel has sent to it again.
//
// Size: tens of operations are usual, and found by a scan.
#pragma once

#include <cstdint>
#include <list>
#include <set>
#include <span>
#include <vector>

#include "common/ids.h"
#include "common/units.h"

namespace cleat::core {

// A change that its sharer has no answer to.
struct UnansweredChange {
  uint64_t number = 0;
  BlockRange range;
  bool operator==(const UnansweredChange&) const = default;
};

class ShareTable {
 private:
  struct Entry;

 public:
  using Place = std::list<Entry>::iterator;

  // Nothing starts until each of these has joined or is forgotten: a new primary knows nothing of
  // what they had no answer to.
  void expect(const std::vector<NodeId>& sharers);

  // `number` is the sharer's own, never used for another operation; a repeated change takes the
  // place it had.
  Place submit(NodeId sharer, uint64_t number, BlockRange range, bool is_change);
  bool may_start(Place place) const;
  void start(Place place) { place->state = State::kRunning; }
  // Carried out, or failed: a read is gone, a change waits for its confirmation.
  void answered(Place place);
  // Given up before it started. One that is repeated keeps its place.
  void abandon(Place place);
  void confirm(NodeId sharer, uint64_t number);

  // Of a sharer none of whose operations waits or runs. All its other changes are confirmed.
  void join(NodeId sharer, std::span<const UnansweredChange> unanswered);
  // It left, or was expelled.
  void forget(NodeId sharer);

  // Those without whose word something that waits can't go on.
  std::set<NodeId> waited_for() const;
  bool empty() const { return line_.empty(); }

 private:
  enum class State : uint8_t {
    kWaiting,
    kRunning,
    kHeld,  // only its sharer's word is missing
  };
  struct Entry {
    NodeId sharer;
    uint64_t number = 0;
    BlockRange range;
    bool is_change = false;
    State state = State::kWaiting;
    bool is_repeated = false;  // it may have been carried out before
  };

  static bool conflict(const Entry& a, const Entry& b);
  Place place_of_repeated(const Entry& repeated);
  Place find_held(NodeId sharer, uint64_t number);

  std::list<Entry> line_;
  std::set<NodeId> expected_;
};

}  // namespace cleat::core
