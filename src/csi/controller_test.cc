// Controller and GroupController against a cleatd that keeps volumes in a map: what is promised,
// above all that every call can be repeated, and cut short at each step.
#include <gtest/gtest.h>

#include "csi/lister.h"
#include "csi/names.h"
#include "csi/publisher.h"
#include "csi/snapshot_controller.h"
#include "csi/testing/fake_cleatd.h"
#include "csi/volume_controller.h"

namespace cleat::csi {
namespace {

using Mode = spec::VolumeCapability::AccessMode;

class ControllerTest : public ::testing::Test {
 protected:
  static spec::CreateVolumeRequest wish(const std::string& name, uint64_t size = kGiB) {
    spec::CreateVolumeRequest out;
    out.set_name(name);
    out.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(size));
    *out.add_volume_capabilities() = capability();
    return out;
  }
  static spec::VolumeCapability capability(Mode::Mode mode = Mode::SINGLE_NODE_WRITER) {
    spec::VolumeCapability out;
    out.mutable_mount();
    out.mutable_access_mode()->set_mode(mode);
    return out;
  }
  spec::Volume create(const spec::CreateVolumeRequest& request) {
    auto made = volumes.create(request);
    EXPECT_TRUE(made) << made.error().message;
    return made ? made->volume() : spec::Volume{};
  }
  std::string create(const std::string& name) { return create(wish(name)).volume_id(); }
  Outcome<> remove(const std::string& id) {
    spec::DeleteVolumeRequest request;
    request.set_volume_id(id);
    return volumes.remove(request);
  }
  std::string snapshot(const std::string& volume, const std::string& name) {
    spec::CreateSnapshotRequest request;
    request.set_source_volume_id(volume);
    request.set_name(name);
    auto made = snapshots.create(request);
    EXPECT_TRUE(made) << made.error().message;
    return made ? made->snapshot().snapshot_id() : "";
  }
  static spec::CreateVolumeRequest from_volume(const std::string& name, const std::string& source) {
    auto out = wish(name);
    out.mutable_volume_content_source()->mutable_volume()->set_volume_id(source);
    return out;
  }
  Outcome<spec::ControllerPublishVolumeResponse> publish(const std::string& volume,
                                                         const std::string& node,
                                                         bool read_only = false) {
    spec::ControllerPublishVolumeRequest request;
    request.set_volume_id(volume);
    request.set_node_id(node);
    request.set_readonly(read_only);
    *request.mutable_volume_capability() = capability();
    return publisher.publish(request);
  }
  Outcome<> unpublish(const std::string& volume, const std::string& node) {
    spec::ControllerUnpublishVolumeRequest request;
    request.set_volume_id(volume);
    request.set_node_id(node);
    return publisher.unpublish(request);
  }
  FakeState& state() { return fake.state(); }

