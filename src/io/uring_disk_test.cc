#include "io/uring_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "common/random.h"
#include "common/units.h"
#include "io/file_descriptor.h"
#include "io/test_directory.h"

namespace cleat::io {
namespace {

class UringDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop.has_value()) << to_string(loop.error());
    loop_ = std::move(*loop);
  }

  std::unique_ptr<UringDisk> create(const std::string& name, uint64_t size) {
    auto disk = run_to_end(*loop_, UringDisk::create(*loop_, directory_.file(name), size));
    EXPECT_TRUE(disk.has_value()) << to_string(disk.error());
    return std::move(*disk);
  }
  Code open_code(const std::string& path, Duration wait = Duration::zero()) {
    auto disk = UringDisk::open(*loop_, path, {.lock_wait = wait});
    EXPECT_FALSE(disk.has_value());
    return disk.error().code;
  }
  void make_file(const std::string& name, off_t size) {
    FileDescriptor fd(::open(directory_.file(name).c_str(), O_RDWR | O_CREAT, 0600));
    ASSERT_TRUE(fd.valid());
    ASSERT_EQ(::ftruncate(fd.get(), size), 0);
  }

  std::unique_ptr<EventLoop> loop_;
  TestDirectory directory_;
};

AlignedBuffer random_bytes(size_t size, uint64_t seed) {
  AlignedBuffer buffer(size);
  Random random(seed);
  for (size_t i = 0; i < size; i += 8) {
    uint64_t word = random();
    std::memcpy(buffer.data() + i, &word, 8);
  }
  return buffer;
}

