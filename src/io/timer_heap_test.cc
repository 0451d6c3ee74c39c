#include "io/timer_heap.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "common/random.h"

namespace cleat::io {
namespace {

// The heap against a sorted set, under random arming, cancelling and firing.
TEST(TimerHeap, AgreesWithASortedSet) {
  Random random(42);
  TimerHeap heap;
  std::deque<Timer> timers(500);
  auto earlier = [](const Timer* a, const Timer* b) {
    return a->at != b->at ? a->at < b->at : a < b;
  };
  std::set<Timer*, decltype(earlier)> model(earlier);
  for (int step = 0; step < 100'000; ++step) {
    Timer& timer = timers[random.below(timers.size())];
    if (!timer.armed && random.chance(0.55)) {
      timer.at = TimePoint(Duration(random.below(1000)));
      heap.insert(timer);
      model.insert(&timer);
    } else if (timer.armed && random.chance(0.5)) {
      heap.remove(timer);
      model.erase(&timer);
    } else if (!model.empty()) {
      Timer& first = heap.top();
      ASSERT_EQ(first.at, (*model.begin())->at);
      heap.remove(first);
      ASSERT_EQ(model.erase(&first), 1u);
    }
    ASSERT_EQ(heap.empty(), model.empty());
  }
  while (!heap.empty()) {
    ASSERT_EQ(heap.top().at, (*model.begin())->at);
    Timer& first = heap.top();
    heap.remove(first);
    model.erase(&first);
  }
  EXPECT_TRUE(model.empty());
}

}  // namespace
}  // namespace cleat::io
