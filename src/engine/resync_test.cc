// A replica on its way back (R8), and what happens to a volume meanwhile.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/testing/volume_fixture.h"

namespace cleat::engine {
namespace {

using namespace std::chrono_literals;

constexpr const char* kGone = "gone";
std::optional<Error> unreachable(const wire::Header&) {
  return Error{Code::kUnreachable, 0, kGone};
}

class ResyncTest : public VolumeTest {
 protected:
  // Replica 1 answers digests so late that it syncs until the test ends that.
  void hold_the_copy() {
    replicas[0].dirty = {{0, 1}};
    replicas[1].takes = [](const wire::Header& call) -> Duration {
      return call.type == wire::Type::kDigest ? 60s : 0s;
    };
  }
  bool syncs(core::MemberIndex member) {
    VolumeStatus status = volume->status();
    return !status.in_sync.contains(member) && !status.unreachable.contains(member);
  }
  // Whether what was copied or compared on replica 1 has this region.
  bool compared(uint64_t region) const {
    return std::ranges::any_of(replicas[1].calls, [region](const wire::Header& call) {
      return call.type == wire::Type::kDigest && call.range.first / kBlocksPerRegion == region;
    });
  }
  io::Task<void> read_one(uint64_t at, std::optional<Result<void>>& outcome) {
    outcome = co_await volume->read(BlockRange{at, 1}, block.span());
  }
  io::Task<void> resize_to(uint64_t blocks, std::optional<Result<void>>& outcome) {
    outcome = co_await volume->resize(blocks);
  }
};

// A volume is opened to fence a lost node, and let go at once: that node has a replica as a rule.
TEST_F(ResyncTest, AVolumeThatIsLetGoAtOnceDoesNotWaitForAReplicaThatIsAway) {
  registry.edit().replicas[1].state = core::ReplicaState::kStale;
  replicas[1].fails = unreachable;
  replicas[1].takes = [](const wire::Header&) -> Duration { return 1s; };
  attach();
  loop.run_until(loop.now() + 10ms);
  const TimePoint before = loop.now();
  EXPECT_TRUE(loop.wait(volume->detach()));
  EXPECT_LT(loop.now() - before, 100ms);
}

// The join was stored and its answer lost. Whoever takes over then believes the record: it may
// reach, and fence, only the replica that joined.
TEST_F(ResyncTest, R5NoReadIsAnsweredWithoutAReplicaWhoseJoinMayHaveBeenStored) {
  attach();
  lose_and_return();
  registry.loses_answer = [](const core::VolumeRecord& stored) {
    return stored.find(1)->state == core::ReplicaState::kInSync;
  };
  loop.run_until(loop.now() + 3s);
  ASSERT_TRUE(registry.away);
  replicas[1].fails = unreachable;
  loop.run_until(loop.now() + 3s);
  std::optional<Result<void>> outcome;
  loop.spawn(read_one(1, outcome));
  loop.run_until(loop.now() + 2s);
  EXPECT_FALSE(outcome) << "it may be a read of what another primary has written since";

  registry.loses_answer = nullptr;
  registry.away = false;
  loop.run_until(loop.now() + 2s);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(*outcome) << "the replica has left by a transaction";
  EXPECT_EQ(registry.record().find(1)->state, core::ReplicaState::kStale);
}

TEST_F(ResyncTest, R10AWriteThatTimesOutDropsTheReplicaThatSyncs) {
  attach();
  lose_and_return();
  hold_the_copy();
  loop.run_until(loop.now() + 2s);
  ASSERT_TRUE(syncs(1));
  replicas[0].fails = unreachable;
  std::optional<Result<void>> outcome;
  loop.spawn(write_one(2000, outcome));
  loop.run_until(loop.now() + 4s);
  EXPECT_FALSE(outcome) << "I/O waits for the last replica in sync";
  loop.run_until(loop.now() + 6s);
  ASSERT_TRUE(outcome);
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().code, Code::kTimedOut);
  ASSERT_EQ(replicas[1].count(wire::Type::kWrite), 1U);
  EXPECT_FALSE(syncs(1)) << "it has the write that failed, and the other may not";

