#include "control/host_manager.h"

#include "control/testing/fake_cluster.h"

namespace cleat::control {
namespace {

using HostTest = FakeCluster;

TEST_F(HostTest, AttachIsRepeatableAndRefusedElsewhere) {
  create("data1");
  auto first = attach("data1", "n1");
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->attachment().device(), "/dev/cleat/data1");
  EXPECT_EQ(first->epoch(), 1U);
  EXPECT_TRUE(attach("data1", "n1"));
  auto elsewhere = attach("data1", "n2");
  EXPECT_EQ(elsewhere.error().code, Code::kBusy);
  EXPECT_NE(elsewhere.error().message.find("attached on n1"), std::string::npos);
  EXPECT_EQ(attach("data1", "n2", true).error().code, Code::kBusy)
      << "n1 serves it: force is no help";
}

TEST_F(HostTest, OfTwoAttachesAtOnceOneWinsAndIsNotTakenBackByTheOther) {
  create("data1");
  state(2).before_attach = [&] { ASSERT_TRUE(attach("data1", "n1")); };
  auto slower = attach("data1", "n2");
  EXPECT_EQ(slower.error().code, Code::kBusy);
  EXPECT_NE(slower.error().message.find("data1 is attached on n1"), std::string::npos)
      << slower.error().message;
  EXPECT_EQ(inspect("data1").state(), v1::VOLUME_STATE_ATTACHED);
  EXPECT_EQ(inspect("data1").attachment().node(), "n1");
  EXPECT_EQ(remove("data1").error().code, Code::kBusy);
}

// It is the record's primary already, and has no device yet.
TEST_F(HostTest, AnAttachThatIsUnderWayIsNotTakenOver) {
  VolumeId id = create("data1");
  auto raised = records.load(id);
  raised->value.primary = NodeId{1};
  ASSERT_TRUE(records.compare_and_store(raised->revision, raised->value));
  state(1).attaching.insert(id);
  EXPECT_EQ(attach("data1", "n2").error().code, Code::kBusy);
  EXPECT_NE(attach("data1", "n2").error().message.find("being attached on n1"), std::string::npos);
  state(1).attaching.clear();
  EXPECT_TRUE(attach("data1", "n2")) << "its node started anew, and does not serve it";
}

TEST_F(HostTest, AnAttachThatFollowsADetachAtOnceIsNotForgottenByIt) {
  create("data1");
  ASSERT_TRUE(attach("data1", "n1"));
  for (const char* next : {"n2", "n2", "n1"}) {
    const int from = inspect("data1").attachment().node() == "n1" ? 1 : 2;
    state(from).after_detach = [&] { ASSERT_TRUE(attach("data1", next)); };
    ASSERT_TRUE(detach("data1"));
    EXPECT_EQ(inspect("data1").attachment().node(), next);
    EXPECT_EQ(inspect("data1").state(), v1::VOLUME_STATE_ATTACHED);
  }
}

TEST_F(HostTest, AnAttachAgainIsOnlyDoneWhereItIsAttached) {
  create("data1", 2);
  v1::AttachRequest again;
  again.set_volume("data1");
  again.set_node("n1");
  again.set_again(true);
  EXPECT_EQ(hosts.attach(again).error().code, Code::kNotFound);
  ASSERT_TRUE(attach("data1", "n2"));
  EXPECT_EQ(hosts.attach(again).error().code, Code::kNotFound);
  EXPECT_TRUE(inspect("data1").attachment().node() == "n2");
  again.set_node("n2");
  EXPECT_TRUE(hosts.attach(again));
}

TEST_F(HostTest, AFailedAttachLeavesTheVolumeDetached) {
  VolumeId id = create("data1");
  state(1).volume_call_fails = Code::kIoError;
  EXPECT_EQ(attach("data1", "n1").error().code, Code::kIoError);
  EXPECT_FALSE(load_volume(context, id)->spec.has_attachment());
}

TEST_F(HostTest, AnOfflineNodesVolumeIsTakenOverOnlyWithForce) {
  VolumeId id = create("data1", 3);
  ASSERT_TRUE(attach("data1", "n1"));
  kill(1);
  auto refused = attach("data1", "n2");
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("--force"), std::string::npos);
  auto taken = attach("data1", "n2", true);
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->epoch(), 2U);
  EXPECT_EQ(record(id).primary, NodeId{2});
}

TEST_F(HostTest, ANodeThatAnswersNobodyIsTakenOverWithForceThoughItsLeaseLives) {
  create("data1", 3);
  ASSERT_TRUE(attach("data1", "n1"));
  state(1).down = true;
  EXPECT_EQ(attach("data1", "n2").error().code, Code::kBusy);
  EXPECT_TRUE(attach("data1", "n2", true));
}

