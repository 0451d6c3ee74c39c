// The Node service on a node whose mounts are only remembered, with a cleatd that keeps volumes in
// a map: what is promised, repeated, and cut short.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "csi/names.h"
#include "csi/node_inspector.h"
#include "csi/node_publisher.h"
#include "csi/stager.h"
#include "csi/testing/fake_cleatd.h"
#include "csi/testing/fake_host.h"

namespace cleat::csi {
namespace {

using Mode = spec::VolumeCapability::AccessMode;

class NodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fake.state().device_directory = fake.directory() + "/dev";
    std::filesystem::create_directories(fake.state().device_directory);
    add_volume("data", "7:1");
    id = fake.state().find("data")->id();
    stage_request.set_volume_id(id);
    stage_request.set_staging_target_path(staging);
    stage_request.mutable_volume_capability()->mutable_mount();
    set_mode(Mode::SINGLE_NODE_WRITER);
  }
  void add_volume(const std::string& name, const std::string& number) {
    api::Volume volume;
    volume.set_id(std::to_string(fake.state().next_id++));
    volume.set_name(name);
    volume.set_fs("ext4");
    volume.mutable_attachment()->set_node("n1");
    volume.mutable_attachment()->set_node_online(true);
    auto* replica = volume.add_replicas();
    replica->set_node("n1");
    replica->set_state(api::REPLICA_STATE_IN_SYNC);
    replica->set_reachable(true);
    const std::string device = fake.state().device_directory + "/" + name;
    std::ofstream(device).close();
    volume.mutable_attachment()->set_device(device);
    mounts.numbers[device] = number;
    fake.state().volumes[volume.id()] = volume;
  }
  void set_mode(Mode::Mode mode) {
    stage_request.mutable_volume_capability()->mutable_access_mode()->set_mode(mode);
  }
  void set_block() { stage_request.mutable_volume_capability()->mutable_block(); }
  Outcome<> stage() { return stager.stage(stage_request); }
  Outcome<> unstage() {
    spec::NodeUnstageVolumeRequest request;
    request.set_volume_id(id);
    request.set_staging_target_path(staging);
    return stager.unstage(request);
  }
  Outcome<> publish(const std::string& path, bool read_only = false) {
    spec::NodePublishVolumeRequest request;
    request.set_volume_id(id);
    request.set_staging_target_path(staging);
    request.set_target_path(path);
    request.set_readonly(read_only);
    *request.mutable_volume_capability() = stage_request.volume_capability();
    return publisher.publish(request);
  }
  Outcome<> unpublish(const std::string& path) {
    spec::NodeUnpublishVolumeRequest request;
    request.set_volume_id(id);
    request.set_target_path(path);
    return publisher.unpublish(request);
  }
  Outcome<spec::NodeExpandVolumeResponse> expand(const std::string& path) {
    spec::NodeExpandVolumeRequest request;
    request.set_volume_id(id);
    request.set_volume_path(path);
    return inspector.expand(request);
  }
  Outcome<spec::NodeGetVolumeStatsResponse> stats(const std::string& path) {
    spec::NodeGetVolumeStatsRequest request;
    request.set_volume_id(id);
    request.set_volume_path(path);
    return inspector.stats(request);
  }
  void set_label(const char* key, const std::string& value) {
    (*fake.state().find(id)->mutable_labels())[key] = value;
  }
  const api::Volume& volume() { return *fake.state().find(id); }
  std::string path(const std::string& name) const { return fake.directory() + "/" + name; }

  FakeCleatd fake;
  Cleatd cleatd{{fake.address(), "", 5s}};
  FakeMounts mounts;
  FakeFileSystems file_systems;
  InFlight in_flight;
  NodeContext context{cleatd, mounts, file_systems, in_flight, "n1", 8};
  Stager stager{context};
  NodePublisher publisher{context};
  NodeInspector inspector{context};
  std::string id;
  std::string staging = fake.directory() + "/staging";
  spec::NodeStageVolumeRequest stage_request;
};

using Calls = std::vector<std::string>;

