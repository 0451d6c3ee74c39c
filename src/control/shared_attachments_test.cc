#include "control/shared_attachments.h"

#include "control/findings.h"
#include "control/shared_entries.h"
#include "control/testing/shared_cluster.h"

namespace cleat::control {
namespace {

using SharedTest = SharedCluster;

TEST_F(SharedTest, EachNodeGetsADeviceAndTheFirstIsPrimary) {
  VolumeId id = create_shared("s");
  EXPECT_TRUE(inspect("s").shared());
  ASSERT_TRUE(attach("s", "n1"));
  auto second = attach("s", "n2");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->attachment().node(), "n2");
  EXPECT_EQ(second->attachment().device(), "/dev/cleat/s");
  EXPECT_EQ(second->epoch(), 1U) << "the primary stays";
  ASSERT_TRUE(attach("s", "n3"));
  EXPECT_TRUE(attach("s", "n2")) << "repeatable";
  EXPECT_TRUE(attach("s", "n1"));
  EXPECT_EQ(nodes_of("s"), "n1 n2 n3");
  EXPECT_EQ(sharers(id), (Ids{1, 2, 3}));
  EXPECT_EQ(record(id).epoch.value, 1U);
}

TEST_F(SharedTest, ASharerIsDetachedAlone) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  ASSERT_TRUE(detach("s", "n2"));
  EXPECT_EQ(nodes_of("s"), "n1 n3");
  EXPECT_EQ(sharers(id), (Ids{1, 3}));
  EXPECT_TRUE(detach("s", "n2")) << "repeatable";
  ASSERT_TRUE(detach("s"));
  EXPECT_EQ(inspect("s").state(), v1::VOLUME_STATE_DETACHED);
  EXPECT_EQ(sharers(id), Ids{});
  EXPECT_TRUE(remove("s"));
}

TEST_F(SharedTest, WhereThePrimaryIsDetachedAnotherBecomesIt) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n3", "n1", "n2"}) ASSERT_TRUE(attach("s", node));
  ASSERT_TRUE(detach("s", "n3"));
  EXPECT_EQ(nodes_of("s"), "n1 n2") << "n1 has a replica in sync";
  EXPECT_EQ(record(id).primary, NodeId{1});
  EXPECT_EQ(sharers(id), (Ids{1, 2}));
  EXPECT_TRUE(state(1).attached.contains(id));
  EXPECT_FALSE(state(1).through.contains(id));
}

TEST_F(SharedTest, ALostPrimaryIsReplacedByASharerAndExpelled) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  reconcile_for_a_while();
  EXPECT_EQ(nodes_of("s"), "n2 n3");
  EXPECT_EQ(record(id).primary, NodeId{2});
  EXPECT_EQ(record(id).epoch.value, 2U);
  EXPECT_EQ(sharers(id), (Ids{2, 3}));
  EXPECT_EQ(inspect("s").state(), v1::VOLUME_STATE_ATTACHED);
}

TEST_F(SharedTest, OnlyASharedVolumeIsOnSeveralNodes) {
  create("data1");
  ASSERT_TRUE(attach("data1", "n1"));
  auto refused = attach("data1", "n2");
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("only a shared volume"), std::string::npos);
}

TEST_F(SharedTest, NbdIsRefusedWithTheReason) {
  create_shared("s");
  v1::AttachRequest nbd;
  nbd.set_volume("s");
  nbd.set_frontend(v1::FRONTEND_NBD);
  auto refused = hosts.attach(nbd);
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_NE(refused.error().message.find("parts of blocks"), std::string::npos);
}

TEST_F(SharedTest, SixteenNodesAreTheLimit) {
  VolumeId id = create_shared("s");
  for (int i = 4; i <= 17; ++i) add_node(i);
  for (int i = 1; i <= 16; ++i) ASSERT_TRUE(attach("s", fmt::format("n{}", i))) << i;
  auto refused = attach("s", "n17");
  EXPECT_EQ(refused.error().code, Code::kLimit);
  EXPECT_NE(refused.error().message.find("16 nodes"), std::string::npos);
  EXPECT_TRUE(attach("s", "n16"));
  ASSERT_TRUE(detach("s", "n9"));
  EXPECT_TRUE(attach("s", "n17"));
  EXPECT_EQ(record(id).sharers.size(), 16U);
}

