#include "control/group_snapshots.h"

#include <atomic>

#include "control/testing/fake_cluster.h"

namespace cleat::control {
namespace {

class GroupSnapshotTest : public FakeCluster {
 protected:
  void SetUp() override {
    data = create("data");
    log = create("log");
    ASSERT_TRUE(attach("data", "n1"));
    ASSERT_TRUE(attach("log", "n2"));
    keys_before = keys_left();
  }
  static v1::SnapshotGroupRequest members(std::vector<std::pair<std::string, std::string>> named) {
    v1::SnapshotGroupRequest out;
    for (auto& [volume, name] : named) {
      auto* member = out.add_members();
      member->set_volume(volume);
      member->set_name(name);
    }
    return out;
  }
  v1::SnapshotGroupRequest both() { return members({{"data", "d1"}, {"log", "l1"}}); }
  void expect_nothing_left() {
    EXPECT_EQ(keys_left(), keys_before);
    EXPECT_TRUE(record(data).snapshots.empty());
    EXPECT_TRUE(record(log).snapshots.empty());
    EXPECT_TRUE(state(1).holds.empty());
    EXPECT_TRUE(state(2).holds.empty());
  }

  VolumeId data, log;
  size_t keys_before = 0;
};

TEST_F(GroupSnapshotTest, AllAreHeldWhileEachIsFrozen) {
  std::atomic<int> frozen = 0;
  for (int i : {1, 2}) {
    state(i).before_change = [&](VolumeId) {
      frozen += state(1).holds.contains(data) && state(2).holds.contains(log) ? 1 : 100;
    };
  }
  auto made = groups.create(both());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(frozen, 2);
  ASSERT_EQ(made->snapshots_size(), 2);
  EXPECT_EQ(made->snapshots(0).name(), "d1");
  EXPECT_EQ(made->snapshots(0).snapshot_group(), made->group());
  EXPECT_EQ(made->snapshots(1).state(), v1::VOLUME_STATE_DETACHED);
  EXPECT_TRUE(state(1).holds.empty());
  EXPECT_EQ(inspect("l1").snapshot_group(), made->group());
}

TEST_F(GroupSnapshotTest, ARepeatedCallFindsTheGroup) {
  auto made = groups.create(both());
  ASSERT_TRUE(made);
  auto again = groups.create(both());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->group(), made->group());
  EXPECT_EQ(again->held_ms(), 0U);
  EXPECT_EQ(groups.create(members({{"data", "d1"}})).error().code, Code::kAlreadyExists);
  EXPECT_EQ(groups.create(members({{"data", "d1"}, {"log", "l2"}})).error().code,
            Code::kAlreadyExists);
}

TEST_F(GroupSnapshotTest, OneThatFailsLeavesNoHalfGroup) {
  state(2).volume_call_fails = Code::kIoError;
  EXPECT_EQ(groups.create(both()).error().code, Code::kIoError);
  expect_nothing_left();
  EXPECT_TRUE(groups.create(both()));
}

TEST_F(GroupSnapshotTest, AHoldThatEndedTooSoonSpoilsIt) {
  state(2).holds_expire = true;
  EXPECT_EQ(groups.create(both()).error().code, Code::kConflict);
  expect_nothing_left();
}

TEST_F(GroupSnapshotTest, ADetachedMemberMustStayDetached) {
  ASSERT_TRUE(detach("log"));
  ASSERT_TRUE(groups.create(both()));
  bool done = false;
  state(1).before_change = [&](VolumeId) {
    if (std::exchange(done, true)) return;
    EXPECT_TRUE(attach("log", "n3"));
  };
  auto spoilt = groups.create(members({{"data", "d2"}, {"log", "l2"}}));
  ASSERT_FALSE(spoilt);
  EXPECT_EQ(spoilt.error().code, Code::kConflict);
  EXPECT_EQ(record(data).snapshots.size(), 1U);
  EXPECT_EQ(inspect("data").snapshots_size(), 1);
}

// Whoever made it died after the layers were frozen: the snapshots are never seen as made.
TEST_F(GroupSnapshotTest, TheReconcilerTakesAHalfMadeGroupBack) {
  state(2).before_change = [&](VolumeId) { state(2).down = true; };
  EXPECT_FALSE(groups.create(both()));
  state(2).before_change = nullptr;
  revive(2);
  state(2).holds.clear();  // a real one ends by itself
  pass_time(120);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(reconciler.run_once());
  EXPECT_TRUE(record(data).snapshots.empty());
  EXPECT_TRUE(record(log).snapshots.empty());
  EXPECT_EQ(inspect("data").snapshots_size() + inspect("log").snapshots_size(), 0);
  EXPECT_TRUE(groups.create(both()));
}

TEST_F(GroupSnapshotTest, BadRequests) {
  EXPECT_EQ(groups.create({}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(groups.create(members({{"data", "a"}, {"data", "b"}})).error().code,
            Code::kInvalidArgument);
  EXPECT_EQ(groups.create(members({{"data", "a"}, {"log", "a"}})).error().code,
            Code::kInvalidArgument);
  EXPECT_EQ(groups.create(members({{"data", "log"}})).error().code, Code::kAlreadyExists);
  EXPECT_EQ(groups.create(members({{"nobody", "a"}})).error().code, Code::kNotFound);
  ASSERT_TRUE(snapshot("data", "alone"));
  EXPECT_EQ(groups.create(members({{"data", "alone"}})).error().code, Code::kAlreadyExists);
}

}  // namespace
}  // namespace cleat::control