TEST_F(HostTest, AVolumeThatIsOnlyHealedIsAttachedAtOnce) {
  VolumeId id = create("data1", 2);
  ASSERT_TRUE(fakes[NodeId{1}]->ports().attach.heal(id));
  EXPECT_EQ(inspect("data1").state(), v1::VOLUME_STATE_DETACHED);
  EXPECT_TRUE(attach("data1", "n3"));
}

TEST_F(HostTest, DetachIsRepeatableAndRefusedWhileMounted) {
  create("data1");
  ASSERT_TRUE(attach("data1", "n1"));
  v1::MountRequest mount;
  mount.set_volume("data1");
  mount.set_path("/mnt/data1");
  auto mounted = hosts.mount(mount);
  ASSERT_TRUE(mounted) << mounted.error().message;
  EXPECT_TRUE(mounted->formatted());
  EXPECT_EQ(mounted->fs(), "ext4");
  EXPECT_EQ(inspect("data1").attachment().mount_paths(0), "/mnt/data1");
  auto refused = detach("data1");
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("/mnt/data1"), std::string::npos);
  v1::UnmountRequest unmount;
  unmount.set_volume("data1");
  ASSERT_TRUE(hosts.unmount(unmount));
  EXPECT_TRUE(detach("data1"));
  EXPECT_TRUE(detach("data1"));
  EXPECT_EQ(inspect("data1").state(), v1::VOLUME_STATE_DETACHED);
}

TEST_F(HostTest, MountNeedsADeviceHere) {
  VolumeId id = create("data1");
  v1::MountRequest mount;
  mount.set_volume("data1");
  mount.set_path("/mnt/x");
  EXPECT_EQ(hosts.mount(mount).error().code, Code::kBusy);
  v1::AttachRequest nbd;
  nbd.set_volume("data1");
  nbd.set_frontend(v1::FRONTEND_NBD);
  ASSERT_EQ(hosts.attach(nbd)->attachment().uri(), "nbd+unix:///data1");
  EXPECT_EQ(hosts.mount(mount).error().code, Code::kUnsupported);
  ASSERT_TRUE(detach("data1"));
  ASSERT_TRUE(attach("data1", "n1"));
  ASSERT_TRUE(hosts.mount(mount));
  state(1).attached.erase(id);  // its node started anew
  EXPECT_NE(hosts.mount(mount).error().message.find("attach it again"), std::string::npos);
}

TEST_F(HostTest, AGrownVolumesFileSystemGrowsNowOrAtTheNextMount) {
  create("data1");
  v1::ResizeVolumeRequest resize;
  resize.set_volume("data1");
  auto resized = [&](uint64_t gib) {
    resize.set_size_bytes(gib * kGiB);
    auto out = volumes.resize(resize);
    EXPECT_TRUE(out) << out.error().message;
    return out->fs_growth();
  };
  EXPECT_NE(resized(20).find("next `cleat host mount data1`"), std::string::npos);
  EXPECT_FALSE(inspect("data1").fs_growth().empty());

  ASSERT_TRUE(attach("data1", "n2"));
  v1::MountRequest mount;
  mount.set_volume("data1");
  mount.set_node("n2");
  mount.set_path("/mnt/x");
  ASSERT_TRUE(hosts.mount(mount));
  EXPECT_EQ(inspect("data1").fs_growth(), "");
  EXPECT_EQ(resized(30), "") << "it is mounted, so it grows now";

  state(2).growth_refused = "the kernel refuses";
  EXPECT_NE(resized(40).find("(the kernel refuses)"), std::string::npos);
  mount.set_path("/mnt/y");
  ASSERT_TRUE(hosts.mount(mount));
  EXPECT_FALSE(inspect("data1").fs_growth().empty()) << "a second mount of it grows nothing";
  state(2).growth_refused.clear();
  EXPECT_EQ(resized(40), "") << "a repeated resize grows what is behind";
  EXPECT_EQ(inspect("data1").fs_growth(), "");
}

TEST_F(HostTest, AMaintenanceNodeTakesNoAttach) {
  create("data1");
  v1::MaintenanceRequest in;
  in.set_node("n2");
  in.set_enter(true);
  ASSERT_TRUE(nodes.maintenance(in));
  EXPECT_EQ(attach("data1", "n2").error().code, Code::kBusy);
  in.set_enter(false);
  ASSERT_TRUE(nodes.maintenance(in));
  EXPECT_TRUE(attach("data1", "n2"));
}

}  // namespace
}  // namespace cleat::control
