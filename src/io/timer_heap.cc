#include "io/timer_heap.h"

#include "common/check.h"

namespace cleat::io {

// heap_parent of a first child is its parent, of any other child its left sibling: that is enough
// to unlink a timer from the middle.

void TimerHeap::insert(Timer& timer) {
  CHECK(!timer.armed, "a timer is armed once at a time");
  timer.armed = true;
  timer.heap_parent = timer.heap_child = timer.heap_next = nullptr;
  root_ = meld(root_, &timer);
}

void TimerHeap::remove(Timer& timer) {
  CHECK(timer.armed, "only an armed timer is in the heap");
  timer.armed = false;
  Timer* children = meld_siblings(timer.heap_child);
  if (&timer == root_) {
    root_ = children;
  } else {
    detach(timer);
    root_ = meld(root_, children);
  }
  timer.heap_parent = timer.heap_child = timer.heap_next = nullptr;
}

Timer* TimerHeap::meld(Timer* a, Timer* b) {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (b->at < a->at) std::swap(a, b);
  b->heap_parent = a;
  b->heap_next = a->heap_child;
  if (a->heap_child != nullptr) a->heap_child->heap_parent = b;
  a->heap_child = b;
  return a;
}

// Two passes: pairs from left to right onto a list, then that list into one tree.
Timer* TimerHeap::meld_siblings(Timer* first) {
  Timer* pairs = nullptr;
  while (first != nullptr) {
    Timer* a = first;
    Timer* b = a->heap_next;
    first = b != nullptr ? b->heap_next : nullptr;
    a->heap_parent = a->heap_next = nullptr;
    if (b != nullptr) b->heap_parent = b->heap_next = nullptr;
    Timer* pair = meld(a, b);
    pair->heap_next = pairs;
    pairs = pair;
  }
  Timer* root = nullptr;
  while (pairs != nullptr) {
    Timer* pair = pairs;
    pairs = pair->heap_next;
    pair->heap_next = nullptr;
    root = meld(root, pair);
  }
  return root;
}

void TimerHeap::detach(Timer& timer) {
  Timer* left = timer.heap_parent;
  if (left->heap_child == &timer) {
    left->heap_child = timer.heap_next;
  } else {
    left->heap_next = timer.heap_next;
  }
  if (timer.heap_next != nullptr) timer.heap_next->heap_parent = left;
}

}  // namespace cleat::io