  FakeCleatd fake;
  Cleatd cleatd{{fake.address(), "", 5s}};
  InFlight in_flight;
  VolumeController volumes{cleatd, in_flight};
  Publisher publisher{cleatd, in_flight, 2};
  SnapshotController snapshots{cleatd, in_flight};
  Lister lister{cleatd};
};

TEST_F(ControllerTest, ARepeatedCreateFindsItsVolume) {
  auto request = wish("pvc-1");
  (*request.mutable_parameters())["repl"] = "2";
  (*request.mutable_parameters())["mount_options"] = "noatime";
  auto made = create(request);
  EXPECT_EQ(made.capacity_bytes(), static_cast<int64_t>(kGiB));
  EXPECT_EQ(made.volume_context().at("mount_options"), "noatime");
  EXPECT_EQ(create(request).volume_id(), made.volume_id());
  EXPECT_EQ(state().count("Create "), 1);
  request.mutable_capacity_range()->set_required_bytes(1);
  request.mutable_capacity_range()->set_limit_bytes(static_cast<int64_t>(2 * kGiB));
  EXPECT_EQ(create(request).volume_id(), made.volume_id()) << "its size is in the range";
  request.mutable_capacity_range()->set_limit_bytes(static_cast<int64_t>(kMiB));
  EXPECT_EQ(volumes.create(request).error().code, Code::kAlreadyExists);
  request = wish("pvc-1");
  EXPECT_EQ(volumes.create(request).error().code, Code::kAlreadyExists) << "other parameters";
}

TEST_F(ControllerTest, ARepeatedCreateIsStillItsOwnAfterTheVolumeChanged) {
  auto made = create(wish("pvc-1"));
  spec::ControllerExpandVolumeRequest expand;
  expand.set_volume_id(made.volume_id());
  expand.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(3 * kGiB));
  auto grown = volumes.expand(expand);
  ASSERT_TRUE(grown);
  EXPECT_EQ(grown->capacity_bytes(), static_cast<int64_t>(3 * kGiB));
  EXPECT_TRUE(grown->node_expansion_required());
  EXPECT_EQ(create(wish("pvc-1")).volume_id(), made.volume_id());
  ASSERT_TRUE(volumes.expand(expand));
  EXPECT_EQ(state().count("Resize"), 1) << "it has the size already";
  expand.mutable_capacity_range()->set_required_bytes(1);
  expand.mutable_capacity_range()->set_limit_bytes(4096);
  EXPECT_EQ(volumes.expand(expand).error().code, Code::kOutOfRange);
}

TEST_F(ControllerTest, ACreateThatWasCutShortIsFinished) {
  create("pvc-1");
  state().find("pvc-1")->set_state(api::VOLUME_STATE_CREATING);
  create("pvc-1");
  EXPECT_EQ(state().find("pvc-1")->state(), api::VOLUME_STATE_DETACHED);
}

TEST_F(ControllerTest, BadCreates) {
  EXPECT_EQ(volumes.create(wish("")).error().code, Code::kInvalidArgument);
  auto request = wish("a");
  request.clear_volume_capabilities();
  EXPECT_EQ(volumes.create(request).error().code, Code::kInvalidArgument);
  request = wish("a");
  *request.mutable_volume_capabilities(0) = capability(Mode::MULTI_NODE_MULTI_WRITER);
  EXPECT_EQ(volumes.create(request).error().code, Code::kInvalidArgument);
  request = wish("a");
  (*request.mutable_parameters())["fs"] = "xfs";
  request.mutable_volume_capabilities(0)->mutable_mount()->set_fs_type("ext4");
  EXPECT_EQ(volumes.create(request).error().code, Code::kInvalidArgument);
  request = wish("a");
  request.mutable_volume_content_source();
  EXPECT_EQ(volumes.create(request).error().code, Code::kInvalidArgument);
  request.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id("77");
  EXPECT_EQ(volumes.create(request).error().code, Code::kNotFound);
  request = wish("a");
  request.mutable_accessibility_requirements()->add_requisite();
  EXPECT_TRUE(volumes.create(request)) << "a topology without segments is everywhere";
  EXPECT_TRUE(state().find("a")->fs() == "ext4");
}

TEST_F(ControllerTest, TheFirstReplicaGoesToThePodsNode) {
  auto request = wish("pvc-1");
  auto* topology = request.mutable_accessibility_requirements()->add_preferred();
  (*topology->mutable_segments())[kTopologyNode] = "n3";
  create(request);
  EXPECT_EQ(state().find("pvc-1")->replicas(0).node(), "n3");
}

TEST_F(ControllerTest, AnEnforcedGroupRunsOutOfPlacesWithAClearWord) {
  auto request = wish("g0");
  for (auto [key, value] : {std::pair{"repl", "2"}, {"group", "vg"}, {"fg", "true"}}) {
    (*request.mutable_parameters())[key] = value;
  }
  std::set<std::set<std::string>> sets;
  for (int i = 0; i < 3; ++i) {
    request.set_name(fmt::format("g{}", i));
    create(request);
    std::set<std::string> nodes;
    for (const auto& replica : state().find(request.name())->replicas())
      nodes.insert(replica.node());
    EXPECT_TRUE(sets.insert(nodes).second);
  }
  request.set_name("g3");
  auto refused = volumes.create(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kNoSpace);
  EXPECT_NE(refused.error().message.find("leave fg out"), std::string::npos);
}