TEST_F(NodeTest, ABlankVolumeIsFormattedOnce) {
  ASSERT_TRUE(stage());
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, Calls{"make ext4"});
  EXPECT_EQ(mounts.count("mount"), 1);
  ASSERT_TRUE(unstage());
  ASSERT_TRUE(unstage());
  EXPECT_TRUE(mounts.lines.empty());
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, (Calls{"make ext4", "check ext4"}));
  EXPECT_TRUE(label_of(volume(), kLabelFormatting).empty());
}

TEST_F(NodeTest, DataIsNeverFormatted) {
  for (const char* kind : {"", "crypto_LUKS"}) {
    file_systems.found = {kind, false};
    auto refused = stage();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kCorrupt);
    EXPECT_NE(refused.error().message.find("not touched"), std::string::npos);
  }
  file_systems.found = {"xfs", false};
  stage_request.mutable_volume_capability()->mutable_mount()->set_fs_type("ext4");
  EXPECT_EQ(stage().error().code, Code::kInvalidArgument);
  EXPECT_TRUE(file_systems.calls.empty());
}

TEST_F(NodeTest, AMakeThatWasCutShortIsMadeAgain) {
  file_systems.cut_short = true;
  EXPECT_FALSE(stage());
  EXPECT_EQ(label_of(volume(), kLabelFormatting), "ext4");
  EXPECT_TRUE(mounts.lines.empty());
  file_systems.cut_short = false;
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, (Calls{"make ext4", "make ext4"}));
  EXPECT_TRUE(label_of(volume(), kLabelFormatting).empty());
}

TEST_F(NodeTest, AMakeThatEndedBeforeTheNoteWentIsKept) {
  set_label(kLabelFormatting, "ext4");
  file_systems.found = {"ext4", false};
  ASSERT_TRUE(stage());
  EXPECT_TRUE(file_systems.calls.empty());
  EXPECT_TRUE(label_of(volume(), kLabelFormatting).empty());
  ASSERT_TRUE(unstage());
  fake.state().find(id)->mutable_labels()->clear();
  set_label(kLabelFormatting, "ext4");
  file_systems.whole = false;
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, Calls{"make ext4"});
}

TEST_F(NodeTest, ThatItIsFormattedTakesTheNotesPlace) {
  ASSERT_TRUE(stage());
  EXPECT_EQ(label_of(volume(), kLabelFormatted), id);
  EXPECT_EQ(fake.state().count("Update"), 2) << "in one change: there is no moment between";
  ASSERT_TRUE(unstage());
  fake.state().find(id)->mutable_labels()->clear();
  set_label(kLabelFormatting, "ext4");
  ASSERT_TRUE(stage());
  EXPECT_EQ(label_of(volume(), kLabelFormatted), id) << "a make that another node ended";
}

// A node lost the volume between the probe and its note, and others have written data since.
TEST_F(NodeTest, ANoteThatComesLateIsNotBelieved) {
  ASSERT_TRUE(stage());
  ASSERT_TRUE(unstage());
  file_systems.calls.clear();
  set_label(kLabelFormatting, "ext4");
  file_systems.whole = false;
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, Calls{"check ext4"});
  EXPECT_TRUE(label_of(volume(), kLabelFormatting).empty());
}

TEST_F(NodeTest, AVolumeThatIsFormattedMeanwhileIsNotFormattedAgain) {
  file_systems.after_probe = [&] {
    set_label(kLabelFormatted, id);
    file_systems.found = {"ext4", false};
  };
  EXPECT_EQ(stage().error().code, Code::kConflict);
  EXPECT_TRUE(file_systems.calls.empty());
  EXPECT_TRUE(label_of(volume(), kLabelFormatting).empty());
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, Calls{"check ext4"});
}

TEST_F(NodeTest, WhatWasFormattedIsNotFormattedAgainThoughItIsBlank) {
  set_label(kLabelFormatted, id);
  for (const char* note : {"", "ext4"}) {
    set_label(kLabelFormatting, note);
    auto refused = stage();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kCorrupt);
    EXPECT_NE(refused.error().message.find("cleat volume update data --remove-label " +
                                           std::string(kLabelFormatted)),
              std::string::npos)
        << refused.error().message;
  }
  EXPECT_TRUE(file_systems.calls.empty());
  EXPECT_TRUE(mounts.lines.empty());
}

