// The Node service on this machine's own mounts and programs, with a loop device as the volume's.
#include "csi/linux_ports.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "csi/names.h"
#include "csi/node_inspector.h"
#include "csi/node_publisher.h"
#include "csi/stager.h"
#include "csi/testing/fake_cleatd.h"
#include "host/child_process.h"

namespace cleat::csi {
namespace {

using Mode = spec::VolumeCapability::AccessMode;

class LinuxPortsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    char name[] = "/var/tmp/cleat-csi-XXXXXX";
    directory = ::mkdtemp(name);
    std::ofstream(directory + "/disk").close();
    std::filesystem::resize_file(directory + "/disk", 400 * kMiB);
    auto made = host::run_command(
        {"losetup", "--find", "--show", "--sector-size", "4096", directory + "/disk"}, 10s);
    ASSERT_TRUE(made && made->exit_code == 0) << (made ? made->output : made.error().message);
    device = made->output.substr(0, made->output.find('\n'));
    api::Volume volume;
    volume.set_id("77");
    volume.set_name("data");
    volume.set_fs(GetParam());
    volume.set_status(api::VOLUME_STATUS_UP);
    volume.mutable_attachment()->set_node("n1");
    volume.mutable_attachment()->set_node_online(true);
    volume.mutable_attachment()->set_device(device);
    fake.state().volumes["77"] = volume;
    capability.mutable_mount();
    capability.mutable_access_mode()->set_mode(Mode::SINGLE_NODE_WRITER);
  }
  void TearDown() override {
    for (const char* path : {"/pod", "/reader", "/raw", "/staging"}) {
      EXPECT_TRUE(unmount_all(mounts, directory + path));
    }
    auto detached = host::run_command({"losetup", "--detach", device}, 10s);
    EXPECT_TRUE(detached && detached->exit_code == 0);
    std::filesystem::remove_all(directory);
  }
  Outcome<> stage() {
    spec::NodeStageVolumeRequest request;
    request.set_volume_id("77");
    request.set_staging_target_path(directory + "/staging");
    *request.mutable_volume_capability() = capability;
    return Stager(context).stage(request);
  }
  Outcome<> unstage() {
    spec::NodeUnstageVolumeRequest request;
    request.set_volume_id("77");
    request.set_staging_target_path(directory + "/staging");
    return Stager(context).unstage(request);
  }
  Outcome<> publish(const std::string& path, bool read_only = false) {
    spec::NodePublishVolumeRequest request;
    request.set_volume_id("77");
    request.set_staging_target_path(directory + "/staging");
    request.set_target_path(directory + path);
    request.set_readonly(read_only);
    *request.mutable_volume_capability() = capability;
    return NodePublisher(context).publish(request);
  }
  bool can_write() const {
    std::ofstream out(device, std::ios::in | std::ios::out);
    out << "x";
    out.flush();
    return out.good();
  }
  Outcome<> unpublish(const std::string& path) {
    spec::NodeUnpublishVolumeRequest request;
    request.set_volume_id("77");
    request.set_target_path(directory + path);
    return NodePublisher(context).unpublish(request);
  }

  std::string directory, device;
  FakeCleatd fake;
  Cleatd cleatd{{fake.address(), "", 5s}};
  LinuxMounts mounts;
  LinuxFileSystems file_systems;
  InFlight in_flight;
  NodeContext context{cleatd, mounts, file_systems, in_flight, "n1", 8};
  spec::VolumeCapability capability;
};

TEST_P(LinuxPortsTest, FilesStayOverStageAndUnstage) {
  auto staged = stage();
  ASSERT_TRUE(staged) << staged.error().message;
  ASSERT_TRUE(publish("/pod"));
  ASSERT_TRUE(publish("/pod"));
  ASSERT_TRUE(publish("/reader", true));
  std::ofstream(directory + "/pod/hello") << "there";
  EXPECT_TRUE(std::filesystem::exists(directory + "/reader/hello"));
  EXPECT_FALSE(std::ofstream(directory + "/reader/other")) << "it is read-only";
  spec::NodeGetVolumeStatsRequest stats;
  stats.set_volume_id("77");
  stats.set_volume_path(directory + "/pod");
  auto seen = NodeInspector(context).stats(stats);
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_FALSE(seen->volume_condition().abnormal()) << seen->volume_condition().message();
  ASSERT_TRUE(unpublish("/pod"));
  ASSERT_TRUE(unpublish("/reader"));
  ASSERT_TRUE(unstage());
  ASSERT_TRUE(unstage());
  ASSERT_TRUE(stage());
  ASSERT_TRUE(publish("/pod"));
  EXPECT_TRUE(std::filesystem::exists(directory + "/pod/hello"));
}

TEST_P(LinuxPortsTest, AGrownDeviceHasAGrownFileSystemAtTheNextStage) {
  ASSERT_TRUE(stage());
  ASSERT_TRUE(unstage());
  std::filesystem::resize_file(directory + "/disk", 800 * kMiB);
  auto told = host::run_command({"losetup", "--set-capacity", device}, 10s);
  ASSERT_TRUE(told && told->exit_code == 0);
  auto staged = stage();
  ASSERT_TRUE(staged) << staged.error().message;
  auto space = std::filesystem::space(directory + "/staging");
  EXPECT_GT(space.capacity, 600 * kMiB);
}

TEST_P(LinuxPortsTest, TheRawDeviceAtAFile) {
  capability.mutable_block();
  ASSERT_TRUE(stage());
  ASSERT_TRUE(publish("/raw"));
  ASSERT_TRUE(publish("/raw"));
  EXPECT_TRUE(std::filesystem::is_block_file(directory + "/raw"));
  capability.mutable_access_mode()->set_mode(Mode::SINGLE_NODE_SINGLE_WRITER);
  EXPECT_EQ(publish("/pod").error().code, Code::kBusy);
  ASSERT_TRUE(unpublish("/raw"));
  EXPECT_FALSE(std::filesystem::exists(directory + "/raw"));
  capability.mutable_access_mode()->set_mode(Mode::SINGLE_NODE_READER_ONLY);
  ASSERT_TRUE(stage());
  EXPECT_FALSE(can_write()) << "it is read-only";
  capability.mutable_access_mode()->set_mode(Mode::SINGLE_NODE_WRITER);
  ASSERT_TRUE(stage());
  EXPECT_TRUE(can_write());
}

INSTANTIATE_TEST_SUITE_P(FileSystems, LinuxPortsTest, ::testing::Values("ext4", "xfs"));

}  // namespace
}  // namespace cleat::csi