TEST_F(SharedTest, ANodeInMaintenanceKeepsWhatItHas) {
  create_shared("s");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  v1::MaintenanceRequest in;
  in.set_node("n2");
  in.set_enter(true);
  EXPECT_EQ(nodes.maintenance(in).error().code, Code::kBusy) << "it has a device there";
  in.set_force(true);
  ASSERT_TRUE(nodes.maintenance(in));
  EXPECT_TRUE(attach("s", "n2"));
  in.set_node("n3");
  ASSERT_TRUE(nodes.maintenance(in));
  EXPECT_EQ(attach("s", "n3").error().code, Code::kBusy);
}

TEST_F(SharedTest, ItIsSharedOrNotOnlyWhileItIsDetached) {
  create("data1");
  v1::UpdateVolumeRequest update;
  update.set_volume("data1");
  update.set_shared(true);
  ASSERT_TRUE(attach("data1", "n1"));
  auto refused = volumes.update(update);
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("attached on n1"), std::string::npos);
  ASSERT_TRUE(detach("data1"));
  ASSERT_TRUE(volumes.update(update)->shared());
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("data1", node));
  update.set_shared(false);
  EXPECT_NE(volumes.update(update).error().message.find("attached on n1, n2"), std::string::npos);
  ASSERT_TRUE(detach("data1"));
  EXPECT_FALSE(volumes.update(update)->shared());
  state(1).before_attach = [&] {
    update.set_shared(true);
    EXPECT_EQ(volumes.update(update).error().code, Code::kBusy) << "an attach is under way";
  };
  ASSERT_TRUE(attach("data1", "n1"));
  EXPECT_FALSE(inspect("data1").shared());
}

TEST_F(SharedTest, WhileAnyNodeHasItItIsInUse) {
  VolumeId id = create_shared("s");
  ASSERT_TRUE(snapshot("s", "s.1"));
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  v1::RestoreVolumeRequest restore;
  restore.set_volume("s");
  restore.set_snapshot("s.1");
  v1::UpdateVolumeRequest rename;
  rename.set_volume("s");
  rename.set_name("t");
  state(2).volume_call_fails = Code::kUnreachable;  // it does not become primary
  ASSERT_TRUE(detach("s", "n1"));
  ASSERT_EQ(record(id).primary, NodeId{});
  EXPECT_EQ(inspect("s").state(), v1::VOLUME_STATE_ATTACHED) << "it has a device still";
  EXPECT_EQ(remove("s", true).error().code, Code::kBusy);
  ASSERT_TRUE(reconciler.run_once());
  ASSERT_TRUE(attach("s", "n3"));
  state(3).volume_call_fails = Code::kIoError;
  ASSERT_TRUE(detach("s", "n2"));
  ASSERT_EQ(record(id).primary, NodeId{});
  const v1::Volume waiting = inspect("s");
  EXPECT_EQ(waiting.state(), v1::VOLUME_STATE_ATTACHED);
  EXPECT_EQ(waiting.status(), v1::VOLUME_STATUS_DOWN);
  EXPECT_FALSE(waiting.has_attachment());
  EXPECT_EQ(waiting.shared_attachments(0).node(), "n3");
  EXPECT_EQ(remove("s", true).error().code, Code::kBusy);
  EXPECT_EQ(volumes.update(rename).error().code, Code::kBusy);
  EXPECT_EQ(snapshots.restore(restore).error().code, Code::kBusy);
  EXPECT_EQ(snapshot("s", "s.2").error().code, Code::kUnreachable) << "nobody serves it";
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n3");
  EXPECT_EQ(snapshot("s", "s.2").error().code, Code::kConflict) << "what that left is undone first";
  pass_time(61);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_TRUE(snapshot("s", "s.2"));
}