// One made by hand of a snapshot from before the first use: the labels are its source's.
TEST_F(NodeTest, ABlankCloneOfAFormattedVolumeIsFormatted) {
  set_label(kLabelFormatted, "4711");
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, Calls{"make ext4"});
  EXPECT_EQ(label_of(volume(), kLabelFormatted), id);
}

TEST_F(NodeTest, ANoteThatCameWithACloneIsNotBelieved) {
  set_label(kLabelFormatted, "4711");
  set_label(kLabelFormatting, "ext4");
  file_systems.found = {"ext4", false};
  file_systems.whole = false;
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, Calls{"check ext4"});
}

// The note is written before the first block, and must be gone before the first mount.
TEST_F(NodeTest, WithoutTheNoteNothingIsMadeOrMounted) {
  fake.state().fails["Update"] = Code::kUnreachable;
  EXPECT_EQ(stage().error().code, Code::kUnreachable);
  EXPECT_TRUE(file_systems.calls.empty());
  EXPECT_TRUE(mounts.lines.empty());
}

TEST_F(NodeTest, ItGrowsBeforeTheMountWhenItMust) {
  ASSERT_TRUE(stage());
  ASSERT_TRUE(publish(path("pod")));
  file_systems.device_bytes *= 2;
  auto refused = expand(path("pod"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("grows before the next mount"), std::string::npos);
  auto seen = stats(path("pod"));
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_TRUE(seen->volume_condition().abnormal());
  EXPECT_NE(seen->volume_condition().message().find("restart the pod"), std::string::npos);
  ASSERT_TRUE(unpublish(path("pod")));
  ASSERT_TRUE(unstage());
  file_systems.calls.clear();
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, (Calls{"check ext4", "grow ext4 unmounted"}));
  ASSERT_TRUE(publish(path("pod")));
  EXPECT_TRUE(expand(path("pod")));
  EXPECT_FALSE(stats(path("pod"))->volume_condition().abnormal());
}

TEST_F(NodeTest, ItGrowsWhileMountedWhereItCan) {
  file_systems.found = {"xfs", false};
  fake.state().find(id)->set_fs("xfs");
  file_systems.fs_bytes = file_systems.device_bytes;
  ASSERT_TRUE(stage());
  EXPECT_EQ(mounts.calls.front(), "mount " + volume().attachment().device() + " xfs nouuid");
  file_systems.device_bytes *= 2;
  auto grown = expand(staging);
  ASSERT_TRUE(grown) << grown.error().message;
  EXPECT_EQ(grown->capacity_bytes(), static_cast<int64_t>(file_systems.device_bytes));
  EXPECT_EQ(file_systems.calls.back(), "grow xfs mounted");
}

TEST_F(NodeTest, AGrowthThatWasCutShortAfterTheMountIsMadeUpFor) {
  file_systems.found = {"xfs", false};
  fake.state().find(id)->set_fs("xfs");
  file_systems.fs_bytes = file_systems.device_bytes / 2;
  file_systems.growth_fails = true;
  EXPECT_EQ(stage().error().code, Code::kIoError);
  EXPECT_EQ(mounts.count("mount"), 1);
  file_systems.growth_fails = false;
  file_systems.calls.clear();
  ASSERT_TRUE(stage());
  ASSERT_TRUE(stage());
  EXPECT_EQ(file_systems.calls, Calls{"grow xfs mounted"});
  EXPECT_EQ(mounts.count("mount"), 1);
}

TEST_F(NodeTest, WhatIsStagedReadOnlyIsNotGrown) {
  file_systems.found = {"xfs", false};
  set_mode(Mode::SINGLE_NODE_READER_ONLY);
  ASSERT_TRUE(stage());
  ASSERT_TRUE(stage());
  EXPECT_TRUE(file_systems.calls.empty());
}