bool same(const AlignedBuffer& a, const AlignedBuffer& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

// Extents of a file that the filesystem has allocated but not written, and bytes it maps in all.
struct Mapping {
  int unwritten = 0;
  uint64_t bytes = 0;
};

Mapping mapping_of(const std::string& path) {
  Mapping mapping;
  FileDescriptor fd(::open(path.c_str(), O_RDONLY));
  EXPECT_TRUE(fd.valid());
  EXPECT_EQ(::fsync(fd.get()), 0);
  std::vector<std::byte> memory(sizeof(fiemap) + 512 * sizeof(fiemap_extent));
  auto* map = reinterpret_cast<fiemap*>(memory.data());
  map->fm_length = ~uint64_t{0};
  map->fm_extent_count = 512;
  EXPECT_EQ(::ioctl(fd.get(), FS_IOC_FIEMAP, map), 0);
  for (uint32_t i = 0; i < map->fm_mapped_extents; ++i) {
    if ((map->fm_extents[i].fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0) ++mapping.unwritten;
    mapping.bytes += map->fm_extents[i].fe_length;
  }
  return mapping;
}

TEST_F(UringDiskTest, ReadsBackWhatWasWrittenInEveryMode) {
  auto disk = create("pool", kMiB);
  EXPECT_EQ(disk->size_bytes(), kMiB);
  uint64_t offset = 0;
  for (WriteMode mode : {WriteMode::kCached, WriteMode::kDurable}) {
    for (size_t size : {kBlockSize, 16 * kBlockSize}) {
      AlignedBuffer out = random_bytes(size, offset + 1);
      AlignedBuffer in(size);
      EXPECT_TRUE(run_to_end(*loop_, disk->write(offset, out.span(), mode)).has_value());
      EXPECT_TRUE(run_to_end(*loop_, disk->read(offset, in.span())).has_value());
      EXPECT_TRUE(same(in, out));
      offset += size;
    }
  }
  EXPECT_TRUE(run_to_end(*loop_, disk->flush()).has_value());
}

TEST_F(UringDiskTest, IsThereAfterReopening) {
  AlignedBuffer out = random_bytes(kBlockSize, 9);
  {
    auto disk = create("pool", kMiB);
    ASSERT_TRUE(run_to_end(*loop_, disk->write(8192, out.span(), WriteMode::kDurable)).has_value());
  }
  auto disk = UringDisk::open(*loop_, directory_.file("pool"));
  ASSERT_TRUE(disk.has_value()) << to_string(disk.error());
  AlignedBuffer in(kBlockSize);
  ASSERT_TRUE(run_to_end(*loop_, (*disk)->read(8192, in.span())).has_value());
  EXPECT_TRUE(same(in, out));
  EXPECT_FALSE((*disk)->is_block_device());
}

TEST_F(UringDiskTest, RefusesWhatIsBeyondTheEnd) {
  auto disk = create("pool", kMiB);
  AlignedBuffer block(2 * kBlockSize);
  auto read = run_to_end(*loop_, disk->read(kMiB - kBlockSize, block.span()));
  EXPECT_EQ(read.error().code, Code::kOutOfRange);
  auto wrapped = run_to_end(*loop_, disk->read(~uint64_t{4095}, block.span()));
  EXPECT_EQ(wrapped.error().code, Code::kOutOfRange);
  ConstBuffer from = block.span();
  auto write = run_to_end(*loop_, disk->write(kMiB, from, WriteMode::kCached));
  EXPECT_EQ(write.error().code, Code::kOutOfRange);
}

TEST_F(UringDiskTest, AFileThatShrankBehindOurBackIsAnErrorNotAnEndlessLoop) {
  auto disk = create("pool", kMiB);
  ASSERT_EQ(::truncate(directory_.file("pool").c_str(), 4096), 0);
  AlignedBuffer in(2 * kBlockSize);
  auto read = run_to_end(*loop_, disk->read(0, in.span()));
  EXPECT_EQ(read.error().code, Code::kIoError);
}

TEST_F(UringDiskTest, ACreatedFileIsWrittenZerosEverywhere) {
  auto disk = create("pool", 3 * kMiB + kBlockSize);
  Mapping mapping = mapping_of(directory_.file("pool"));
  EXPECT_EQ(mapping.unwritten, 0);
  EXPECT_GE(mapping.bytes, 3 * kMiB + kBlockSize);
  AlignedBuffer in = random_bytes(3 * kMiB + kBlockSize, 1);
  ASSERT_TRUE(run_to_end(*loop_, disk->read(0, in.span())).has_value());
  for (size_t i = 0; i < in.size(); ++i) ASSERT_EQ(in.data()[i], std::byte{0}) << i;
}

TEST_F(UringDiskTest, GrowsByWrittenZerosAndKeepsWhatItHad) {
  auto disk = create("pool", kMiB);
  AlignedBuffer out = random_bytes(kMiB, 5);
  ASSERT_TRUE(run_to_end(*loop_, disk->write(0, out.span(), WriteMode::kCached)).has_value());
  ASSERT_TRUE(run_to_end(*loop_, disk->grow(5 * kMiB)).has_value());
  EXPECT_EQ(disk->size_bytes(), 5 * kMiB);
  EXPECT_EQ(mapping_of(directory_.file("pool")).unwritten, 0);
  AlignedBuffer in(5 * kMiB);
  ASSERT_TRUE(run_to_end(*loop_, disk->read(0, in.span())).has_value());
  EXPECT_EQ(std::memcmp(in.data(), out.data(), kMiB), 0);
  for (size_t i = kMiB; i < in.size(); ++i) ASSERT_EQ(in.data()[i], std::byte{0}) << i;
  EXPECT_TRUE(run_to_end(*loop_, disk->grow(5 * kMiB)).has_value());
  EXPECT_EQ(run_to_end(*loop_, disk->grow(kMiB)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(run_to_end(*loop_, disk->grow(5 * kMiB + 1)).error().code, Code::kInvalidArgument);
}

Task<void> grow_into(UringDisk& disk, uint64_t size, Result<void>& result) {
  result = co_await disk.grow(size);
}

Task<void> grow_twice(UringDisk& disk, Result<void>& first, Result<void>& second) {
  TaskGroup group;
  group.spawn(grow_into(disk, 4 * kMiB, first));
  group.spawn(grow_into(disk, 8 * kMiB, second));
  co_await group.close();
}

TEST_F(UringDiskTest, OneGrowAtATime) {
  auto disk = create("pool", kMiB);
  Result<void> first;
  Result<void> second;
  run_to_end(*loop_, grow_twice(*disk, first, second));
  EXPECT_TRUE(first.has_value());
  EXPECT_EQ(second.error().code, Code::kBusy);
  EXPECT_EQ(disk->size_bytes(), 4 * kMiB);
}

TEST_F(UringDiskTest, AFullFilesystemIsNoSpaceAndLeavesNoFile) {
  ASSERT_EQ(::geteuid(), 0u) << "mounting a small tmpfs needs root";
  std::string mount = directory_.file("small");
  ASSERT_EQ(::mkdir(mount.c_str(), 0700), 0);
  std::string command = "mount -t tmpfs -o size=1m none " + mount;
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::string path = mount + "/pool";
  auto disk = run_to_end(*loop_, UringDisk::create(*loop_, path, 8 * kMiB));
  EXPECT_FALSE(disk.has_value());
  EXPECT_EQ(disk.error().code, Code::kNoSpace);
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  EXPECT_EQ(std::system(("umount -l " + mount).c_str()), 0);
}

TEST_F(UringDiskTest, SaysWhatIsWrongWithAPath) {
  EXPECT_EQ(open_code(directory_.file("absent")), Code::kNotFound);
  EXPECT_EQ(open_code(directory_.path()), Code::kInvalidArgument);
  make_file("odd", 5000);
  EXPECT_EQ(open_code(directory_.file("odd")), Code::kInvalidArgument);
  EXPECT_EQ(open_code("/dev/null"), Code::kInvalidArgument);
  make_file("there", 4096);
  auto again = run_to_end(*loop_, UringDisk::create(*loop_, directory_.file("there"), 4096));
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
  auto odd = run_to_end(*loop_, UringDisk::create(*loop_, directory_.file("new"), 5000));
  EXPECT_EQ(odd.error().code, Code::kInvalidArgument);
}

TEST_F(UringDiskTest, OneOwnerAtATime) {
  auto disk = create("pool", kMiB);
  EXPECT_EQ(open_code(directory_.file("pool"), 50ms), Code::kBusy);
  disk.reset();
  EXPECT_TRUE(UringDisk::open(*loop_, directory_.file("pool"), {.lock_wait = 0ms}).has_value());
}

// A killed process that used the ring keeps its files for a moment: the next one waits for it.
TEST_F(UringDiskTest, OpensAfterItsOwnerWasKilled) {
  create("pool", kMiB).reset();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  pid_t owner = ::fork();
  if (owner == 0) {
    auto loop = EventLoop::create();
    auto disk = UringDisk::open(**loop, directory_.file("pool"));
    char byte = disk ? 'y' : 'n';
    static_cast<void>(!::write(ready[1], &byte, 1));
    (*loop)->run();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  EXPECT_EQ(open_code(directory_.file("pool")), Code::kBusy);
  ASSERT_EQ(::kill(owner, SIGKILL), 0);
  EXPECT_TRUE(UringDisk::open(*loop_, directory_.file("pool")).has_value());
  ::waitpid(owner, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

std::string attach_loop_device(const std::string& file) {
  FILE* pipe = ::popen(("losetup --show -f " + file).c_str(), "r");
  char line[128] = {};
  if (pipe == nullptr || std::fgets(line, sizeof line, pipe) == nullptr) line[0] = 0;
  if (pipe != nullptr) ::pclose(pipe);
  line[std::strcspn(line, "\n")] = 0;
  return line;
}

TEST_F(UringDiskTest, ABlockDeviceHasItsSizeAndOneOwnerAndDoesNotGrow) {
  ASSERT_EQ(::geteuid(), 0u) << "making a loop device needs root";
  create("backing", 2 * kMiB).reset();
  std::string device = attach_loop_device(directory_.file("backing"));
  ASSERT_FALSE(device.empty()) << "losetup made no loop device";
  {
    auto disk = UringDisk::open(*loop_, device);
    ASSERT_TRUE(disk.has_value()) << to_string(disk.error());
    EXPECT_TRUE((*disk)->is_block_device());
    EXPECT_EQ((*disk)->size_bytes(), 2 * kMiB);
    EXPECT_EQ(open_code(device), Code::kBusy);
    EXPECT_EQ(run_to_end(*loop_, (*disk)->grow(4 * kMiB)).error().code, Code::kUnsupported);
    AlignedBuffer out = random_bytes(kBlockSize, 3);
    AlignedBuffer in(kBlockSize);
    EXPECT_TRUE(
        run_to_end(*loop_, (*disk)->write(4096, out.span(), WriteMode::kDurable)).has_value());
    EXPECT_TRUE(run_to_end(*loop_, (*disk)->read(4096, in.span())).has_value());
    EXPECT_TRUE(same(in, out));
  }
  EXPECT_EQ(std::system(("losetup -d " + device).c_str()), 0);
}

Task<void> write_block(UringDisk& disk, uint64_t index, const AlignedBuffer& block, int& failed) {
  Result<void> result = co_await disk.write(index * kBlockSize, block.span(), WriteMode::kCached);
  if (!result) ++failed;
}

Task<void> write_all_blocks(UringDisk& disk, const std::vector<AlignedBuffer>& blocks,
                            int& failed) {
  TaskGroup group;
  for (size_t i = 0; i < blocks.size(); ++i) group.spawn(write_block(disk, i, blocks[i], failed));
  co_await group.close();
}

TEST_F(UringDiskTest, ManyOperationsAtOnce) {
  auto disk = create("pool", 4 * kMiB);
  std::vector<AlignedBuffer> blocks;
  for (uint64_t i = 0; i < 1024; ++i) blocks.push_back(random_bytes(kBlockSize, i));
  int failed = 0;
  run_to_end(*loop_, write_all_blocks(*disk, blocks, failed));
  EXPECT_EQ(failed, 0);
  AlignedBuffer in(4 * kMiB);
  ASSERT_TRUE(run_to_end(*loop_, disk->read(0, in.span())).has_value());
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(std::memcmp(in.data() + i * kBlockSize, blocks[i].data(), kBlockSize), 0) << i;
  }
}

}  // namespace
}  // namespace cleat::io
