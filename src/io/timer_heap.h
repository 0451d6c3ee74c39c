// Armed timers, the earliest first: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986)
// linked through the timers themselves, so arming and cancelling allocate nothing. Arm is O(1),
// pop and cancel are O(log n) amortised.
//
// Threading: one loop. Ownership: a timer stays alive while it is in the heap.
#pragma once

#include "io/executor.h"

namespace cleat::io {

class TimerHeap {
 public:
  bool empty() const { return root_ == nullptr; }
  // The earliest timer; the heap must not be empty.
  Timer& top() const { return *root_; }
  void insert(Timer& timer);
  // Takes out a timer that is in the heap.
  void remove(Timer& timer);

 private:
  static Timer* meld(Timer* a, Timer* b);
  static Timer* meld_siblings(Timer* first);
  static void detach(Timer& timer);

  Timer* root_ = nullptr;
};

}  // namespace cleat::io
