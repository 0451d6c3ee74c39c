// Real file systems on a loop device over a file, and the texts of the kernel.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/units.h"
#include "host/child_process.h"
#include "host/file_system.h"
#include "host/mount_table.h"

namespace cleat::host {
namespace {

class FileSystemTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/var/tmp/cleat-host-XXXXXX";
    directory = ::mkdtemp(name);
    file = directory + "/disk";
    std::ofstream(file).close();
    resize(320 * kMiB);
    auto made = run_command({"losetup", "--find", "--show", "--sector-size", "4096", file}, 10s);
    ASSERT_TRUE(made && made->exit_code == 0) << (made ? made->output : made.error().message);
    device = made->output.substr(0, made->output.find('\n'));
  }
  void TearDown() override {
    auto detached = run_command({"losetup", "--detach", device}, 10s);
    EXPECT_TRUE(detached && detached->exit_code == 0);
    std::filesystem::remove_all(directory);
  }
  void resize(uint64_t bytes) { std::filesystem::resize_file(file, bytes); }

  std::string directory, file, device;
};

TEST_F(FileSystemTest, BlankIsBlankAtBothEnds) {
  EXPECT_EQ(is_blank(device), true);
  EXPECT_EQ(probe_file_system(device), "");
  int fd = ::open(device.c_str(), O_WRONLY);
  const std::string bytes(4096, 'x');
  ASSERT_EQ(::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(320 * kMiB - 4096)), 4096);
  ::close(fd);
  EXPECT_EQ(is_blank(device), false);
  EXPECT_FALSE(is_blank(directory + "/none"));
}

TEST_F(FileSystemTest, MadeProbedCheckedAndMeasured) {
  for (const char* fs : {"ext4", "xfs"}) {
    ASSERT_TRUE(make_file_system(fs, device)) << fs;
    EXPECT_EQ(probe_file_system(device), fs);
    EXPECT_EQ(is_whole(fs, device), true);
    EXPECT_TRUE(check_file_system(fs, device));
    auto bytes = file_system_bytes(fs, device);
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_EQ(*bytes, 320 * kMiB);
    EXPECT_EQ(device_bytes(device), 320 * kMiB);
  }
  EXPECT_EQ(file_system_bytes("ext4", device).error().code, Code::kCorrupt) << "it is xfs now";
  EXPECT_EQ(grow_unmounted("xfs", device).error().code, Code::kUnsupported);
}

TEST_F(FileSystemTest, Ext4GrowsToItsDevice) {
  ASSERT_TRUE(make_file_system("ext4", device));
  resize(640 * kMiB);
  auto told = run_command({"losetup", "--set-capacity", device}, 10s);
  ASSERT_TRUE(told && told->exit_code == 0);
  auto grown = grow_unmounted("ext4", device);
  ASSERT_TRUE(grown) << grown.error().message;
  EXPECT_EQ(file_system_bytes("ext4", device), 640 * kMiB);
  EXPECT_TRUE(grow_unmounted("ext4", device)) << "a repeated call";
}

// What a mkfs that was killed leaves is never taken for whole.
TEST_F(FileSystemTest, AHalfMadeFileSystemIsNotWhole) {
  ASSERT_TRUE(make_file_system("ext4", device));
  int fd = ::open(device.c_str(), O_WRONLY);
  const std::string zeros(kMiB, '\0');
  for (off_t at = 4096; at < static_cast<off_t>(64 * kMiB); at += static_cast<off_t>(kMiB)) {
    ASSERT_EQ(::pwrite(fd, zeros.data(), zeros.size(), at), static_cast<ssize_t>(kMiB));
  }
  ::close(fd);
  EXPECT_EQ(is_whole("ext4", device), false);
}

TEST(Superblocks, OnlyOursAreRead) {
  std::vector<std::byte> head(4096);
  EXPECT_FALSE(ext4_bytes(head));
  EXPECT_FALSE(xfs_bytes(head));
  EXPECT_FALSE(ext4_bytes(std::span(head).first(100)));
  head[1024 + 0x38] = std::byte{0x53};
  head[1024 + 0x39] = std::byte{0xef};
  head[1024 + 0x5] = std::byte{1};   // 256 blocks
  head[1024 + 0x18] = std::byte{2};  // of 4 KiB
  EXPECT_EQ(ext4_bytes(head), 256 * 4096U);
  head[1024 + 0x18] = std::byte{60};
  EXPECT_FALSE(ext4_bytes(head)) << "no such block size";
}

TEST(MountTable, ReadsWhatTheKernelWrites) {
  auto lines = parse_mounts(
      "36 35 7:3 / /run/with\\040space rw,noatime shared:1 unbindable - ext4 /dev/loop3 ro\n"
      "37 35 0:5 /loop3 /pods/disk ro - devtmpfs udev rw,size=1k\n"
      "nonsense\n"
      "38 35 8:1 / /x rw -\n");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].path, "/run/with space");
  EXPECT_EQ(lines[0].device_number, "7:3");
  EXPECT_FALSE(lines[0].read_only);
  EXPECT_TRUE(lines[0].super_read_only);
  EXPECT_EQ(lines[1].root, "/loop3");
  EXPECT_EQ(lines[1].fs, "devtmpfs");
  EXPECT_TRUE(lines[1].read_only);
  auto now = read_mounts();
  ASSERT_TRUE(now);
  EXPECT_FALSE(now->empty());
  EXPECT_EQ(device_number("/dev/null").error().code, Code::kInvalidArgument);
  EXPECT_EQ(device_number("/dev/no-such").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace cleat::host
