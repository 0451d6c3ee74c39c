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
  void wipe() {
    std::filesystem::resize_file(file, 0);
    std::filesystem::resize_file(file, 320 << 20);
  }
  bool resize_device(uint64_t bytes) {
    std::filesystem::resize_file(file, bytes);
    auto told = host::run_command({"losetup", "--set-capacity", device}, 10s);
    return told && told->exit_code == 0;
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
    wipe();
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

TEST_F(MounterTest, AFileSystemGrowsWithItsDevice) {
  for (const char* fs : {"ext4", "xfs"}) {
    ASSERT_TRUE(resize_device(320 << 20));
    wipe();
    EXPECT_FALSE(mounter.grow_file_system(device)->grown) << "it is not mounted";
    ASSERT_TRUE(mounter.mount(request(fs)));
    std::ofstream(path + "/hello") << fs;
    ASSERT_TRUE(mounter.grow_file_system(device)) << "nothing to grow";
    ASSERT_TRUE(resize_device(640 << 20));
    auto growth = mounter.grow_file_system(device);
    ASSERT_TRUE(growth) << growth.error().message;
    if (!growth->grown) {  // ext4 where root lacks CAP_SYS_RESOURCE
      EXPECT_STREQ(fs, "ext4");
      EXPECT_NE(growth->why_not.find("CAP_SYS_RESOURCE"), std::string::npos) << growth->why_not;
      ASSERT_TRUE(mounter.unmount(device, path));
      auto again = mounter.mount(request(fs));
      ASSERT_TRUE(again) << again.error().message;
    }
    EXPECT_GT(std::filesystem::space(path).capacity, 560ULL << 20) << fs;
    EXPECT_TRUE(std::filesystem::exists(path + "/hello"));
    ASSERT_TRUE(mounter.unmount(device, ""));
  }
}

TEST_F(MounterTest, WhatGrewWhileUnmountedIsGrownByTheNextWritableMount) {
  for (const char* fs : {"ext4", "xfs"}) {
    ASSERT_TRUE(resize_device(320 << 20));
    wipe();
    ASSERT_TRUE(mounter.mount(request(fs)));
    std::ofstream(path + "/hello") << fs;
    ASSERT_TRUE(mounter.unmount(device, path));
    ASSERT_TRUE(resize_device(640 << 20));
    auto read_only = request(fs);
    read_only.options = {"ro"};
    ASSERT_TRUE(mounter.mount(read_only));
    EXPECT_LT(std::filesystem::space(path).capacity, 400ULL << 20) << fs;
    ASSERT_TRUE(mounter.unmount(device, path));
    ASSERT_TRUE(mounter.mount(request(fs)));
    EXPECT_GT(std::filesystem::space(path).capacity, 560ULL << 20) << fs;
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
