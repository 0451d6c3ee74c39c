#include "control/snapshot_manager.h"

#include "control/testing/fake_cluster.h"

namespace cleat::control {
namespace {

using SnapshotTest = FakeCluster;

TEST_F(SnapshotTest, ASnapshotIsListedLikeAVolume) {
  create("data1");
  auto made = snapshot("data1", "");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->name(), "data1.snap-20231114-221320");
  EXPECT_EQ(made->snapshot_of(), "data1");
  auto shown = inspect(made->name());
  EXPECT_EQ(shown.id(), made->id());
  EXPECT_EQ(inspect("data1").snapshots_size(), 1);
}

TEST_F(SnapshotTest, NamesAreUniqueAmongVolumesAndSnapshots) {
  create("data1");
  create("data2");
  ASSERT_TRUE(snapshot("data1", "s1"));
  EXPECT_TRUE(snapshot("data1", "s1")) << "a repeated call";
  EXPECT_EQ(snapshot("data2", "s1").error().code, Code::kAlreadyExists);
  EXPECT_EQ(snapshot("data1", "data2").error().code, Code::kAlreadyExists);
  EXPECT_EQ(volumes.create(request("s1")).error().code, Code::kAlreadyExists);
}

// It may be undone yet: whoever were told of it would keep a handle of nothing.
TEST_F(SnapshotTest, ARepeatedCallIsNotToldOfOneThatIsBeingMadeOrDeleted) {
  create("data1");
  auto made = snapshot("data1", "s1");
  ASSERT_TRUE(made);
  const SnapshotId id{*Keys::id_of(made->id())};
  for (auto state : {meta::Snapshot::CREATING, meta::Snapshot::DELETING, meta::Snapshot::UP}) {
    ASSERT_TRUE(update<meta::Snapshot>(store, keys.snapshot(id), [&](auto& now) {
      now.set_state(state);
      return true;
    }));
    auto again = snapshot("data1", "s1");
    const bool told = state == meta::Snapshot::UP;
    ASSERT_EQ(again.has_value(), told);
    EXPECT_TRUE(told ? again->id() == made->id() : again.error().code == Code::kConflict);
  }
}

TEST_F(SnapshotTest, AFailedSnapshotLeavesNothing) {
  create("data1");
  const size_t before = keys_left();
  state(1).volume_call_fails = Code::kLimit;
  EXPECT_EQ(snapshot("data1", "s1").error().code, Code::kLimit);
  EXPECT_EQ(keys_left(), before);
}

TEST_F(SnapshotTest, ACloneLivesWhereItsBaseIs) {
  VolumeId parent = create("data1", 2);
  ASSERT_TRUE(snapshot("data1", "s1"));
  auto made = clone("s1", "copy");
  ASSERT_TRUE(made) << made.error().message;
  VolumeId id{*Keys::id_of(made->id())};
  EXPECT_EQ(replica_nodes(id), replica_nodes(parent));
  EXPECT_EQ(record(id).parent_volume, parent);
  EXPECT_EQ(inspect("copy").parent_snapshot(), "s1");
  EXPECT_EQ(inspect("data1").clones(0), "copy");
  v1::DeleteSnapshotRequest in;
  in.set_snapshot("s1");
  auto refused = snapshots.remove(in);
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("copy"), std::string::npos);
  ASSERT_TRUE(remove("copy"));
  EXPECT_TRUE(snapshots.remove(in));
  EXPECT_TRUE(record(parent).snapshots.empty());
}

TEST_F(SnapshotTest, RestoreNeedsADetachedVolumeAndItsOwnSnapshot) {
  create("data1");
  create("data2");
  ASSERT_TRUE(snapshot("data1", "s1"));
  v1::RestoreVolumeRequest in;
  in.set_volume("data2");
  in.set_snapshot("s1");
  EXPECT_EQ(snapshots.restore(in).error().code, Code::kInvalidArgument);
  in.set_volume("data1");
  EXPECT_TRUE(snapshots.restore(in));
  ASSERT_TRUE(attach("data1", "n1"));
  EXPECT_EQ(snapshots.restore(in).error().code, Code::kBusy);
}

TEST_F(SnapshotTest, TheLimitIsSaid) {
  context.limits.snapshots_per_volume = 2;
  create("data1");
  ASSERT_TRUE(snapshot("data1", "s1"));
  ASSERT_TRUE(snapshot("data1", "s2"));
  EXPECT_EQ(snapshot("data1", "s3").error().code, Code::kLimit);
}

}  // namespace
}  // namespace cleat::control