TEST_F(SharedTest, OfTwoFirstAttachesAtOnceBothGetADevice) {
  VolumeId id = create_shared("s");
  state(2).before_attach = [&] { ASSERT_TRUE(attach("s", "n1")); };
  auto slower = attach("s", "n2");
  ASSERT_TRUE(slower) << slower.error().message;
  EXPECT_EQ(nodes_of("s"), "n1 n2");
  EXPECT_EQ(sharers(id), (Ids{1, 2}));
}

TEST_F(SharedTest, OfTwoFurtherAttachesAtOnceBothGetADevice) {
  VolumeId id = create_shared("s");
  ASSERT_TRUE(attach("s", "n1"));
  state(2).before_attach = [&] { ASSERT_TRUE(attach("s", "n3")); };
  ASSERT_TRUE(attach("s", "n2"));
  EXPECT_EQ(nodes_of("s"), "n1 n2 n3");
  EXPECT_EQ(sharers(id), (Ids{1, 2, 3}));
}

TEST_F(SharedTest, ThePrimaryIsDetachedWhileAnotherNodeAttaches) {
  VolumeId id = create_shared("s");
  ASSERT_TRUE(attach("s", "n1"));
  state(2).before_attach = [&] { ASSERT_TRUE(detach("s", "n1")); };
  auto attached = attach("s", "n2");
  ASSERT_TRUE(attached) << attached.error().message;
  EXPECT_EQ(nodes_of("s"), "n2");
  EXPECT_EQ(sharers(id), Ids{2});
  EXPECT_EQ(record(id).primary, NodeId{2});
}

TEST_F(SharedTest, ANodeAttachesWhileThePrimaryIsDetached) {
  VolumeId id = create_shared("s");
  ASSERT_TRUE(attach("s", "n1"));
  state(1).after_detach = [&] { ASSERT_TRUE(attach("s", "n2")); };
  ASSERT_TRUE(detach("s", "n1"));
  EXPECT_EQ(nodes_of("s"), "n2");
  EXPECT_EQ(sharers(id), Ids{2});
}

TEST_F(SharedTest, AnAttachThatFollowsADetachAtOnceIsNotForgottenByIt) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  state(2).after_detach = [&] { ASSERT_TRUE(attach("s", "n2")); };
  ASSERT_TRUE(detach("s", "n2"));
  EXPECT_EQ(nodes_of("s"), "n1 n2");
  state(1).after_detach = [&] { ASSERT_TRUE(attach("s", "n1")); };
  ASSERT_TRUE(detach("s", "n1"));
  const std::string now = nodes_of("s");
  EXPECT_TRUE(now == "n1 n2" || now == "n2 n1") << now;
  EXPECT_EQ(sharers(id), (Ids{1, 2}));
}

TEST_F(SharedTest, ADetachWhileTheNodeAttachesLosesNoDevice) {
  create_shared("s");
  ASSERT_TRUE(attach("s", "n1"));
  state(2).after_attach = [&] { ASSERT_TRUE(detach("s", "n2")); };
  ASSERT_TRUE(attach("s", "n2"));
  const std::string now = nodes_of("s");
  EXPECT_EQ(now, "n1 n2") << "whoever attached last says so, and can detach it";
  ASSERT_TRUE(detach("s", "n2"));
  EXPECT_EQ(nodes_of("s"), "n1");
}

TEST_F(SharedTest, ASharerIsDetachedWhileItIsToBecomePrimary) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  state(2).before_attach = [&] { ASSERT_TRUE(detach("s", "n2")); };
  ASSERT_TRUE(detach("s", "n1"));
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n3");
  EXPECT_EQ(sharers(id), Ids{3});
  EXPECT_FALSE(state(2).attached.contains(id));
}

TEST_F(SharedTest, AnAttachWhoseAnswerIsLostIsRepeated) {
  VolumeId id = create_shared("s");
  ASSERT_TRUE(attach("s", "n1"));
  state(2).attach_answer_lost = true;
  EXPECT_EQ(attach("s", "n2").error().code, Code::kUnreachable);
  EXPECT_EQ(remove("s").error().code, Code::kBusy);
  ASSERT_TRUE(attach("s", "n2"));
  EXPECT_EQ(nodes_of("s"), "n1 n2");
  state(3).attach_answer_lost = true;
  EXPECT_FALSE(attach("s", "n3"));
  ASSERT_TRUE(detach("s", "n3")) << "an attach that may have happened can be taken back";
  EXPECT_EQ(nodes_of("s"), "n1 n2");
  EXPECT_EQ(sharers(id), (Ids{1, 2}));
}

