#include "csi/lease.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <sstream>

#include "common/log.h"

namespace cleat::csi {
namespace {

class FakeLeases final : public LeasePort {
 public:
  Outcome<KubeLease> read_lease(const std::string&) override {
    ++reads;
    if (reads_fail) return failure(*reads_fail, "as the test wants");
    if (!record) return failure(Code::kNotFound, "there is none");
    KubeLease read{*record, std::to_string(version)};
    if (after_read) after_read();
    return read;
  }
  Outcome<> create_lease(const std::string&, const LeaseRecord& next) override {
    if (writes_fail) return failure(*writes_fail, "as the test wants");
    if (record) return failure(Code::kConflict, "there is one");
    set(next);
    return {};
  }
  Outcome<> update_lease(const std::string&, const KubeLease& read,
                         const LeaseRecord& next) override {
    if (writes_fail) return failure(*writes_fail, "as the test wants");
    if (read.text != std::to_string(version)) return failure(Code::kConflict, "it was changed");
    set(next);
    if (after_update) after_update();
    return {};
  }
  void set(const LeaseRecord& next) {
    record = next;
    ++version;
  }

  std::optional<LeaseRecord> record;
  std::optional<Code> reads_fail, writes_fail;
  std::function<void()> after_read, after_update;
  int version = 0;
  int reads = 0;
};

class LeaseTest : public ::testing::Test {
 protected:
  Lease lease_of(const std::string& identity) {
    return {kube_, {"cleat-node-loss", identity}, [this] { return now_; }};
  }
  void both_step(Duration time) {
    now_ += time;
    EXPECT_TRUE(a_.step());
    EXPECT_TRUE(b_.step());
  }
  void let_a_hold() {
    ASSERT_TRUE(a_.step());
    ASSERT_TRUE(b_.step());
    ASSERT_TRUE(a_.held());
    ASSERT_FALSE(b_.held());
  }