TEST_F(ControllerTest, ACloneOfASnapshotHasItsDataAndItsOwnWishes) {
  const std::string source = create("src");
  const std::string base = snapshot(source, "snap");
  auto request = wish("copy", 2 * kGiB);
  (*request.mutable_parameters())["repl"] = "2";
  request.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(base);
  auto made = create(request);
  EXPECT_EQ(made.content_source().snapshot().snapshot_id(), base);
  EXPECT_EQ(made.capacity_bytes(), static_cast<int64_t>(2 * kGiB));
  EXPECT_EQ(state().find("copy")->ha(), 2U);
  EXPECT_EQ(create(request).volume_id(), made.volume_id());
  EXPECT_EQ(state().count("Clone"), 1);
  request.set_name("small");
  request.mutable_capacity_range()->set_required_bytes(1);
  request.mutable_capacity_range()->set_limit_bytes(4096);
  EXPECT_EQ(volumes.create(request).error().code, Code::kOutOfRange);
}

// The snapshot may be from before: then the clone is blank, and is to be formatted.
TEST_F(ControllerTest, AVolumeMadeFromAFormattedOneIsNotMarkedAsFormatted) {
  const std::string source = create("src");
  (*state().find(source)->mutable_labels())[kLabelFormatted] = source;
  create(from_volume("copy", source));
  EXPECT_EQ(label_of(*state().find("copy"), kLabelFormatted), "");
}

TEST_F(ControllerTest, AVolumeMadeFromAnotherHasTheGroupAndMountOptionsOfItsOwnClass) {
  auto request = wish("src");
  for (auto [key, value] :
       {std::pair{"group", "vg"}, {"fg", "true"}, {"mount_options", "noatime"}}) {
    (*request.mutable_parameters())[key] = value;
  }
  const std::string source = create(request).volume_id();
  auto bare = create(from_volume("bare", source));
  EXPECT_FALSE(bare.volume_context().contains(kLabelMountOptions));
  for (const char* label : {kLabelGroup, kLabelApart, kLabelMountOptions}) {
    EXPECT_EQ(label_of(*state().find("bare"), label), "") << label;
  }
  request = from_volume("own", source);
  (*request.mutable_parameters())["group"] = "other";
  (*request.mutable_parameters())["mount_options"] = "discard";
  auto own = create(request);
  EXPECT_EQ(own.volume_context().at(kLabelMountOptions), "discard");
  EXPECT_EQ(label_of(*state().find("own"), kLabelGroup), "other");
  EXPECT_EQ(label_of(*state().find("own"), kLabelApart), "");
}

// Each step fails once; the repeated call ends where an undisturbed one would.
TEST_F(ControllerTest, ACloneCutShortAtEachStepIsFinished) {
  const std::string source = create("src");
  auto request = from_volume("copy", source);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(2 * kGiB));
  (*request.mutable_parameters())["priority_io"] = "high";
  (*request.mutable_parameters())["repl"] = "2";
  for (const char* step : {"SnapshotCreate", "Clone", "Resize", "Update", "HaUpdate"}) {
    state().fails[step] = Code::kUnreachable;
    EXPECT_EQ(volumes.create(request).error().code, Code::kUnreachable) << step;
  }
  auto made = create(request);
  EXPECT_EQ(made.capacity_bytes(), static_cast<int64_t>(2 * kGiB));
  EXPECT_EQ(state().find("copy")->io_priority(), api::IO_PRIORITY_HIGH);
  EXPECT_EQ(state().find("copy")->ha(), 2U);
  EXPECT_EQ(state().volumes.size(), 3U) << "source, hidden base, clone";
}

