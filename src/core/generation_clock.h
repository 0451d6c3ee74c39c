// The dirty map's time (R8). Pure.
//
// Writes are stamped with current(). When a member leaves, every write below stable_from() is known
// to be flushed on every member, so only regions stamped at or above it can differ: that is its
// left_at.
//
//   raise()            new writes get the next generation
//   begin_flush()      all writes of older generations are complete: the flush of all members
//   starts flushed(token)     it succeeded on every member in sync: older generations are stable
#pragma once

#include <algorithm>

#include "common/ids.h"

namespace cleat::core {

class GenerationClock {
 public:
  // At a takeover members are not equal yet: `stable_from` is then what the record says, and not
  // `start`, until flushed(start).
  GenerationClock(Generation start, Generation stable_from)
      : current_(start), stable_from_(stable_from) {}

  Generation current() const { return current_; }
  Generation stable_from() const { return stable_from_; }

  Generation raise() {
    current_ = current_.next();
    return current_;
  }
  void flushed(Generation below) {
    stable_from_ = std::max(stable_from_, std::min(below, current_));
  }

 private:
  Generation current_;
  Generation stable_from_;
};

}  // namespace cleat::core
