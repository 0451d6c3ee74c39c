#include "engine/volume.h"

#include <gtest/gtest.h>

#include "engine/testing/volume_fixture.h"

namespace cleat::engine {
namespace {

using namespace std::chrono_literals;

TEST_F(VolumeTest, AttachesAndDetaches) {
  attach();
  EXPECT_TRUE(loop.wait(volume->write(BlockRange{1, 1}, block.span(), WriteFlags::kNone)));
  EXPECT_TRUE(loop.wait(volume->flush()));
  EXPECT_EQ(replicas[1].count(wire::Type::kWrite), 1U);
  EXPECT_TRUE(loop.wait(volume->detach()));
  EXPECT_TRUE(registry.record().clean);
  EXPECT_EQ(registry.record().primary, NodeId{});
}

// Found by seed 304: a member that lost its power in the middle of an attach was noticed by nobody.
TEST_F(VolumeTest, AnAttachGoesOnWithoutAMemberThatFallsSilent) {
  replicas[1].silent_from = wire::Type::kSetGeneration;
  attach();
  EXPECT_LE(loop.now().time_since_epoch(), Duration(10s));
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0}));
}

// Found by seed 162: an attach that was overtaken waited for a member that had lost its power, for
// as long as a call may take.
TEST_F(VolumeTest, AnAttachThatWasOvertakenEndsThoughAMemberIsSilent) {
  replicas[1].silent_from = wire::Type::kSetGeneration;
  replicas[0].fails = [](const wire::Header& call) -> std::optional<Error> {
    if (call.type != wire::Type::kHeartbeat) return std::nullopt;
    return Error{Code::kStaleEpoch, 0, "overtaken"};
  };
  VolumeContext context = make_context();
  auto attached = loop.wait(Volume::attach(std::move(context), VolumeId(7), {}));
  EXPECT_FALSE(attached);
  EXPECT_LE(loop.now().time_since_epoch(), Duration(10s));
}

TEST_F(VolumeTest, ARestoreThatWasCutShortIsFinishedByTheNextAttach) {
  attach();
  ASSERT_TRUE(loop.wait(volume->snapshot(snapshot_of(5))));
  replicas[1].silent_from = wire::Type::kRestore;
  bool returned = false;
  auto restore = [](Volume& at, bool& done) -> io::Task<void> {
    auto restored = co_await at.restore(SnapshotId(5));
    EXPECT_FALSE(restored);
    done = true;
  };
  loop.spawn(restore(*volume, returned));
  loop.run_until(loop.now() + 50ms);
  EXPECT_EQ(registry.record().restoring, SnapshotId(5));
  loop.wait(volume->stop());
  loop.run_until(loop.now() + 1s);
  EXPECT_TRUE(returned);
  for (FakeReplica& replica : replicas) {
    replica.silent = false;
    replica.silent_from.reset();
    replica.calls.clear();
  }
  attach({.take_over = true, .earlier_process = true});
  EXPECT_EQ(replicas[0].count(wire::Type::kRestore), 1U);
  EXPECT_EQ(replicas[1].count(wire::Type::kRestore), 1U);
  EXPECT_EQ(registry.record().restoring, SnapshotId{});
}

// Found by seed 69: the replica had frozen another state under the same id, in an attempt that
// failed, and was away when the others repeated it.
TEST_F(VolumeTest, ASnapshotFrozenInAFailedAttemptIsMadeAnew) {
  attach();
  ASSERT_TRUE(loop.wait(volume->snapshot(snapshot_of(4))));
  loop.run_until(loop.now() + 8s);
  replicas[1].fails = [](const wire::Header&) { return Error{Code::kUnreachable, 0, "gone"}; };
  loop.run_until(loop.now() + 3s);
  ASSERT_EQ(volume->status().in_sync, (core::MemberSet{0}));
  ASSERT_TRUE(loop.wait(volume->snapshot(snapshot_of(5))));
  replicas[1].fence.snapshots = {SnapshotId(4), SnapshotId(5)};
  replicas[1].calls.clear();
  replicas[1].fails = nullptr;
  loop.run_until(loop.now() + 5s);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
  std::vector<SnapshotId> deleted;
  std::vector<SnapshotId> frozen;
  for (const wire::Header& call : replicas[1].calls) {
    if (call.type == wire::Type::kDeleteSnapshot) deleted.push_back(call.snapshot);
    if (call.type == wire::Type::kFreeze) frozen.push_back(call.snapshot);
  }
  EXPECT_EQ(deleted, std::vector<SnapshotId>{SnapshotId(5)});
  EXPECT_EQ(frozen, std::vector<SnapshotId>{SnapshotId(5)});
}