// The claim may be gone by the next call: nobody would delete what this one left.
TEST_F(ControllerTest, ACloneThatCantBeAsWantedLeavesNothing) {
  const std::string source = create("src");
  auto request = from_volume("copy", source);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(2 * kGiB));
  (*request.mutable_parameters())["repl"] = "2";
  for (const char* step : {"Resize", "HaUpdate"}) {
    state().fails[step] = Code::kNoSpace;
    EXPECT_EQ(volumes.create(request).error().code, Code::kNoSpace) << step;
    EXPECT_EQ(state().volumes.size(), 1U) << step;
  }
  state().fails["Resize"] = Code::kNoSpace;
  state().fails["Delete"] = Code::kUnreachable;
  EXPECT_EQ(volumes.create(request).error().code, Code::kNoSpace);
  EXPECT_EQ(state().volumes.size(), 3U) << "as far as that goes";
  state().fails["Resize"] = Code::kNoSpace;
  EXPECT_EQ(volumes.create(request).error().code, Code::kNoSpace);
  EXPECT_EQ(state().volumes.size(), 3U) << "what an earlier call made may be somebody's";
}

TEST_F(ControllerTest, WhatCantBeMadeFromAVolumeTakesNoSnapshotOfIt) {
  const std::string source = create("src");
  auto request = from_volume("copy", source);
  (*request.mutable_parameters())["fs"] = "xfs";
  EXPECT_EQ(volumes.create(request).error().code, Code::kInvalidArgument);
  request = from_volume("copy", source);
  request.mutable_volume_capabilities(0)->mutable_mount()->set_fs_type("xfs");
  EXPECT_EQ(volumes.create(request).error().code, Code::kInvalidArgument);
  request = from_volume("copy", source);
  request.mutable_capacity_range()->set_required_bytes(1);
  request.mutable_capacity_range()->set_limit_bytes(4096);
  EXPECT_EQ(volumes.create(request).error().code, Code::kOutOfRange);
  EXPECT_EQ(state().count("SnapshotCreate"), 0);
}

TEST_F(ControllerTest, WhatIsMadeFromASnapshotHasItsFileSystem) {
  const std::string source = create("src");
  auto request = wish("copy", 2 * kGiB);
  request.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(
      snapshot(source, "snap"));
  auto* mount = request.mutable_volume_capabilities(0)->mutable_mount();
  mount->set_fs_type("xfs");
  auto refused = volumes.create(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("the source has ext4"), std::string::npos);
  mount->set_fs_type("ext4");
  EXPECT_TRUE(volumes.create(request));
  request.set_name("raw");
  request.mutable_volume_capabilities(0)->mutable_block();
  EXPECT_TRUE(volumes.create(request)) << "a raw device has whatever is on it";
}

TEST_F(ControllerTest, TheHiddenBaseOfACloneIsSeenByNobodyAndGoesWithIt) {
  const std::string source = create("src");
  const std::string copy = create(from_volume("copy", source)).volume_id();
  EXPECT_EQ(lister.snapshots({})->entries_size(), 0);
  EXPECT_EQ(remove(source).error().code, Code::kBusy) << "the clone needs it";
  ASSERT_TRUE(remove(copy));
  ASSERT_TRUE(remove(source));
  EXPECT_TRUE(state().volumes.empty());
}

TEST_F(ControllerTest, ABaseThatWasLeftBehindGoesWithItsVolume) {
  const std::string source = create("src");
  const std::string copy = create(from_volume("copy", source)).volume_id();
  state().fails["SnapshotDelete"] = Code::kUnreachable;
  ASSERT_TRUE(remove(copy));
  EXPECT_EQ(state().volumes.size(), 2U);
  ASSERT_TRUE(remove(source));
  EXPECT_TRUE(state().volumes.empty());
}