TEST_F(SharedTest, AFailedAttachLeavesNothing) {
  VolumeId id = create_shared("s");
  state(1).volume_call_fails = Code::kIoError;
  EXPECT_EQ(attach("s", "n1").error().code, Code::kIoError);
  EXPECT_FALSE(load_volume(context, id)->spec.has_attachment());
  ASSERT_TRUE(attach("s", "n1"));
  state(2).volume_call_fails = Code::kNoSpace;
  EXPECT_EQ(attach("s", "n2").error().code, Code::kNoSpace);
  EXPECT_EQ(nodes_of("s"), "n1");
}

TEST_F(SharedTest, AFarewellThatIsLostIsMadeUpFor) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  state(2).farewell_lost = true;
  ASSERT_TRUE(detach("s", "n2"));
  EXPECT_EQ(sharers(id), (Ids{1, 2}));
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(sharers(id), Ids{1});
  ASSERT_TRUE(attach("s", "n2"));
  ASSERT_TRUE(detach("s", "n2"));
  ASSERT_TRUE(detach("s", "n1"));
  EXPECT_EQ(sharers(id), Ids{2});
  EXPECT_EQ(inspect("s").state(), v1::VOLUME_STATE_DETACHED);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(sharers(id), Ids{}) << "the next primary waits for nobody";
}

TEST_F(SharedTest, APrimaryWithoutItsEntryIsAdopted) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  ASSERT_TRUE(update<meta::VolumeSpec>(store, keys.spec(id), [](auto& spec) {
    spec.clear_attachment();
    return true;
  }));
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n1 n2");
  EXPECT_EQ(record(id).epoch.value, 1U);
}

TEST_F(SharedTest, NodesAndListsCountEveryDevice) {
  create_shared("s");
  for (const char* node : {"n1", "n3"}) ASSERT_TRUE(attach("s", node));
  v1::InspectNodeRequest in;
  in.set_node("n3");
  EXPECT_EQ(nodes.inspect(in)->attached_count(), 1U);
  EXPECT_EQ(nodes.inspect(in)->attached_volumes(0), "s");
  v1::ListVolumesRequest list;
  list.set_node("n3");
  EXPECT_EQ(volumes.list(list)->volumes_size(), 1);
}

TEST_F(SharedTest, FindingsNameWhoIsOfflineOrExpelled) {
  VolumeId id = create_shared("s", 3);
  auto findings = [&] {
    std::string out;
    for (const auto& each : find_problems(context, *ClusterView::load(context), {})) {
      if (each.volume() == "s") out += each.what() + " | " + each.doing() + "\n";
    }
    return out;
  };
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  EXPECT_EQ(findings(), "");
  ASSERT_TRUE(fakes[NodeId{1}]->ports().attach.expel(id, NodeId{2}));
  EXPECT_NE(findings().find("The device of volume s on n2 fails"), std::string::npos);
  state(2).after_detach = [&] { EXPECT_FALSE(state(2).attached.contains(id)) << "the old one"; };
  ASSERT_TRUE(attach("s", "n2")) << "a new one is made";
  EXPECT_EQ(findings(), "");
  EXPECT_FALSE(state(2).after_detach) << "it ran";
  ASSERT_TRUE(detach("s", "n2"));
  ASSERT_TRUE(attach("s", "n3"));
  kill(1);
  EXPECT_NE(findings().find("is attached on n1, which is offline | n3 is about to become primary"),
            std::string::npos)
      << findings();
}