  replicas[0].fails = nullptr;
  replicas[1].takes = nullptr;
  loop.run_until(loop.now() + 70s);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
  EXPECT_GE(replicas[1].count(wire::Type::kFence), 3U) << "from the beginning";
}

TEST_F(ResyncTest, R8AsksForDirtyMapsOnlyAfterTheWritesThatBeganBefore) {
  attach();
  lose_and_return();
  replicas[0].takes = [](const wire::Header& call) -> Duration {
    return call.type == wire::Type::kWrite ? 5s : 0s;
  };
  std::optional<Result<void>> outcome;
  loop.spawn(write_one(9, outcome));
  loop.run_until(loop.now() + 3s);
  ASSERT_TRUE(syncs(1));
  EXPECT_EQ(replicas[0].count(wire::Type::kDirtyRegions), 0U) << "a write is not on its map yet";
  EXPECT_EQ(replicas[1].count(wire::Type::kDirtyRegions), 0U);
  loop.run_until(loop.now() + 5s);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(replicas[0].count(wire::Type::kDirtyRegions), 1U);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
}

TEST_F(ResyncTest, R8AMapThatDoesNotGoBackSoFarIsNotBelieved) {
  core::VolumeRecord& before = registry.edit();
  before.generation = Generation(10);
  before.find(0)->complete_from = Generation(9);
  before.find(1)->state = core::ReplicaState::kStale;
  before.find(1)->left_at = Generation(5);
  replicas[0].changed = [](const wire::Header& asked, std::optional<SnapshotId>) {
    return asked.range.first <= 512 ? BlockRange{512, 4} : BlockRange{};
  };
  attach();
  loop.run_until(loop.now() + 3s);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
  EXPECT_EQ(replicas[0].count(wire::Type::kDirtyRegions), 0U);
  EXPECT_TRUE(compared(2)) << "what it holds is compared";
}

TEST_F(ResyncTest, R8AMapThatGoesBackSoFarIsAllThatIsCompared) {
  core::VolumeRecord& before = registry.edit();
  before.generation = Generation(10);
  before.find(0)->complete_from = Generation(5);
  before.find(1)->state = core::ReplicaState::kStale;
  before.find(1)->left_at = Generation(5);
  replicas[0].dirty = {{3, 1}};
  replicas[1].dirty = {{4, 2}};
  attach();
  loop.run_until(loop.now() + 3s);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
  EXPECT_EQ(replicas[0].count(wire::Type::kNextChanged), 0U);
  EXPECT_TRUE(compared(3)) << "what it missed";
  EXPECT_TRUE(compared(4)) << "what only it has";
}

// Seed 751114: what was written after the snapshot, and forgotten because every replica had it, was
// taken for part of the snapshot.
TEST_F(ResyncTest, R8ASnapshotIsRebuiltByWhatIsHeldWhateverTheMapsSay) {
  core::VolumeRecord& before = registry.edit();
  before.generation = Generation(10);
  before.snapshots = {snapshot_of(5)};
  before.find(1)->state = core::ReplicaState::kStale;
  before.find(1)->left_at = Generation(5);
  replicas[0].fence.snapshots = {SnapshotId(5)};
  replicas[0].dirty = {{3, 1}};
  replicas[0].changed = [](const wire::Header& asked, std::optional<SnapshotId>) {
    bool snapshot = asked.snapshot == SnapshotId(5);
    return snapshot && asked.range.first <= 512 ? BlockRange{512, 4} : BlockRange{};
  };
  attach();
  loop.run_until(loop.now() + 3s);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
  EXPECT_TRUE(compared(2)) << "what the snapshot holds";
  EXPECT_TRUE(compared(3)) << "what the top's map says";
}

// After a restore a replica that was away has a top that the others have no more.
TEST_F(ResyncTest, R8ComparesBothWaysWhatLiesAboveAndBelowTheCommonSnapshot) {
  core::VolumeRecord& before = registry.edit();
  before.generation = Generation(10);
  core::SnapshotRecord snapshot = snapshot_of(5);
  snapshot.taken_at = Generation(3);
  before.snapshots = {snapshot};
  before.find(1)->state = core::ReplicaState::kNew;  // as finish_restore() leaves it
  before.find(1)->left_at = Generation(8);
  for (core::MemberIndex member : {core::MemberIndex{0}, core::MemberIndex{1}}) {
    replicas[member].fence.snapshots = {SnapshotId(5)};
    replicas[member].changed = [member](const wire::Header& asked,
                                        std::optional<SnapshotId> base) -> BlockRange {
      if (!base) return {};
      uint64_t region = member + (asked.snapshot == SnapshotId(5) ? 4U : 1U);
      uint64_t first = region * kBlocksPerRegion;
      return asked.range.first <= first ? BlockRange{first, 1} : BlockRange{};
    };
  }
  attach();
  loop.run_until(loop.now() + 3s);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
  EXPECT_TRUE(compared(1)) << "the source's top has what the snapshot lacks";
  EXPECT_TRUE(compared(2)) << "its own top has";
  EXPECT_TRUE(compared(4)) << "the snapshot has what the source's top lacks";
  EXPECT_TRUE(compared(5)) << "the snapshot has what its own top lacks";
}

// A snapshot is deleted while its content is being given to a replica: what came after it would be
// compared with too little, and then be taken for right.
TEST_F(ResyncTest, R8ASnapshotThatIsDeletedMeanwhileEndsTheAttempt) {
  core::VolumeRecord& before = registry.edit();
  before.snapshots = {snapshot_of(5), snapshot_of(6)};
  before.find(1)->state = core::ReplicaState::kNew;
  replicas[0].fence.snapshots = {SnapshotId(5), SnapshotId(6)};
  replicas[0].fails = [](const wire::Header& call) -> std::optional<Error> {
    if (call.snapshot != SnapshotId(5)) return std::nullopt;
    if (call.type != wire::Type::kNextChanged && call.type != wire::Type::kRead) return {};
    return Error{Code::kNotFound, 0, "no such snapshot"};
  };
  replicas[1].dirty = {{1, 1}};  // something to copy, whatever the snapshot is said to hold
  attach();
  loop.run_until(loop.now() + 3s);
  EXPECT_EQ(replicas[1].count(wire::Type::kFreeze), 0U);
  EXPECT_EQ(volume->status().in_sync, core::MemberSet{0});
}

TEST_F(ResyncTest, ASnapshotThatIsDeletedMeanwhileIsNoFailureOfTheSource) {
  core::VolumeRecord& before = registry.edit();
  before.replicas.push_back({2, NodeId(3), PoolId(3), core::ReplicaState::kInSync, Generation{}});
  before.snapshots = {snapshot_of(5)};
  before.find(1)->state = core::ReplicaState::kNew;
  for (FakeReplica& replica : replicas) replica.fence.snapshots = {SnapshotId(5)};
  replicas[1].fence.snapshots.clear();
  replicas[1].dirty = {{1, 1}};
  replicas[0].fails = [](const wire::Header& call) -> std::optional<Error> {
    if (call.type != wire::Type::kRead || call.snapshot != SnapshotId(5)) return std::nullopt;
    return Error{Code::kNotFound, 0, "no such snapshot"};
  };
  attach();
  loop.run_until(loop.now() + 2s);
  EXPECT_GE(replicas[0].count(wire::Type::kRead), 1U);
  EXPECT_TRUE(volume->status().in_sync.contains(0));
}

// It would be let in with the old size.
TEST_F(ResyncTest, NoReplicaBeginsToSyncDuringAResize) {
  attach();
  lose_and_return();
  replicas[0].takes = [](const wire::Header& call) -> Duration {
    return call.type == wire::Type::kResize ? 3s : 0s;
  };
  std::optional<Result<void>> resized;
  loop.spawn(resize_to(8192, resized));
  loop.run_until(loop.now() + 2s);
  EXPECT_FALSE(syncs(1) || volume->status().in_sync.contains(1));
  loop.run_until(loop.now() + 4s);
  ASSERT_TRUE(resized && *resized);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
  auto grown = std::ranges::find(replicas[1].calls, wire::Type::kResize, &wire::Header::type);
  ASSERT_NE(grown, replicas[1].calls.end());
  EXPECT_EQ(grown->range.first, 8192U);
}

TEST_F(ResyncTest, AReplicaThatSyncsGrowsWithTheVolume) {
  attach();
  lose_and_return();
  hold_the_copy();
  loop.run_until(loop.now() + 2s);
  ASSERT_TRUE(syncs(1));
  ASSERT_TRUE(loop.wait(volume->resize(8192)));
  EXPECT_EQ(replicas[1].count(wire::Type::kResize), 1U);
}

TEST_F(ResyncTest, AResizeWaitsForOneUnderWay) {
  attach();
  replicas[1].takes = [](const wire::Header& call) -> Duration {
    return call.type == wire::Type::kResize ? 2s : 0s;
  };
  std::optional<Result<void>> larger;
  std::optional<Result<void>> smaller;
  std::optional<Result<void>> largest;
  loop.spawn(resize_to(8192, larger));
  loop.run_until(loop.now() + 1s);
  loop.spawn(resize_to(6144, smaller));
  loop.spawn(resize_to(16384, largest));
  loop.run_until(loop.now() + 500ms);
  EXPECT_EQ(replicas[0].count(wire::Type::kResize), 1U) << "one after the other";
  loop.run_until(loop.now() + 10s);
  ASSERT_TRUE(larger && smaller && largest);
  EXPECT_TRUE(*larger);
  EXPECT_FALSE(*smaller) << "by then it would make the volume smaller";
  EXPECT_TRUE(*largest);
  EXPECT_EQ(registry.record().size_blocks, 16384U);
}

// One replica has grown and the other failed: the record keeps the old size, and a smaller growth
// than the one that was given up is none for the first.
TEST_F(ResyncTest, AResizeAfterOneThatFailedHalfWay) {
  attach();
  lose_and_return();
  replicas[0].fails = [](const wire::Header& call) -> std::optional<Error> {
    if (call.type != wire::Type::kResize) return std::nullopt;
    return Error{Code::kNoSpace, 0, "full"};
  };
  hold_the_copy();
  loop.run_until(loop.now() + 2s);
  ASSERT_TRUE(syncs(1));
  EXPECT_FALSE(loop.wait(volume->resize(8192)));
  EXPECT_EQ(registry.record().size_blocks, 4096U);
  EXPECT_EQ(replicas[1].count(wire::Type::kResize), 1U);
  replicas[0].fails = nullptr;
  ASSERT_TRUE(loop.wait(volume->resize(6144)));
  EXPECT_EQ(registry.record().size_blocks, 6144U);
  EXPECT_EQ(replicas[0].count(wire::Type::kResize), 2U);
}

}  // namespace
}  // namespace cleat::engine