TEST_F(ControllerTest, DeleteOfWhatIsGoneOrOfAnotherKindChangesNothing) {
  const std::string id = create("pvc-1");
  const std::string snap = snapshot(id, "snap");
  EXPECT_TRUE(remove("4711"));
  EXPECT_TRUE(remove("pvc-1")) << "a name is no id";
  EXPECT_TRUE(remove(snap)) << "a snapshot's id is no volume's";
  EXPECT_EQ(state().volumes.size(), 2U);
  EXPECT_EQ(remove(id).error().code, Code::kBusy) << "it has a snapshot";
  spec::DeleteSnapshotRequest request;
  request.set_snapshot_id(id);
  EXPECT_TRUE(snapshots.remove(request));
  request.set_snapshot_id(snap);
  EXPECT_TRUE(snapshots.remove(request));
  EXPECT_TRUE(snapshots.remove(request));
  EXPECT_TRUE(remove(id));
  EXPECT_EQ(remove("").error().code, Code::kInvalidArgument);
}

TEST_F(ControllerTest, PublishAndUnpublishCanBeRepeated) {
  const std::string id = create("pvc-1");
  auto published = publish(id, "n1");
  ASSERT_TRUE(published) << published.error().message;
  EXPECT_EQ(published->publish_context().at("device"), "/dev/cleat/pvc-1");
  EXPECT_TRUE(publish(id, "n1"));
  EXPECT_EQ(publish(id, "n1", true).error().code, Code::kAlreadyExists);
  EXPECT_EQ(publish(id, "n2").error().code, Code::kBusy);
  EXPECT_EQ(publish(id, "n9").error().code, Code::kNotFound);
  EXPECT_EQ(publish("4711", "n1").error().code, Code::kNotFound);
  EXPECT_EQ(publish(id, "").error().code, Code::kInvalidArgument);
  EXPECT_TRUE(unpublish(id, "n2")) << "it is not there";
  EXPECT_TRUE(state().find(id)->has_attachment());
  EXPECT_TRUE(unpublish(id, "n1"));
  EXPECT_TRUE(unpublish(id, "n1"));
  EXPECT_TRUE(unpublish("4711", "n1"));
  EXPECT_TRUE(publish(id, "n2", true));
  EXPECT_EQ(publish(id, "n2", true)->publish_context().at("readonly"), "true");
}

TEST_F(ControllerTest, ANodeTakesNoMoreThanItsLimit) {
  for (const char* name : {"a", "b"}) ASSERT_TRUE(publish(create(name), "n1"));
  EXPECT_EQ(publish(create("c"), "n1").error().code, Code::kLimit);
  EXPECT_TRUE(publish(state().find("a")->id(), "n1")) << "it is there already";
  EXPECT_TRUE(publish(state().find("c")->id(), "n2"));
}

TEST_F(ControllerTest, FromANodeThatIsGoneItIsTakenOver) {
  const std::string id = create("pvc-1");
  ASSERT_TRUE(publish(id, "n1"));
  fake.set_online("n1", false);
  ASSERT_TRUE(unpublish(id, "n1")) << "nobody there to detach it";
  EXPECT_TRUE(lister.volumes({})->entries(0).status().published_node_ids().empty());
  ASSERT_TRUE(publish(id, "n2"));
  EXPECT_EQ(state().count("Attach pvc-1 n2 force"), 1);
  EXPECT_EQ(lister.volumes({})->entries(0).status().published_node_ids(0), "n2");
}

TEST_F(ControllerTest, ANodeThatCameBackLosesWhatItWasUnpublishedFrom) {
  const std::string id = create("pvc-1");
  ASSERT_TRUE(publish(id, "n1"));
  fake.set_online("n1", false);
  ASSERT_TRUE(unpublish(id, "n1"));
  fake.set_online("n1", true);
  ASSERT_TRUE(publish(id, "n2"));
  EXPECT_EQ(state().count("Detach pvc-1 n1 force"), 1);
  EXPECT_EQ(publish(id, "n1").error().code, Code::kBusy) << "the note is used up";
}