TEST_F(VolumeTest, ASnapshotHoldsNoWritesWhileTheMetadataIsAway) {
  attach();
  registry.away = true;
  auto take = [](Volume& at) -> io::Task<void> {
    auto taken = co_await at.snapshot(snapshot_of(5));
    EXPECT_TRUE(taken);
  };
  loop.spawn(take(*volume));
  loop.run_until(loop.now() + 1s);
  EXPECT_EQ(replicas[1].count(wire::Type::kFreeze), 1U);
  TimePoint begun = loop.now();
  EXPECT_TRUE(loop.wait(volume->write(BlockRange{1, 1}, block.span(), WriteFlags::kNone)));
  EXPECT_LE(loop.now() - begun, Duration(1s));
  EXPECT_TRUE(registry.record().snapshots.empty());
  registry.away = false;
  loop.run_until(loop.now() + 1s);
  EXPECT_EQ(registry.record().snapshots.size(), 1U);
}

// Its process lives, so it is never silent; with the writes held nothing else finds it.
TEST_F(VolumeTest, ASnapshotHoldsWritesNoLongerThanAnOperationMayTake) {
  attach();
  loop.run_until(loop.now() + 8s);
  replicas[1].stuck_at = wire::Type::kFreeze;
  std::optional<Result<void>> taken;
  auto take = [&](Volume& at) -> io::Task<void> { taken = co_await at.snapshot(snapshot_of(5)); };
  loop.spawn(take(*volume));
  loop.run_until(loop.now() + 1s);
  std::optional<Result<void>> written;
  loop.spawn(write_one(3, written));
  loop.run_until(loop.now() + kOperationTimeout + 2s);
  ASSERT_TRUE(written) << "its writes wait for a disk that does not answer";
  EXPECT_TRUE(*written);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(*taken);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0}));
}

// Its list of writes was being made equal; a generation that was called stable meanwhile hid what
// differed from the resync.
TEST_F(VolumeTest, R7NoGenerationIsStableBeforeTheMembersAreEqual) {
  registry.edit().generation = Generation(5);
  registry.edit().clean = false;
  for (FakeReplica& replica : replicas) replica.fence.reply.generation = Generation(9);
  replicas[0].fence.reply.recent = {{Seq(3), BlockRange{10, 1}}};
  replicas[1].takes = [](const wire::Header& call) -> Duration {
    return call.type == wire::Type::kDigest ? 9s : 0s;
  };
  replicas[1].fails = [](const wire::Header& call) -> std::optional<Error> {
    if (call.type != wire::Type::kDigest) return std::nullopt;
    return Error{Code::kUnreachable, 0, "gone"};
  };
  attach();
  ASSERT_EQ(registry.record().find(1)->state, core::ReplicaState::kStale);
  EXPECT_EQ(registry.record().find(1)->left_at, Generation(5));
  EXPECT_EQ(replicas[0].count(wire::Type::kForgetDirty), 0U);
}

// The replica that was to repair the other had missed a write while the repair waited.
TEST_F(VolumeTest, R9ARepairTakesNothingFromAReplicaThatLeft) {
  attach();
  replicas[0].fails = [](const wire::Header& call) -> std::optional<Error> {
    if (call.type != wire::Type::kRead) return std::nullopt;
    return Error{Code::kIoError, 5, "bad sector"};
  };
  replicas[1].fails = [](const wire::Header& call) -> std::optional<Error> {
    if (call.type != wire::Type::kWrite) return std::nullopt;
    return Error{Code::kIoError, 5, "bad sector"};
  };
  std::optional<Result<void>> read;
  std::optional<Result<void>> written;
  AlignedBuffer into{kBlockSize};
  auto read_one = [](Volume& at, MutableBuffer to,
                     std::optional<Result<void>>& outcome) -> io::Task<void> {
    outcome = co_await at.read(BlockRange{5, 1}, to);
  };
  loop.spawn(read_one(*volume, into.span(), read));
  loop.spawn(write_one(5, written));
  loop.run_until(loop.now() + 300ms);
  ASSERT_TRUE(read && *read);
  ASSERT_TRUE(written && *written);
  ASSERT_EQ(registry.record().find(1)->state, core::ReplicaState::kStale);
  EXPECT_EQ(replicas[1].count(wire::Type::kRead), 1U) << "it lacks the write";
  EXPECT_EQ(replicas[0].count(wire::Type::kWrite), 1U);
}

