// The small rules: fencing, lease, generations, takeover.
#include <gtest/gtest.h>

#include "core/attach_rules.h"
#include "core/generation_clock.h"
#include "core/lease.h"
#include "core/replica_fsm.h"

namespace cleat::core {
namespace {

using Admission = ReplicaFsm::Admission;
using Fence = ReplicaFsm::Fence;

TEST(ReplicaFsm, R4RefusesALowerEpochFromTheMomentAHigherOneAsks) {
  FenceAt four{Epoch(4), 1};
  FenceAt five{Epoch(5), 1};
  ReplicaFsm fsm(Epoch(4));
  EXPECT_EQ(fsm.fence(four), Fence::kDrain);
  EXPECT_TRUE(fsm.fenced(four));
  EXPECT_EQ(fsm.fence(four), Fence::kAnswer) << "it came twice";
  EXPECT_EQ(fsm.admit(four), Admission::kAdmitted);
  EXPECT_EQ(fsm.fence(five), Fence::kDrain);
  EXPECT_EQ(fsm.admit(four), Admission::kStale) << "before the higher epoch is durable";
  EXPECT_EQ(fsm.admit(five), Admission::kNotFenced);
  EXPECT_FALSE(fsm.drained()) << "what was let in must end before the fence is answered";
  fsm.end_operation();
  EXPECT_TRUE(fsm.drained());
  EXPECT_TRUE(fsm.fenced(five));
  EXPECT_EQ(fsm.admit(five), Admission::kAdmitted);
  EXPECT_EQ(fsm.fence(four), Fence::kStale);
}

TEST(ReplicaFsm, R4TheLowerOfTwoFencesAtOnceIsRefused) {
  FenceAt two{Epoch(2), 1};
  FenceAt three{Epoch(3), 1};
  ReplicaFsm fsm(Epoch(1));
  EXPECT_EQ(fsm.fence(two), Fence::kDrain);
  EXPECT_EQ(fsm.fence(three), Fence::kDrain);
  EXPECT_FALSE(fsm.fenced(two));
  EXPECT_EQ(fsm.admit(two), Admission::kStale);
  EXPECT_TRUE(fsm.fenced(three));
}

// Found by the simulator: a write that a healed link delivered late overwrote what a resync had
// copied.
TEST(ReplicaFsm, R4AMessageOfAnEarlierFenceOfTheSameEpochIsRefused) {
  FenceAt first{Epoch(4), 1};
  FenceAt second{Epoch(4), 2};
  ReplicaFsm fsm(Epoch(4));
  EXPECT_EQ(fsm.fence(first), Fence::kDrain);
  EXPECT_TRUE(fsm.fenced(first));
  EXPECT_EQ(fsm.fence(second), Fence::kDrain);
  EXPECT_EQ(fsm.admit(first), Admission::kNotFenced);
  EXPECT_TRUE(fsm.fenced(second));
  EXPECT_EQ(fsm.admit(first), Admission::kNotFenced);
  EXPECT_EQ(fsm.fence(first), Fence::kLate);
  EXPECT_EQ(fsm.admit(second), Admission::kAdmitted);
}

TEST(ReplicaFsm, ANewProcessAdmitsNothingBeforeItIsFenced) {
  ReplicaFsm fsm(Epoch(4));
  EXPECT_EQ(fsm.admit(FenceAt{Epoch(4), 0}), Admission::kNotFenced);
  EXPECT_EQ(fsm.admit(FenceAt{Epoch(3), 7}), Admission::kStale);
}

TEST(Lease, R5ReadsNeedAnAnswerOfEveryMemberWithinTheLease) {
  Lease lease;
  TimePoint start{100s};
  lease.confirmed(0, start);
  lease.confirmed(1, start + 1s);
  MemberSet both{0, 1};
  EXPECT_TRUE(lease.may_read(both, start + kLease - 1ns));
  EXPECT_FALSE(lease.may_read(both, start + kLease)) << "one member is enough to stop reads";
  lease.confirmed(0, start + 2s);
  EXPECT_TRUE(lease.may_read(both, start + 2500ms));
  lease.confirmed(0, start);  // a late answer to an old request
  EXPECT_TRUE(lease.may_read(both, start + 2500ms));
  EXPECT_EQ(lease.heartbeat_due(both, start + 2s), MemberSet{1});
}

TEST(Lease, R5ASuccessorWaitsLongerThanTheLease) { EXPECT_GT(kLeaseWait, kLease); }

// Found by the simulator: a member that failed before the takeover had made all equal was not
// compared.
TEST(GenerationClock, R7NothingIsStableUntilATakeoverHasMadeMembersEqual) {
  GenerationClock clock(Generation(9), Generation(5));
  EXPECT_EQ(clock.current(), Generation(9));
  EXPECT_EQ(clock.stable_from(), Generation(5));
  clock.flushed(Generation(9));
  EXPECT_EQ(clock.stable_from(), Generation(9));
}

TEST(GenerationClock, AMemberThatLeavesMayMissOnlyGenerationsNotYetFlushedEverywhere) {
  GenerationClock clock(Generation(5), Generation(5));
  EXPECT_EQ(clock.stable_from(), Generation(5));
  Generation six = clock.raise();
  EXPECT_EQ(clock.stable_from(), Generation(5)) << "raising alone makes nothing durable";
  clock.flushed(six);
  EXPECT_EQ(clock.stable_from(), Generation(6));
  clock.flushed(Generation(99));
  EXPECT_EQ(clock.stable_from(), clock.current()) << "never beyond what is written now";
}

FenceReply reply_of(MemberIndex member, bool lost, std::vector<RecentWrite> recent = {}) {
  FenceReply reply;
  reply.member = member;
  reply.recent_lost = lost;
  reply.recent = std::move(recent);
  return reply;
}

TEST(AttachRules, R5WaitsOutTheLeaseOnlyAfterAnUncleanStop) {
  TimePoint now{50s};
  PreviousAttach unclean{.detached = false, .opened = true, .stopped = false};
  EXPECT_EQ(lease_over_at({}, {}, now), now);
  EXPECT_EQ(lease_over_at(unclean, {}, now), now + kLeaseWait);
}

TEST(AttachRules, R5AnOlderPrimaryMayReadWhenTheLastOneNeverOpened) {
  TimePoint now{50s};
  PreviousAttach own{.detached = false, .opened = true, .stopped = true};
  EXPECT_EQ(lease_over_at(own, {}, now), now);
  own.opened = false;
  EXPECT_EQ(lease_over_at(own, {}, now), now + kLeaseWait);
}

TEST(AttachRules, R5AMemberThatHasBeenQuietShortensTheWait) {
  TimePoint now{50s};
  PreviousAttach unclean{.detached = false, .opened = true, .stopped = false};
  FenceReply quiet = reply_of(0, false);
  quiet.quiet_for = 1500ms;
  EXPECT_EQ(lease_over_at(unclean, {quiet, reply_of(1, false)}, now), now + kLeaseWait - 1500ms);
  quiet.quiet_for = std::chrono::hours(1);
  EXPECT_EQ(lease_over_at(unclean, {quiet}, now), now);
}

TEST(AttachRules, R7TheUnionOfRecentWritesIsRewrittenFromOneMember) {
  auto plan = reconcile_plan({reply_of(0, false, {{Seq(5), {10, 2}}}),
                              reply_of(1, false, {{Seq(6), {11, 4}}, {Seq(7), {100, 1}}})},
                             1);
  EXPECT_EQ(plan.source, 1);
  EXPECT_EQ(plan.targets, MemberSet{0});
  EXPECT_EQ(plan.rewrite, (std::vector<BlockRange>{{10, 5}, {100, 1}}));
  EXPECT_TRUE(plan.compare_regions.empty());
}

TEST(AttachRules, R7LongRangesAreSplitForTheCopier) {
  auto plan = reconcile_plan({reply_of(0, false, {{Seq(1), {0, 1000}}}), reply_of(1, false)}, 0);
  uint64_t covered = 0;
  for (BlockRange range : plan.rewrite) {
    EXPECT_EQ(range.first, covered);
    EXPECT_LE(range.count, 256u);
    covered = range.end();
  }
  EXPECT_EQ(covered, 1000u);
}

TEST(AttachRules, R7AMemberThatLostNoListIsTheSource) {
  FenceReply lost = reply_of(0, true);
  lost.intent_regions = {7, 3};
  auto plan = reconcile_plan({lost, reply_of(1, false)}, 0);
  EXPECT_EQ(plan.source, 1) << "it has every acknowledged write, flushed or not";
  EXPECT_EQ(plan.compare_regions, (std::vector<uint64_t>{3, 7}));
}

TEST(AttachRules, R7NothingToDoForASingleMember) {
  auto plan = reconcile_plan({reply_of(2, true, {{Seq(1), {0, 1}}})}, 2);
  EXPECT_EQ(plan.source, 2);
  EXPECT_TRUE(plan.targets.empty());
  EXPECT_TRUE(plan.rewrite.empty());
}

TEST(AttachRules, TheFirstGenerationIsAboveEveryOneSeen) {
  VolumeRecord record;
  record.generation = Generation(4);
  FenceReply reply = reply_of(0, false);
  reply.generation = Generation(9);
  EXPECT_EQ(first_generation(record, {reply}), Generation(10));
  EXPECT_EQ(first_generation(record, {}), Generation(5));
}

}  // namespace
}  // namespace cleat::core