TEST_F(NodeTest, OptionsComeFromTheClassAndTheClaim) {
  (*stage_request.mutable_volume_context())[kLabelMountOptions] = "noatime,discard";
  stage_request.mutable_volume_capability()->mutable_mount()->add_mount_flags("nodev");
  set_mode(Mode::SINGLE_NODE_READER_ONLY);
  EXPECT_EQ(stage().error().code, Code::kBusy) << "a blank volume can't be formatted read-only";
  file_systems.found = {"ext4", false};
  file_systems.calls.clear();
  ASSERT_TRUE(stage());
  EXPECT_TRUE(mounts.calls.back().ends_with("nodev,noatime,discard,ro"));
  EXPECT_TRUE(file_systems.calls.empty()) << "what is read only is not repaired";
  ASSERT_TRUE(stage());
  set_mode(Mode::SINGLE_NODE_WRITER);
  EXPECT_EQ(stage().error().code, Code::kAlreadyExists);
  stage_request.mutable_volume_capability()->mutable_mount()->add_mount_flags("--bind");
  EXPECT_EQ(stage().error().code, Code::kInvalidArgument);
}

TEST_F(NodeTest, AVolumeThatIsNotAttachedHereIsNotStaged) {
  fake.state().find(id)->mutable_attachment()->set_node("n2");
  auto refused = stage();
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("but on n2"), std::string::npos);
  fake.state().find(id)->clear_attachment();
  EXPECT_EQ(stage().error().code, Code::kBusy);
  EXPECT_EQ(publish(path("pod")).error().code, Code::kBusy);
  fake.state().volumes.erase(id);
  EXPECT_EQ(stage().error().code, Code::kNotFound);
}

// After a takeover and back: the mount is of a device that is no more.
// A node that was away for less time than it takes to be given up: its pods stay, and their volumes
// stay published there.
TEST_F(NodeTest, AfterTheNodeStartedAnewTheDeviceIsMadeAgain) {
  ASSERT_TRUE(stage());
  mounts.lines.clear();
  const std::string device = volume().attachment().device();
  mounts.numbers.erase(device);
  fake.state().after_attach = [&](const api::Volume&) { mounts.numbers[device] = "7:9"; };
  ASSERT_TRUE(stage());
  EXPECT_EQ(fake.state().count("Attach data n1"), 1);
  ASSERT_EQ(mounts.lines.size(), 1U);
  EXPECT_EQ(mounts.lines[0].device_number, "7:9");
}

TEST_F(NodeTest, ADeviceIsNotMadeAgainWhereItIsNoLongerWanted) {
  mounts.numbers.erase(volume().attachment().device());
  (*fake.state().find(id)->mutable_labels())[kLabelUnpublished] = "n1,n2";
  EXPECT_EQ(stage().error().code, Code::kBusy);
  EXPECT_EQ(fake.state().count("Attach"), 0);
}

TEST_F(NodeTest, WhatAnEarlierDeviceLeftIsReplaced) {
  ASSERT_TRUE(stage());
  ASSERT_TRUE(publish(path("pod")));
  mounts.numbers[volume().attachment().device()] = "7:9";
  ASSERT_TRUE(stage());
  ASSERT_TRUE(publish(path("pod")));
  ASSERT_EQ(mounts.lines.size(), 2U);
  for (const auto& line : mounts.lines) EXPECT_EQ(line.device_number, "7:9");
}

TEST_F(NodeTest, AFileSystemThatWentReadOnlyByItselfIsMountedAnew) {
  ASSERT_TRUE(stage());
  mounts.lines[0].super_read_only = true;
  ASSERT_TRUE(stage());
  EXPECT_EQ(mounts.count("mount"), 2);
  EXPECT_FALSE(mounts.lines[0].super_read_only);
}