TEST_F(ControllerTest, AVolumeOfALostNodeCanBeDeleted) {
  for (bool back : {false, true}) {
    const std::string id = create("pvc-1");
    ASSERT_TRUE(publish(id, "n1"));
    EXPECT_EQ(remove(id).error().code, Code::kBusy);
    fake.set_online("n1", false);
    EXPECT_EQ(remove(id).error().code, Code::kBusy) << "nobody unpublished it";
    ASSERT_TRUE(unpublish(id, "n1"));
    fake.set_online("n1", back);
    auto removed = remove(id);
    ASSERT_TRUE(removed) << removed.error().message;
    EXPECT_TRUE(state().volumes.empty());
  }
}

TEST_F(ControllerTest, ACallForWhatIsBusyIsToldToTryAgain) {
  const std::string id = create("pvc-1");
  auto turn = in_flight.begin("volume pvc-1");
  EXPECT_EQ(volumes.create(wish("pvc-1")).error().code, Code::kConflict);
  EXPECT_EQ(remove(id).error().code, Code::kConflict);
  EXPECT_EQ(publish(id, "n1").error().code, Code::kConflict);
  EXPECT_EQ(unpublish(id, "n1").error().code, Code::kConflict);
}

// Another call had the turn between the first look at the volume and ours.
TEST_F(ControllerTest, AVolumeCountsAsItIsOnceTheTurnIsHad) {
  const std::string id = create("pvc-1");
  ASSERT_TRUE(publish(id, "n1"));
  fake.set_online("n1", false);
  state().meanwhile["Inspect"] = [&] { fake.set_online("n1", true); };
  ASSERT_TRUE(unpublish(id, "n1"));
  EXPECT_FALSE(state().find(id)->has_attachment()) << "it is back, and can detach";
  EXPECT_EQ(label_of(*state().find(id), kLabelUnpublished), "");

  ASSERT_TRUE(publish(id, "n1"));
  (*state().find(id)->mutable_labels())[kLabelUnpublished] = "n1";
  state().meanwhile["Inspect"] = [&] { state().find(id)->clear_labels(); };
  ASSERT_EQ(remove(id).error().code, Code::kBusy) << "it was published there again";
  EXPECT_EQ(state().count("Detach pvc-1 n1 force"), 0);
  EXPECT_TRUE(state().find(id)->has_attachment());
}

TEST_F(ControllerTest, WhatAnotherCallChangedMeanwhileIsNotChangedBack) {
  const std::string id = create("pvc-1");
  spec::ControllerExpandVolumeRequest expand;
  expand.set_volume_id(id);
  expand.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(2 * kGiB));
  state().meanwhile["Inspect"] = [&] { state().find(id)->set_size_bytes(3 * kGiB); };
  auto grown = volumes.expand(expand);
  ASSERT_TRUE(grown);
  EXPECT_EQ(grown->capacity_bytes(), static_cast<int64_t>(3 * kGiB));
  EXPECT_EQ(state().count("Resize"), 0);

  spec::ControllerModifyVolumeRequest modify;
  modify.set_volume_id(id);
  (*modify.mutable_mutable_parameters())["priority_io"] = "high";
  state().meanwhile["Inspect"] = [&] { state().find(id)->set_io_priority(api::IO_PRIORITY_HIGH); };
  ASSERT_TRUE(volumes.modify(modify));
  EXPECT_EQ(state().count("Update"), 0);
}

