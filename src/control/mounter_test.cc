// Real file systems on a loop device over a file.
#include "control/mounter.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "control/testing/test_etcd.h"
#include "host/child_process.h"

namespace cleat::control {
namespace {

class MounterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(file).close();
    std::filesystem::resize_file(file, 320 << 20);
    auto made =
        host::run_command({"losetup", "--find", "--show", "--sector-size", "4096", file}, 10s);
    ASSERT_TRUE(made && made->exit_code == 0) << (made ? made->output : made.error().message);
    device = made->output.substr(0, made->output.find('\n'));
  }
  void TearDown() override {
    ASSERT_TRUE(mounter.unmount(device, ""));
    auto detached = host::run_command({"losetup", "--detach", device}, 10s);
    EXPECT_TRUE(detached && detached->exit_code == 0);
  }
  MountRequestInfo request(const std::string& fs) { return {device, path, fs, {}}; }

  TestDirectory directory;
  std::string file = directory.path() + "/disk";
  std::string path = directory.path() + "/mnt";
  std::string device;
  Mounter mounter;
};

TEST_F(MounterTest, ABlankDeviceIsFormattedOnceAndItsFilesStay) {
  for (const char* fs : {"ext4", "xfs"}) {
    std::filesystem::resize_file(file, 0);
    std::filesystem::resize_file(file, 320 << 20);
    auto first = mounter.mount(request(fs));
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(first->formatted);
    std::ofstream(path + "/hello") << fs;
    auto again = mounter.mount(request(fs));
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->formatted);
    EXPECT_EQ(mounter.mounts(device)->size(), 1U);
    ASSERT_TRUE(mounter.unmount(device, path));
    EXPECT_TRUE(mounter.unmount(device, path));
    auto second = mounter.mount(request(fs));
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_FALSE(second->formatted);
    EXPECT_TRUE(std::filesystem::exists(path + "/hello"));
    ASSERT_TRUE(mounter.unmount(device, ""));
  }
}

TEST_F(MounterTest, DataThatIsNoFileSystemIsLeftAlone) {
  int fd = ::open(device.c_str(), O_WRONLY);
  std::string bytes(8192, 'x');
  ASSERT_EQ(::pwrite(fd, bytes.data(), bytes.size(), 65536), 8192);
  ::close(fd);
  auto refused = mounter.mount(request("ext4"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kCorrupt);
}

TEST_F(MounterTest, BadRequests) {
  auto odd = request("ntfs");
  EXPECT_EQ(mounter.mount(odd).error().code, Code::kInvalidArgument);
  odd = request("ext4");
  odd.path = "relative";
  EXPECT_EQ(mounter.mount(odd).error().code, Code::kInvalidArgument);
  odd = request("ext4");
  odd.options = {"--bind"};
  EXPECT_EQ(mounter.mount(odd).error().code, Code::kInvalidArgument);
  odd = request("ext4");
  odd.device = "/dev/no-such";
  EXPECT_EQ(mounter.mount(odd).error().code, Code::kNotFound);
  odd.device = file;
  EXPECT_EQ(mounter.mount(odd).error().code, Code::kInvalidArgument);
}

TEST(ChildProcess, RunsCapturesAndTimesOut) {
  auto done = host::run_command({"sh", "-c", "echo out; echo err >&2; exit 3"}, 5s);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->exit_code, 3);
  EXPECT_EQ(done->output, "out\nerr\n");
  EXPECT_EQ(host::run_command({"no-such-program"}, 1s).error().code, Code::kNotFound);
  EXPECT_EQ(host::run_command({"sleep", "10"}, 200ms).error().code, Code::kTimedOut);
}

}  // namespace
}  // namespace cleat::control