TEST_F(SharedTest, EveryDeviceLearnsTheNewSize) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  kill(3);
  v1::ResizeVolumeRequest resize;
  resize.set_volume("s");
  resize.set_size_bytes(2 * kGiB);
  state(2).volume_call_fails = Code::kTimedOut;
  auto refused = volumes.resize(resize);
  EXPECT_EQ(refused.error().code, Code::kTimedOut);
  EXPECT_NE(refused.error().message.find("repeat this"), std::string::npos);
  auto resized = volumes.resize(resize);
  ASSERT_TRUE(resized) << resized.error().message;
  EXPECT_EQ(state(2).device_blocks[id], 2 * kGiB / kBlockSize);
}

class SharedMountTest : public SharedTest {
 protected:
  void SetUp() override {
    create_shared("s");
    for (const char* node : {"n1", "n2"}) ASSERT_TRUE(attach("s", node));
  }
  Outcome<v1::MountResponse> mount(const std::string& node, bool read_only) {
    v1::MountRequest request;
    request.set_volume("s");
    request.set_node(node);
    request.set_path("/mnt/s");
    request.set_read_only(read_only);
    return hosts.mount(request);
  }
  Outcome<> unmount(const std::string& node) {
    v1::UnmountRequest request;
    request.set_volume("s");
    request.set_node(node);
    return hosts.unmount(request);
  }
};

TEST_F(SharedMountTest, OneNodeWritesOrSeveralRead) {
  ASSERT_TRUE(mount("n2", false)) << "through the primary, where it is not mounted";
  EXPECT_EQ(inspect("s").shared_attachments(0).mount_paths(0), "/mnt/s");
  auto refused = mount("n1", false);
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("mounted on n2 at /mnt/s for writing"), std::string::npos);
  EXPECT_EQ(mount("n1", true).error().code, Code::kBusy);
  EXPECT_EQ(detach("s", "n2").error().code, Code::kBusy) << "it is mounted";
  ASSERT_TRUE(unmount("n2"));
  ASSERT_TRUE(mount("n1", true));
  EXPECT_EQ(state(1).mount_options, (std::vector<std::string>{"ro", "noload"}));
  ASSERT_TRUE(mount("n2", true));
  EXPECT_EQ(mount("n3", true).error().code, Code::kBusy) << "not attached there";
  ASSERT_TRUE(unmount("n1"));
  EXPECT_EQ(mount("n1", false).error().code, Code::kBusy) << "n2 reads it";
}

TEST_F(SharedMountTest, ANodeThatCannotBeAskedMayHaveIt) {
  kill(2);
  auto refused = mount("n1", false);
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("can't be known"), std::string::npos);
  ASSERT_TRUE(detach("s", "n2", true));
  EXPECT_TRUE(mount("n1", false));
}

TEST_F(SharedMountTest, OfTwoThatMountAtOnceNoneIsLeftBesideAnother) {
  state(1).before_mount = [&] { EXPECT_TRUE(mount("n2", false)); };
  EXPECT_EQ(mount("n1", false).error().code, Code::kBusy);
  EXPECT_TRUE(state(1).mounts["/dev/cleat/s"].empty());
  EXPECT_FALSE(state(2).mounts["/dev/cleat/s"].empty());
}

TEST(SharedEntries, TakingBackRestoresWhatWas) {
  VolumeView before;
  before.record.primary = NodeId{1};
  before.record.sharers = {NodeId{1}, NodeId{2}};
  before.spec.mutable_attachment()->set_node(1);
  before.spec.add_shared_attachments()->set_node(2);
  meta::Attachment entry;
  entry.set_node(2);
  entry.set_claim(7);
  meta::VolumeSpec spec = before.spec;
  set_primary(spec, before.record, entry);
  EXPECT_EQ(spec.attachment().node(), 2U);
  ASSERT_EQ(spec.shared_attachments_size(), 1);
  EXPECT_TRUE(spec.shared_attachments(0).leaving());
  meta::VolumeSpec other = spec;
  other.mutable_attachment()->set_claim(8);
  EXPECT_FALSE(take_back_entry(other, before, entry, true)) << "claimed by somebody else";
  ASSERT_TRUE(take_back_entry(spec, before, entry, true));
  EXPECT_EQ(spec.SerializeAsString(), before.spec.SerializeAsString());
}

}  // namespace
}  // namespace cleat::control