  FakeLeases kube_;
  TimePoint now_{100s};
  Lease a_ = lease_of("a");
  Lease b_ = lease_of("b");
};

TEST_F(LeaseTest, IsTakenWhereThereIsNone) {
  EXPECT_FALSE(a_.held());
  ASSERT_TRUE(a_.step());
  EXPECT_TRUE(a_.held());
  EXPECT_EQ(kube_.record->holder, "a");
  EXPECT_EQ(kube_.record->duration_s, 4U);
  EXPECT_EQ(kube_.record->transitions, 0U);
  EXPECT_EQ(kube_.record->acquired, kube_.record->renewed);
}

TEST_F(LeaseTest, OneOfTwoHoldsItAndRenews) {
  let_a_hold();
  const LeaseRecord first = *kube_.record;
  for (int i = 0; i < 60; ++i) {
    a_.worked(true);
    both_step(1s);
    ASSERT_TRUE(a_.held());
    ASSERT_FALSE(b_.held());
  }
  EXPECT_EQ(kube_.record->acquired, first.acquired);
  EXPECT_EQ(kube_.record->transitions, 0U);
  EXPECT_NE(kube_.record->renewed, first.renewed);
}

TEST_F(LeaseTest, RunsOutForTheHolderBeforeAnotherTakesIt) {
  let_a_hold();
  const std::string acquired = kube_.record->acquired;
  now_ += 2999ms;
  EXPECT_TRUE(a_.held());
  now_ += 1ms;
  EXPECT_FALSE(a_.held());
  now_ += 999ms;
  ASSERT_TRUE(b_.step());
  EXPECT_FALSE(b_.held());
  now_ += 1ms;
  ASSERT_TRUE(b_.step());
  EXPECT_TRUE(b_.held());
  EXPECT_EQ(kube_.record->holder, "b");
  EXPECT_EQ(kube_.record->transitions, 1U);
  EXPECT_NE(kube_.record->acquired, acquired);
  ASSERT_TRUE(a_.step());
  EXPECT_FALSE(a_.held());
}

// Only that the record changes counts, and when that was seen here.
TEST_F(LeaseTest, TheClockOfAnotherMachineIsNeverBelieved) {
  for (const char* renewed : {"1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"}) {
    kube_.set({"c", 4, renewed, renewed, 7});
    ASSERT_TRUE(b_.step());
    now_ += 3999ms;
    ASSERT_TRUE(b_.step());
    EXPECT_EQ(kube_.record->holder, "c") << renewed;
  }
  now_ += 1ms;
  ASSERT_TRUE(b_.step());
  EXPECT_TRUE(b_.held()) << "whatever year it says";
  EXPECT_EQ(kube_.record->transitions, 8U);
}

TEST_F(LeaseTest, TheDurationIsThatOfTheRecord) {
  kube_.set({"c", 15, "", "", 0});
  ASSERT_TRUE(b_.step());
  now_ += 14s;
  ASSERT_TRUE(b_.step());
  EXPECT_FALSE(b_.held());
  now_ += 1s;
  ASSERT_TRUE(b_.step());
  EXPECT_TRUE(b_.held());
  EXPECT_EQ(kube_.record->duration_s, 4U) << "it is ours now";
}

TEST_F(LeaseTest, WhatASlowAnswerSaysCountsFromItsArrival) {
  kube_.set({"c", 4, "", "", 0});
  kube_.after_read = [this] { now_ += 2s; };
  ASSERT_TRUE(b_.step());
  kube_.after_read = nullptr;
  now_ += 3999ms;
  ASSERT_TRUE(b_.step());
  EXPECT_FALSE(b_.held());
}

TEST_F(LeaseTest, WhatASlowRenewalGivesCountsFromItsRequest) {
  let_a_hold();
  kube_.after_update = [this] { now_ += 1s; };
  ASSERT_TRUE(a_.step());
  now_ += 1999ms;
  EXPECT_TRUE(a_.held());
  now_ += 1ms;
  EXPECT_FALSE(a_.held());
}

TEST_F(LeaseTest, OfTwoAtTheSameMomentOneGetsIt) {
  kube_.set({"", 1, "", "", 3});
  kube_.after_read = [this] {
    kube_.after_read = nullptr;
    EXPECT_TRUE(b_.step());
  };
  EXPECT_TRUE(a_.step()) << "a conflict is no trouble";
  EXPECT_FALSE(a_.held());
  EXPECT_TRUE(b_.held());
  EXPECT_EQ(kube_.record->transitions, 4U);
}

TEST_F(LeaseTest, OfTwoThatMakeItOneGetsIt) {
  kube_.writes_fail = Code::kConflict;
  EXPECT_TRUE(a_.step());
  EXPECT_FALSE(a_.held());
  now_ += 60s;
  EXPECT_TRUE(a_.step());
  EXPECT_FALSE(a_.held()) << "the API answers: it is not given up";
}

TEST_F(LeaseTest, IsLostWhenAnotherHasIt) {
  let_a_hold();
  kube_.set({"c", 4, "", "", 1});
  ASSERT_TRUE(a_.step());
  EXPECT_FALSE(a_.held());
  kube_.record.reset();
  ASSERT_TRUE(b_.step());
  EXPECT_TRUE(b_.held()) << "it was deleted";
}

TEST_F(LeaseTest, IsLostAndFoundAgainWhenTheApiFailsForAWhile) {
  let_a_hold();
  kube_.reads_fail = Code::kUnreachable;
  for (int i = 0; i < 5; ++i) {
    now_ += 1s;
    EXPECT_FALSE(a_.step());
  }
  EXPECT_FALSE(a_.held());
  kube_.reads_fail.reset();
  ASSERT_TRUE(a_.step());
  EXPECT_TRUE(a_.held());
  EXPECT_EQ(kube_.record->transitions, 0U) << "nobody else had it";
}

TEST_F(LeaseTest, ReleasedAtTheEndItIsTakenAtOnce) {
  let_a_hold();
  a_.release();
  EXPECT_FALSE(a_.held());
  EXPECT_EQ(kube_.record->holder, "");
  EXPECT_EQ(kube_.record->duration_s, 1U);
  ASSERT_TRUE(b_.step());
  EXPECT_TRUE(b_.held());
  EXPECT_EQ(kube_.record->transitions, 1U);
  a_.release();
  EXPECT_EQ(kube_.record->holder, "b") << "it is not a's";
}

TEST_F(LeaseTest, WithoutANameEverybodyHoldsIt) {
  Lease none(kube_, {"", "a"}, [this] { return now_; });
  EXPECT_TRUE(none.held());
  EXPECT_TRUE(none.step());
  none.release();
  EXPECT_EQ(kube_.reads, 0);
}

// The holder dies at some moment after a renewal, the other steps at its own pace.
TEST_F(LeaseTest, ATakeoverNeedsFiveSecondsAtMost) {
  for (const Duration ahead : {0ms, 1ms, 300ms, 500ms, 999ms}) {
    kube_.record.reset();
    Lease holder = lease_of("holder" + std::to_string(ahead.count()));
    Lease other = lease_of("other");
    ASSERT_TRUE(holder.step());
    ASSERT_TRUE(other.step());
    now_ += ahead;
    ASSERT_TRUE(other.step());
    now_ += 1s - ahead;
    ASSERT_TRUE(holder.step());
    const TimePoint lost = now_;
    now_ += ahead;
    while (!other.held() && now_ < lost + 60s) {
      ASSERT_TRUE(other.step());
      if (!other.held()) now_ += other.pause();
    }
    EXPECT_LE(now_ - lost, 5s) << ahead.count();
    EXPECT_GE(now_ - lost, 4s) << ahead.count();
  }
}

TEST_F(LeaseTest, RefusedItIsDoneWithoutAndOneWarningSaysSo) {
  std::ostringstream said;
  auto former = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(said)));
  kube_.reads_fail = Code::kPermission;
  for (int i = 0; i < 60; ++i) {
    EXPECT_FALSE(a_.step());
    EXPECT_TRUE(a_.held()) << "a missing role doesn't switch it off";
    now_ += 1s;
  }
  spdlog::set_default_logger(former);
  const std::string text = said.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_NE(text.find("warning"), std::string::npos) << text;
  EXPECT_NE(text.find("60-csi-rights.yaml"), std::string::npos) << text;
  kube_.reads_fail.reset();
  kube_.set({"c", 4, "", "", 0});
  ASSERT_TRUE(a_.step());
  EXPECT_FALSE(a_.held()) << "the role is there, and another has it";
}