TEST_F(NodeTest, PublishCanBeRepeatedAndReadOnlyIsKeptApart) {
  EXPECT_EQ(publish(path("pod")).error().code, Code::kBusy) << "not staged";
  ASSERT_TRUE(stage());
  ASSERT_TRUE(publish(path("pod")));
  ASSERT_TRUE(publish(path("pod")));
  EXPECT_EQ(mounts.count("bind"), 1);
  EXPECT_EQ(publish(path("pod"), true).error().code, Code::kAlreadyExists);
  ASSERT_TRUE(publish(path("reader"), true));
  ASSERT_TRUE(publish(path("reader"), true));
  EXPECT_EQ(publish(path("reader")).error().code, Code::kAlreadyExists);
  ASSERT_TRUE(unpublish(path("pod")));
  EXPECT_FALSE(std::filesystem::exists(path("pod")));
  ASSERT_TRUE(unpublish(path("pod")));
  ASSERT_TRUE(unpublish(path("reader")));
  EXPECT_EQ(mounts.lines.size(), 1U);
}

TEST_F(NodeTest, OneWorkloadAloneMeansOne) {
  set_mode(Mode::SINGLE_NODE_SINGLE_WRITER);
  ASSERT_TRUE(stage());
  ASSERT_TRUE(publish(path("pod")));
  ASSERT_TRUE(publish(path("pod")));
  auto refused = publish(path("other"));
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("ReadWriteOncePod"), std::string::npos);
  ASSERT_TRUE(unpublish(path("pod")));
  EXPECT_TRUE(publish(path("other")));
}

// At each step the plugin may be killed: what it leaves, the next call puts right.
TEST_F(NodeTest, WhateverFailsTheNextCallPutsItRight) {
  for (const char* step : {"mount", "bind", "unmount"}) {
    mounts.fail_next = step;
    const bool all = stage() && publish(path("pod")) && unpublish(path("pod")) && unstage();
    EXPECT_FALSE(all) << step;
    ASSERT_TRUE(stage()) << step;
    ASSERT_TRUE(publish(path("pod"))) << step;
    ASSERT_TRUE(unpublish(path("pod"))) << step;
    ASSERT_TRUE(unstage()) << step;
    EXPECT_TRUE(mounts.lines.empty()) << step;
  }
}

TEST_F(NodeTest, UnpublishRemovesNothingThatHoldsData) {
  std::filesystem::create_directories(path("pod"));
  std::ofstream(path("pod") + "/precious") << "x";
  EXPECT_EQ(unpublish(path("pod")).error().code, Code::kIoError);
  EXPECT_TRUE(std::filesystem::exists(path("pod") + "/precious"));
}

TEST_F(NodeTest, ARawDeviceIsBoundToAFile) {
  set_block();
  ASSERT_TRUE(stage());
  EXPECT_TRUE(file_systems.calls.empty());
  ASSERT_TRUE(publish(path("pods/disk")));
  ASSERT_TRUE(publish(path("pods/disk")));
  EXPECT_EQ(mounts.count("bind"), 1);
  EXPECT_TRUE(std::filesystem::is_regular_file(path("pods/disk")));
  EXPECT_EQ(publish(path("pods/disk"), true).error().code, Code::kAlreadyExists);
  auto seen = stats(path("pods/disk"));
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ(seen->usage_size(), 1);
  EXPECT_EQ(seen->usage(0).total(), 1 << 30);
  EXPECT_TRUE(expand(path("pods/disk")));
  ASSERT_TRUE(unpublish(path("pods/disk")));
  EXPECT_FALSE(std::filesystem::exists(path("pods/disk")));
  std::filesystem::create_directories(path("directory"));
  EXPECT_EQ(publish(path("directory")).error().code, Code::kInvalidArgument);
}

TEST_F(NodeTest, WhatSeveralNodesReadIsMountedSoThatNothingIsEverWritten) {
  file_systems.found = {"ext4", false};
  set_mode(Mode::MULTI_NODE_READER_ONLY);
  ASSERT_TRUE(stage());
  EXPECT_NE(mounts.calls.back().find(" ro,noload"), std::string::npos) << mounts.calls.back();
  EXPECT_TRUE(file_systems.calls.empty()) << "neither checked nor grown";
  ASSERT_TRUE(unstage());
  file_systems.found = {"xfs", false};
  ASSERT_TRUE(stage());
  EXPECT_NE(mounts.calls.back().find("ro,norecovery"), std::string::npos) << mounts.calls.back();
}

