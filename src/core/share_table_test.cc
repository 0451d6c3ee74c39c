// ADR 9: which operations of the sharers of a volume may go on.
#include "core/share_table.h"

#include <gtest/gtest.h>

namespace cleat::core {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr bool kChange = true;
constexpr bool kRead = false;

class ShareTableTest : public testing::Test {
 protected:
  ShareTable::Place submit(NodeId sharer, uint64_t number, uint64_t block, bool is_change) {
    return table.submit(sharer, number, BlockRange{block, 1}, is_change);
  }
  // Starts and is answered.
  ShareTable::Place carry_out(NodeId sharer, uint64_t number, uint64_t block) {
    ShareTable::Place place = submit(sharer, number, block, kChange);
    EXPECT_TRUE(table.may_start(place));
    table.start(place);
    table.answered(place);
    return place;
  }
  UnansweredChange change(uint64_t number, uint64_t block) {
    return {number, BlockRange{block, 1}};
  }

  ShareTable table;
};

TEST_F(ShareTableTest, AChangeHoldsItsBlocksUntilItIsConfirmed) {
  carry_out(kA, 1, 5);
  auto read = submit(kB, 1, 5, kRead);
  auto elsewhere = submit(kB, 2, 6, kChange);
  EXPECT_FALSE(table.may_start(read));
  EXPECT_TRUE(table.may_start(elsewhere));
  EXPECT_EQ(table.waited_for(), std::set<NodeId>{kA});
  table.confirm(kA, 1);
  EXPECT_TRUE(table.may_start(read));
}

TEST_F(ShareTableTest, ANodeWaitsForItsOwnConfirmationToo) {
  carry_out(kA, 1, 5);
  auto again = submit(kA, 2, 5, kChange);
  EXPECT_FALSE(table.may_start(again));
  table.confirm(kA, 1);
  EXPECT_TRUE(table.may_start(again));
}

TEST_F(ShareTableTest, ReadsDoNotWaitForReads) {
  auto first = submit(kA, 1, 5, kRead);
  auto second = submit(kB, 1, 5, kRead);
  table.start(first);
  EXPECT_TRUE(table.may_start(second));
  auto change = submit(kB, 2, 5, kChange);
  EXPECT_FALSE(table.may_start(change));
  EXPECT_TRUE(table.waited_for().empty());  // only for what is being carried out
  table.start(second);
  table.answered(first);
  table.answered(second);
  EXPECT_TRUE(table.may_start(change));
  EXPECT_FALSE(table.empty());
}

TEST_F(ShareTableTest, AConfirmationOfAnotherNodeOrNumberReleasesNothing) {
  carry_out(kA, 1, 5);
  auto read = submit(kB, 7, 5, kRead);
  table.confirm(kB, 1);
  table.confirm(kA, 2);
  table.confirm(kB, 7);
  EXPECT_FALSE(table.may_start(read));
}

TEST_F(ShareTableTest, ARepeatedChangeGoesBeforeWhatWaitedForIt) {
  carry_out(kA, 1, 5);
  auto other = submit(kB, 1, 5, kChange);
  std::vector<UnansweredChange> unanswered{change(1, 5)};
  table.join(kA, unanswered);
  EXPECT_FALSE(table.may_start(other));
  auto repeated = submit(kA, 1, 5, kChange);
  EXPECT_TRUE(table.may_start(repeated));
  EXPECT_FALSE(table.may_start(other));
  table.start(repeated);
  table.answered(repeated);
  EXPECT_FALSE(table.may_start(other));
  table.confirm(kA, 1);
  EXPECT_TRUE(table.may_start(other));
}

TEST_F(ShareTableTest, AJoinConfirmsWhatItDoesNotName) {
  carry_out(kA, 1, 5);
  carry_out(kA, 2, 6);
  std::vector<UnansweredChange> unanswered{change(2, 6)};
  table.join(kA, unanswered);
  EXPECT_TRUE(table.may_start(submit(kB, 1, 5, kRead)));
  EXPECT_FALSE(table.may_start(submit(kB, 2, 6, kRead)));
}

TEST_F(ShareTableTest, ARepeatedChangeThatIsGivenUpKeepsItsBlocks) {
  carry_out(kA, 1, 5);
  std::vector<UnansweredChange> unanswered{change(1, 5)};
  table.join(kA, unanswered);
  table.abandon(submit(kA, 1, 5, kChange));
  EXPECT_FALSE(table.may_start(submit(kB, 1, 5, kRead)));
  EXPECT_EQ(table.waited_for(), std::set<NodeId>{kA});
}

TEST_F(ShareTableTest, ANewChangeThatIsGivenUpLeavesNothing) {
  carry_out(kA, 1, 5);
  table.abandon(submit(kB, 1, 5, kChange));
  table.confirm(kA, 1);
  EXPECT_TRUE(table.empty());
}

TEST_F(ShareTableTest, ANewPrimaryWaitsForEverySharer) {
  table.expect({kA, kB});
  table.join(kB, {});
  auto read = submit(kB, 1, 5, kRead);
  EXPECT_FALSE(table.may_start(read));
  EXPECT_EQ(table.waited_for(), std::set<NodeId>{kA});
  std::vector<UnansweredChange> unanswered{change(9, 5)};
  table.join(kA, unanswered);
  EXPECT_FALSE(table.may_start(read));  // it could see what is about to be repeated
  auto repeated = submit(kA, 9, 5, kChange);
  EXPECT_TRUE(table.may_start(repeated));
  table.start(repeated);
  table.answered(repeated);
  table.confirm(kA, 9);
  EXPECT_TRUE(table.may_start(read));
}

TEST_F(ShareTableTest, NobodyIsWaitedForWhileNothingWaits) {
  table.expect({kA});
  EXPECT_TRUE(table.waited_for().empty());
}

TEST_F(ShareTableTest, ANewProcessNamesWhatItWasSentAgain) {
  carry_out(kA, 1, 5);
  auto other = submit(kB, 1, 5, kRead);
  std::vector<UnansweredChange> resent{change(1000, 5)};
  table.join(kA, resent);
  EXPECT_FALSE(table.may_start(other));
  auto repeated = submit(kA, 1000, 5, kChange);
  EXPECT_TRUE(table.may_start(repeated));
}

// Seed 1795778237: what a snapshot had seen took force once more, over what had passed it.
TEST_F(ShareTableTest, AChangeThatIsNamedDoesNotPassWhatWasCarriedOut) {
  carry_out(kB, 1, 6);
  submit(kA, 1, 6, kChange);  // waits, and stands before the next
  carry_out(kA, 2, 5);
  const UnansweredChange named[] = {change(1, 6), change(9, 5)};
  table.join(kB, named);
  auto place = submit(kB, 9, 5, kChange);
  EXPECT_FALSE(table.may_start(place));
  table.confirm(kA, 2);
  EXPECT_TRUE(table.may_start(place));
}

TEST_F(ShareTableTest, WhoIsForgottenHoldsNothing) {
  table.expect({kA});
  std::vector<UnansweredChange> unanswered{change(9, 5)};
  table.join(kA, unanswered);
  auto read = submit(kB, 1, 5, kRead);
  EXPECT_FALSE(table.may_start(read));
  table.forget(kA);
  EXPECT_TRUE(table.may_start(read));
}

}  // namespace
}  // namespace cleat::core