TEST_F(LeaseTest, RefusedToWriteItIsDoneWithoutToo) {
  kube_.writes_fail = Code::kPermission;
  EXPECT_FALSE(a_.step());
  EXPECT_TRUE(a_.held());
}

TEST_F(LeaseTest, AnApiThatFailsForLongIsDoneWithout) {
  let_a_hold();
  kube_.writes_fail = Code::kUnreachable;
  for (int i = 0; i < 9; ++i) {
    now_ += 1s;
    (void)b_.step();
  }
  EXPECT_FALSE(b_.held());
  for (int i = 0; i < 5; ++i) {
    now_ += 1s;
    EXPECT_FALSE(b_.step());
  }
  EXPECT_TRUE(b_.held()) << "it ran out, and can't be taken";
  kube_.writes_fail.reset();
  ASSERT_TRUE(b_.step());
  EXPECT_TRUE(b_.held());
  EXPECT_EQ(kube_.record->holder, "b");
}

TEST_F(LeaseTest, AHolderWhoseWorkFailsLetsAnotherTry) {
  let_a_hold();
  for (int i = 0; i < 9; ++i) {
    a_.worked(false);
    b_.worked(true);
    both_step(1s);
    EXPECT_TRUE(a_.held());
  }
  both_step(1s);
  EXPECT_FALSE(a_.held());
  EXPECT_TRUE(b_.held());
}

TEST_F(LeaseTest, LetGoItIsTakenAgainWhenNobodyElseDoes) {
  ASSERT_TRUE(a_.step());
  a_.worked(false);
  now_ += 10s;
  ASSERT_TRUE(a_.step());
  EXPECT_EQ(kube_.record->holder, "");
  now_ += 1s;
  a_.worked(true);  // looking on
  ASSERT_TRUE(a_.step());
  EXPECT_FALSE(a_.held()) << "the other is first";
  now_ += 1s;
  ASSERT_TRUE(a_.step());
  EXPECT_TRUE(a_.held());
}

TEST_F(LeaseTest, LongWorkKeepsItWorkThatHangsDoesNot) {
  let_a_hold();
  for (int i = 0; i < 29; ++i) {
    b_.worked(true);
    both_step(1s);
    EXPECT_TRUE(a_.held());
  }
  both_step(1s);
  EXPECT_FALSE(a_.held());
  EXPECT_TRUE(b_.held());
}

TEST_F(LeaseTest, WhoCannotLookDoesNotTakeIt) {
  b_.worked(false);
  now_ += 10s;
  ASSERT_TRUE(b_.step());
  EXPECT_FALSE(b_.held());
  b_.worked(true);
  ASSERT_TRUE(b_.step());
  EXPECT_TRUE(b_.held());
}

TEST(MicroTime, IsWrittenAsTheApiWantsIt) {
  const std::chrono::system_clock::time_point time(
      std::chrono::microseconds(1'769'860'800'000'001));
  EXPECT_EQ(micro_time(time), "2026-01-31T12:00:00.000001Z");
}

}  // namespace
}  // namespace cleat::csi