TEST_F(ControllerTest, ModifyChangesOnlyWhatDiffers) {
  const std::string id = create("pvc-1");
  spec::ControllerModifyVolumeRequest request;
  request.set_volume_id(id);
  (*request.mutable_mutable_parameters())["priority_io"] = "high";
  (*request.mutable_mutable_parameters())["repl"] = "2";
  (*request.mutable_mutable_parameters())["labels"] = "tier=1";
  ASSERT_TRUE(volumes.modify(request));
  ASSERT_TRUE(volumes.modify(request));
  EXPECT_EQ(state().count("Update"), 1);
  EXPECT_EQ(state().count("HaUpdate"), 1);
  EXPECT_EQ(state().find(id)->labels().at("tier"), "1");
  (*request.mutable_mutable_parameters())["fs"] = "xfs";
  EXPECT_EQ(volumes.modify(request).error().code, Code::kInvalidArgument);
  request.set_volume_id("4711");
  request.mutable_mutable_parameters()->erase("fs");
  EXPECT_EQ(volumes.modify(request).error().code, Code::kNotFound);
}

TEST_F(ControllerTest, AVolumeFollowsAsItsClassSaysUntilThatIsChanged) {
  auto request = wish("pvc-1");
  (*request.mutable_parameters())["follow"] = "true";
  (*request.mutable_parameters())["nodes"] = "n1,n2";
  const std::string id = create(request).volume_id();
  EXPECT_TRUE(state().find(id)->follow());
  EXPECT_EQ(state().find(id)->nodes_allowed_size(), 2) << "no replica goes elsewhere, ever";
  spec::ControllerModifyVolumeRequest modify;
  modify.set_volume_id(id);
  (*modify.mutable_mutable_parameters())["follow"] = "false";
  ASSERT_TRUE(volumes.modify(modify));
  ASSERT_TRUE(volumes.modify(modify));
  EXPECT_FALSE(state().find(id)->follow());
  EXPECT_EQ(state().count("Update"), 1) << "the second changes nothing";
  (*modify.mutable_mutable_parameters())["follow"] = "yes";
  auto refused = volumes.modify(modify);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("one of false, true"), std::string::npos)
      << refused.error().message;
}

TEST_F(ControllerTest, LabelsSayWhoseClaimItIsAndThatItIsKeptApart) {
  auto request = wish("pvc-1");
  for (auto [key, value] : {std::pair{"group", "vg"},
                            {"fg", "true"},
                            {"csi.storage.k8s.io/pvc/name", "data-db-0"},
                            {"csi.storage.k8s.io/pvc/namespace", "shop"}}) {
    (*request.mutable_parameters())[key] = value;
  }
  create(request);
  const auto& labels = state().find("pvc-1")->labels();
  EXPECT_EQ(labels.at("pvc"), "data-db-0");
  EXPECT_EQ(labels.at("namespace"), "shop");
  EXPECT_EQ(labels.at("fg"), "true");
}

TEST_F(ControllerTest, ValidateConfirmsOrSaysWhyNot) {
  spec::ValidateVolumeCapabilitiesRequest request;
  request.set_volume_id(create("pvc-1"));
  EXPECT_EQ(volumes.validate(request).error().code, Code::kInvalidArgument);
  *request.add_volume_capabilities() = capability();
  EXPECT_TRUE(volumes.validate(request)->has_confirmed());
  *request.add_volume_capabilities() = capability(Mode::MULTI_NODE_MULTI_WRITER);
  auto refused = volumes.validate(request);
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->has_confirmed());
  EXPECT_NE(refused->message().find("raw devices only"), std::string::npos);
}

TEST_F(ControllerTest, SnapshotsAreListedByVolumeIdAndPage) {
  const std::string a = create("a");
  const std::string b = create("b");
  const std::string first = snapshot(a, "s1");
  EXPECT_EQ(snapshot(a, "s1"), first);
  snapshot(b, "s2");
  spec::CreateSnapshotRequest taken;
  taken.set_name("s1");
  taken.set_source_volume_id(b);
  EXPECT_EQ(snapshots.create(taken).error().code, Code::kAlreadyExists);
  spec::ListSnapshotsRequest list;
  list.set_max_entries(1);
  auto page = lister.snapshots(list);
  ASSERT_EQ(page->entries_size(), 1);
  EXPECT_EQ(page->next_token(), first);
  list.set_starting_token(page->next_token());
  EXPECT_EQ(lister.snapshots(list)->entries(0).snapshot().source_volume_id(), b);
  list.Clear();
  list.set_source_volume_id(a);
  EXPECT_EQ(lister.snapshots(list)->entries(0).snapshot().snapshot_id(), first);
  list.set_source_volume_id("4711");
  EXPECT_EQ(lister.snapshots(list)->entries_size(), 0);
  spec::GetSnapshotRequest get;
  get.set_snapshot_id(first);
  EXPECT_TRUE(lister.snapshot(get)->snapshot().ready_to_use());
  EXPECT_EQ(lister.snapshot(get)->snapshot().creation_time().nanos(), 500'000'000);
  get.set_snapshot_id(a);
  EXPECT_EQ(lister.snapshot(get).error().code, Code::kNotFound);
}

