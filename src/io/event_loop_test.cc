#include "io/event_loop.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "io/sync.h"

namespace cleat::io {
namespace {

std::unique_ptr<EventLoop> make_loop(EventLoop::Options options = {}) {
  auto loop = EventLoop::create(options);
  EXPECT_TRUE(loop.has_value()) << to_string(loop.error());
  return std::move(*loop);
}

Task<int> nop(EventLoop& loop) {
  UringOperation operation(loop);
  io_uring_prep_nop(&operation.sqe());
  int result = co_await operation;
  co_return result;
}

Task<void> nops_in_sequence(EventLoop& loop, int count, int& done) {
  for (int i = 0; i < count; ++i) {
    int result = co_await nop(loop);
    if (result == 0) ++done;
  }
}

TEST(EventLoop, RunsOperationsToTheirEnd) {
  auto loop = make_loop();
  EXPECT_EQ(run_to_end(*loop, nop(*loop)), 0);
}

TEST(EventLoop, AHundredThousandCompletionsInSequenceUseNoStack) {
  auto loop = make_loop();
  int done = 0;
  run_to_end(*loop, nops_in_sequence(*loop, 100'000, done));
  EXPECT_EQ(done, 100'000);
}

Task<void> nops_in_parallel(EventLoop& loop, int count, int& done) {
  TaskGroup group;
  for (int i = 0; i < count; ++i) group.spawn(nops_in_sequence(loop, 3, done));
  co_await group.close();
}

TEST(EventLoop, MoreOperationsThanTheSubmissionQueueHolds) {
  auto loop = make_loop({.submission_entries = 8, .shuffle_seed = {}});
  int done = 0;
  run_to_end(*loop, nops_in_parallel(*loop, 2000, done));
  EXPECT_EQ(done, 6000);
}

TEST(EventLoop, OperationsStartedBeforeTheFirstRunWaitForIt) {
  auto loop = make_loop({.submission_entries = 8, .shuffle_seed = {}});
  int done = 0;
  TaskGroup group;
  for (int i = 0; i < 50; ++i) group.spawn(nops_in_sequence(*loop, 1, done));
  EXPECT_EQ(done, 0);
  EXPECT_EQ(run_to_end(*loop, nop(*loop)), 0);
  EXPECT_EQ(done, 50);
}

Task<void> sleep_then_note(EventLoop& loop, Duration duration, std::vector<int>& order,
                           int number) {
  co_await loop.sleep(duration);
  order.push_back(number);
}

Task<void> three_sleepers(EventLoop& loop, std::vector<int>& order) {
  TaskGroup group;
  group.spawn(sleep_then_note(loop, 30ms, order, 3));
  group.spawn(sleep_then_note(loop, 10ms, order, 1));
  group.spawn(sleep_then_note(loop, 20ms, order, 2));
  co_await group.close();
}

TEST(EventLoop, TimersFireInOrderAndNotEarly) {
  auto loop = make_loop();
  std::vector<int> order;
  TimePoint start = loop->now();
  run_to_end(*loop, three_sleepers(*loop, order));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(loop->now() - start, 30ms);
}

Duration cpu_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Task<void> sleep_once(EventLoop& loop, Duration duration) { co_await loop.sleep(duration); }

TEST(EventLoop, AnIdleLoopUsesNoCpu) {
  auto loop = make_loop();
  Duration before = cpu_time();
  run_to_end(*loop, sleep_once(*loop, 300ms));
  EXPECT_LT(cpu_time() - before, 10ms);
}

TEST(EventLoop, ACancelledTimerDoesNotFire) {
  auto loop = make_loop();
  Timer timer;  // has no waiter: firing it would crash
  timer.at = loop->now() + 5ms;
  loop->arm(timer);
  loop->cancel(timer);
  EXPECT_FALSE(timer.armed);
  loop->cancel(timer);
  run_to_end(*loop, sleep_once(*loop, 20ms));
}

TEST(EventLoop, FunctionsPostedByOtherThreadsRunInOrderOnTheLoop) {
  auto loop = make_loop();
  std::vector<int> order;
  std::thread::id loop_thread = std::this_thread::get_id();
  std::thread poster([&] {
    for (int i = 0; i < 10'000; ++i) {
      loop->post_from_any_thread([&order, i, loop_thread] {
        EXPECT_EQ(std::this_thread::get_id(), loop_thread);
        order.push_back(i);
      });
    }
    loop->post_from_any_thread([&loop] { loop->stop(); });
  });
  loop->run();
  poster.join();
  EXPECT_EQ(order.size(), 10'000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(EventLoop, APostWakesASleepingLoopAtOnce) {
  auto loop = make_loop();
  TimePoint posted;
  std::thread poster([&] {
    std::this_thread::sleep_for(50ms);
    posted = loop->now();
    loop->post_from_any_thread([&loop] { loop->stop(); });
  });
  loop->run();
  TimePoint woken = loop->now();
  poster.join();
  EXPECT_LT(woken - posted, 1s);
}

TEST(EventLoop, RunsOnTheThreadThatRunsItNotTheOneThatMadeIt) {
  auto loop = make_loop();
  int result = -1;
  std::thread runner([&] {
    result = run_to_end(*loop, nop(*loop));
    loop->shutdown();
  });
  runner.join();
  EXPECT_EQ(result, 0);
}

Task<void> read_forever(EventLoop& loop, int fd, uint64_t& value, int& result) {
  UringOperation operation(loop);
  io_uring_prep_read(&operation.sqe(), fd, &value, sizeof value, 0);
  result = co_await operation;
}

TEST(EventLoop, ShutdownCancelsWhatIsPendingAndRefusesMore) {
  auto loop = make_loop();
  int fd = ::eventfd(0, 0);
  uint64_t value = 0;
  int first = 0;
  int second = 0;
  TaskGroup group;
  group.spawn(read_forever(*loop, fd, value, first));
  run_to_end(*loop, sleep_once(*loop, 1ms));
  EXPECT_EQ(group.running(), 1u);
  loop->shutdown();
  EXPECT_EQ(group.running(), 0u);
  EXPECT_EQ(first, -ECANCELED);
  group.spawn(read_forever(*loop, fd, value, second));
  EXPECT_EQ(second, -ECANCELED);
  ::close(fd);
}

Task<int> read_with_limit(EventLoop& loop, int fd, uint64_t& value, Duration limit) {
  UringOperation operation(loop);
  io_uring_prep_read(&operation.sqe(), fd, &value, sizeof value, 0);
  operation.set_timeout(limit);
  int result = co_await operation;
  co_return result;
}

TEST(EventLoop, AnOperationWithATimeoutEndsInTime) {
  auto loop = make_loop();
  int fd = ::eventfd(0, 0);
  uint64_t value = 0;
  TimePoint start = loop->now();
  EXPECT_EQ(run_to_end(*loop, read_with_limit(*loop, fd, value, 30ms)), -ECANCELED);
  EXPECT_GE(loop->now() - start, 30ms);
  uint64_t one = 1;
  ASSERT_EQ(::write(fd, &one, sizeof one), ssize_t{sizeof one});
  EXPECT_EQ(run_to_end(*loop, read_with_limit(*loop, fd, value, 10s)), 8);
  ::close(fd);
}

Task<void> cancel_after(EventLoop& loop, UringOperation& operation, Duration delay) {
  co_await loop.sleep(delay);
  operation.cancel();
}

Task<int> cancelled_read(EventLoop& loop, int fd, uint64_t& value) {
  UringOperation operation(loop);
  io_uring_prep_read(&operation.sqe(), fd, &value, sizeof value, 0);
  TaskGroup group;
  group.spawn(cancel_after(loop, operation, 5ms));
  int result = co_await operation;
  co_await group.close();
  co_return result;
}

TEST(EventLoop, APendingOperationCanBeCancelled) {
  auto loop = make_loop();
  int fd = ::eventfd(0, 0);
  uint64_t value = 0;
  EXPECT_EQ(run_to_end(*loop, cancelled_read(*loop, fd, value)), -ECANCELED);
  ::close(fd);
}

Task<void> note_after_yield(EventLoop& loop, std::vector<int>& order, int number) {
  co_await loop.yield();
  order.push_back(number);
}

Task<void> many_yields(EventLoop& loop, std::vector<int>& order, int count) {
  TaskGroup group;
  for (int i = 0; i < count; ++i) group.spawn(note_after_yield(loop, order, i));
  co_await group.close();
}

TEST(EventLoop, ReadyCoroutinesRunInOrderUnlessShuffled) {
  std::vector<int> plain;
  auto loop = make_loop();
  run_to_end(*loop, many_yields(*loop, plain, 1000));
  EXPECT_TRUE(std::is_sorted(plain.begin(), plain.end()));

  std::vector<int> first;
  std::vector<int> again;
  for (std::vector<int>* order : {&first, &again}) {
    auto shuffled = make_loop({.submission_entries = 64, .shuffle_seed = 7});
    run_to_end(*shuffled, many_yields(*shuffled, *order, 1000));
  }
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
  EXPECT_EQ(first, again);
  std::sort(first.begin(), first.end());
  EXPECT_EQ(first, plain);
}

Task<void> set_later(EventLoop& loop, Event& event) {
  co_await loop.sleep(5ms);
  event.set();
}

Task<void> wait_twice(EventLoop& loop, int& waits) {
  Event event(loop);
  TaskGroup group;
  group.spawn(set_later(loop, event));
  co_await event.wait();
  ++waits;
  co_await event.wait();
  ++waits;
  co_await group.close();
}

TEST(Event, IsSeenBeforeAndAfterItIsSet) {
  auto loop = make_loop();
  int waits = 0;
  run_to_end(*loop, wait_twice(*loop, waits));
  EXPECT_EQ(waits, 2);
}

}  // namespace
}  // namespace cleat::io