TEST_F(NodeTest, OfASharedVolumeTheDeviceHereIsUsed) {
  api::Volume* shared = fake.state().find(id);
  *shared->add_shared_attachments() = shared->attachment();
  shared->mutable_attachment()->set_node("n2");
  shared->mutable_attachment()->set_device("/dev/cleat/elsewhere");
  set_block();
  set_mode(Mode::MULTI_NODE_READER_ONLY);
  ASSERT_TRUE(stage());
  EXPECT_TRUE(mounts.read_only_devices.at(shared->shared_attachments(0).device()));
  shared->clear_shared_attachments();
  EXPECT_NE(stage().error().message.find("on n2"), std::string::npos);
}

TEST_F(NodeTest, ARawDeviceForReadersIsReadOnlyAndForOneIsOnes) {
  set_block();
  set_mode(Mode::MULTI_NODE_READER_ONLY);
  ASSERT_TRUE(stage());
  EXPECT_TRUE(mounts.read_only_devices.at(volume().attachment().device()));
  set_mode(Mode::SINGLE_NODE_SINGLE_WRITER);
  ASSERT_TRUE(stage());
  EXPECT_FALSE(mounts.read_only_devices.at(volume().attachment().device()));
  ASSERT_TRUE(publish(path("disk")));
  EXPECT_EQ(publish(path("disk2")).error().code, Code::kBusy);
}

TEST_F(NodeTest, ADeviceThatWasMadeReadOnlyIsWritableForItsFileSystem) {
  mounts.read_only_devices[volume().attachment().device()] = true;
  ASSERT_TRUE(stage());
  EXPECT_FALSE(mounts.read_only_devices.at(volume().attachment().device()));
}

TEST_F(NodeTest, StatsNeedTheVolumeAtThatPath) {
  ASSERT_TRUE(stage());
  ASSERT_TRUE(publish(path("pod")));
  auto seen = stats(path("pod"));
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->usage_size(), 2);
  EXPECT_GT(seen->usage(0).total(), 0);
  EXPECT_EQ(stats("some/path").error().code, Code::kNotFound);
  EXPECT_EQ(stats(path("elsewhere")).error().code, Code::kNotFound);
  EXPECT_EQ(stats("").error().code, Code::kInvalidArgument);
  EXPECT_EQ(expand("some/path").error().code, Code::kNotFound);
  fake.state().find(id)->set_stalled("nobody answers");
  spec::NodeGetVolumeHealthRequest request;
  request.set_volume_id(id);
  EXPECT_EQ(inspector.health(request)->volume_health().health_statuses(0).reason(), "Stalled");
}

TEST_F(NodeTest, ACallForWhatIsBusyIsToldToTryAgain) {
  auto turn = in_flight.begin("volume " + id);
  EXPECT_EQ(stage().error().code, Code::kConflict);
  EXPECT_EQ(unstage().error().code, Code::kConflict);
  EXPECT_EQ(publish(path("pod")).error().code, Code::kConflict);
  EXPECT_EQ(unpublish(path("pod")).error().code, Code::kConflict);
  EXPECT_EQ(expand(path("pod")).error().code, Code::kConflict);
}

TEST_F(NodeTest, TheNodeSaysWhoAndWhereItIs) {
  auto info = inspector.info();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->node_id(), "n1");
  EXPECT_EQ(info->max_volumes_per_node(), 8);
  EXPECT_EQ(info->accessible_topology().segments().at(kTopologyRack), "r1");
  EXPECT_TRUE(inspector.storage_health()->backend_health().empty());
  auto* pool = fake.state().nodes[0].add_pools();
  pool->set_state(api::POOL_STATE_FULL);
  pool->set_problem("the pool is full");
  EXPECT_EQ(inspector.storage_health()->backend_health(0).reason(), "PoolFull");
  fake.state().nodes.erase(fake.state().nodes.begin());
  EXPECT_EQ(inspector.info().error().code, Code::kUnreachable);
  EXPECT_EQ(inspector.storage_health()->backend_health(0).status(), spec::STORAGE_UNREACHABLE);
}

}  // namespace
}  // namespace cleat::csi