TEST_F(ControllerTest, AGroupSnapshotIsOneThing) {
  spec::CreateVolumeGroupSnapshotRequest request;
  request.set_name(std::string(128, 'g'));
  EXPECT_EQ(snapshots.create_group(request).error().code, Code::kInvalidArgument);
  for (const char* name : {"a", "b"}) request.add_source_volume_ids(create(name));
  auto made = snapshots.create_group(request);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->group_snapshot().snapshots_size(), 2);
  EXPECT_TRUE(made->group_snapshot().ready_to_use());
  const std::string id = made->group_snapshot().group_snapshot_id();
  EXPECT_EQ(made->group_snapshot().snapshots(0).group_snapshot_id(), id);
  std::swap(*request.mutable_source_volume_ids(0), *request.mutable_source_volume_ids(1));
  EXPECT_EQ(snapshots.create_group(request)->group_snapshot().group_snapshot_id(), id);
  spec::GetVolumeGroupSnapshotRequest get;
  get.set_group_snapshot_id(id);
  EXPECT_EQ(snapshots.group(get)->group_snapshot().snapshots_size(), 2);
  get.add_snapshot_ids("4711");
  EXPECT_EQ(snapshots.group(get).error().code, Code::kInvalidArgument);
  spec::DeleteVolumeGroupSnapshotRequest remove;
  remove.set_group_snapshot_id(id);
  state().fails["SnapshotDelete"] = Code::kUnreachable;
  EXPECT_FALSE(snapshots.remove_group(remove));
  EXPECT_TRUE(snapshots.remove_group(remove));
  EXPECT_TRUE(snapshots.remove_group(remove));
  EXPECT_EQ(state().volumes.size(), 2U);
  get.clear_snapshot_ids();
  EXPECT_EQ(snapshots.group(get).error().code, Code::kNotFound);
}

TEST_F(ControllerTest, CapacityByParametersAndTopology) {
  spec::GetCapacityRequest request;
  EXPECT_EQ(lister.capacity(request)->available_capacity(), static_cast<int64_t>(300 * kGiB));
  (*request.mutable_parameters())["repl"] = "3";
  EXPECT_EQ(lister.capacity(request)->available_capacity(), static_cast<int64_t>(100 * kGiB));
  auto& segments = *request.mutable_accessible_topology()->mutable_segments();
  segments[kTopologyNode] = "n2";
  EXPECT_EQ(lister.capacity(request)->maximum_volume_size().value(),
            static_cast<int64_t>(100 * kGiB));
  segments[kTopologyNode] = "elsewhere";
  EXPECT_EQ(lister.capacity(request)->available_capacity(), 0);
  (*request.mutable_parameters())["repl"] = "9";
  EXPECT_EQ(lister.capacity(request).error().code, Code::kInvalidArgument);
}

TEST_F(ControllerTest, WithoutACleatdEverythingSaysSo) {
  Cleatd nobody({fake.directory() + "/nobody.sock", "", 1s});
  Lister asking(nobody);
  auto refused = asking.volumes({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnreachable);
  EXPECT_NE(refused.error().message.find("nobody.sock"), std::string::npos);
}

}  // namespace
}  // namespace cleat::csi