// Memory that a disk has can't be taken back, so those who wait for it wait on; nobody else does.
TEST_F(VolumeTest, AReplicaHereWhoseDiskIsStuckLeaves) {
  attach();
  replicas[0].takes = [](const wire::Header& call) -> Duration {  // a fence waits for the write
    return call.type == wire::Type::kWrite || call.type == wire::Type::kFence ? 1h : 0s;
  };
  std::optional<Result<void>> stuck;
  loop.spawn(write_one(1, stuck));
  loop.run_until(loop.now() + 15s);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1})) << "slow is not dead";
  loop.run_until(loop.now() + 10s);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{1}));
  EXPECT_EQ(registry.record().find(0)->state, core::ReplicaState::kStale);
  EXPECT_TRUE(loop.wait(volume->write(BlockRange{2, 1}, block.span(), WriteFlags::kNone)));
  EXPECT_TRUE(loop.wait(volume->flush()));
  EXPECT_TRUE(loop.wait(volume->read(BlockRange{3, 1}, block.span())));
  EXPECT_FALSE(loop.wait(volume->snapshot(snapshot_of(4)))) << "and does not hold the others";
  EXPECT_TRUE(loop.wait(volume->write(BlockRange{2, 1}, block.span(), WriteFlags::kNone)));
  EXPECT_FALSE(stuck);
  replicas[0].takes = nullptr;
  loop.run_until(loop.now() + 2h);
  ASSERT_TRUE(stuck);
  EXPECT_TRUE(*stuck);
  EXPECT_EQ(volume->status().in_sync, (core::MemberSet{0, 1}));
}

// R1 for a group: while the hold is on no write is acknowledged, and a snapshot under it holds what
// was acknowledged before.
TEST_F(VolumeTest, HeldWritesWaitForTheRelease) {
  attach();
  ASSERT_TRUE(loop.wait(volume->write_hold().begin(9, 2s)));
  EXPECT_EQ(loop.wait(volume->write_hold().begin(10, 2s)).error().code, Code::kConflict);
  bool written = false;
  auto write = [](Volume& at, ConstBuffer data, bool& done) -> io::Task<void> {
    auto acknowledged = co_await at.write(BlockRange{1, 1}, data, WriteFlags::kNone);
    EXPECT_TRUE(acknowledged);
    done = true;
  };
  loop.spawn(write(*volume, block.span(), written));
  ASSERT_TRUE(loop.wait(volume->snapshot(snapshot_of(5))));
  loop.run_until(loop.now() + 1s);
  EXPECT_FALSE(written);
  EXPECT_EQ(replicas[1].count(wire::Type::kWrite), 0U);
  EXPECT_EQ(volume->write_hold().release(10).error().code, Code::kConflict);
  EXPECT_TRUE(volume->write_hold().release(9));
  loop.run_until(loop.now() + 100ms);
  EXPECT_TRUE(written);
  EXPECT_EQ(volume->write_hold().release(9).error().code, Code::kConflict);
}

TEST_F(VolumeTest, AHoldThatNobodyReleasesEnds) {
  attach();
  ASSERT_TRUE(loop.wait(volume->write_hold().begin(9, 500ms)));
  TimePoint begun = loop.now();
  EXPECT_TRUE(loop.wait(volume->write(BlockRange{1, 1}, block.span(), WriteFlags::kNone)));
  EXPECT_GE(loop.now() - begun, Duration(400ms));
  EXPECT_LE(loop.now() - begun, Duration(1s));
  EXPECT_EQ(volume->write_hold().release(9).error().code, Code::kConflict);
  EXPECT_TRUE(loop.wait(volume->write_hold().begin(10, 2s)));
  EXPECT_TRUE(loop.wait(volume->detach())) << "a hold is no reason not to detach";
}

TEST_F(VolumeTest, NoReplicaGoesThatLeavesFewerInSyncThanAskedFor) {
  attach();
  auto refused = loop.wait(volume->remove_replica(1, 2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_EQ(registry.record().replicas.size(), 2U);
  EXPECT_TRUE(loop.wait(volume->remove_replica(1, 1)));
  EXPECT_EQ(registry.record().replicas.size(), 1U);
  EXPECT_EQ(loop.wait(volume->remove_replica(0, 0)).error().code, Code::kConflict)
      << "never the last one";
}

// Found by seed 172 of the simulator: heartbeats that each waited for a fence of their own
// outlasted whoever came after them, so that a detach never returned.
TEST_F(VolumeTest, ADetachReturnsWhenTheLastReplicaStaysSilent) {
  attach();
  replicas[1].fails = [](const wire::Header&) { return Error{Code::kUnreachable, 0, "gone"}; };
  loop.run_until(loop.now() + 3s);
  ASSERT_EQ(volume->status().in_sync, (core::MemberSet{0}));
  replicas[0].silent = true;
  loop.run_until(loop.now() + 10s);
  TimePoint begun = loop.now();
  auto detached = loop.wait(volume->detach());
  EXPECT_FALSE(detached);
  EXPECT_LE(loop.now() - begun, 60s);
  EXPECT_FALSE(registry.record().clean);
}

}  // namespace
}  // namespace cleat::engine
