// Pools of real files: what is refused, in which words, and that nobody's data is lost by it.
#include "node/pool_set.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/units.h"
#include "io/file_descriptor.h"
#include "store/superblock.h"

namespace cleat::node {
namespace {

using ::testing::HasSubstr;

constexpr PoolId kPool{7};
constexpr uint64_t kPoolBytes = 256 * kMiB;

class PoolSetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = make_directory("/tmp");
    run_dir_ = make_directory("/dev/shm");  // scratch memory must be on tmpfs
    auto loop = io::EventLoop::create();
    ASSERT_TRUE(loop) << to_string(loop.error());
    loop_ = std::move(*loop);
    start();
  }
  void TearDown() override {
    stop();
    std::filesystem::remove_all(directory_);
    std::filesystem::remove_all(run_dir_);
  }

  static std::string make_directory(const std::string& parent) {
    std::string pattern = parent + "/cleat-node-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    return pattern;
  }
  void start() {
    service_ = std::make_unique<engine::ReplicaService>(*loop_, buffers_);
    pools_ = std::make_unique<PoolSet>(
        *loop_, *service_,
        PoolSetOptions{directory_, run_dir_, "test", NodeId{1}, [] { return 4711ULL; }});
    auto opened = io::run_to_end(*loop_, pools_->open_all());
    ASSERT_TRUE(opened) << opened.error().message;
  }
  void stop() {
    close_all();
    pools_.reset();
    service_.reset();
  }
  void restart() {
    stop();
    start();
  }
  void close_all() {
    auto close = [](PoolSet& pools) -> io::Task<bool> {
      co_await pools.close_all();
      co_return true;
    };
    EXPECT_TRUE(io::run_to_end(*loop_, close(*pools_)));
  }

  control::Outcome<control::PoolInfo> create(uint64_t size_bytes = kPoolBytes,
                                             bool overwrite = false) {
    return io::run_to_end(*loop_, pools_->create(kPool, {path(), size_bytes, "ssd", overwrite}));
  }
  std::string path() const { return directory_ + "/pool"; }
  control::PoolInfo only() { return pools_->list().at(0); }
  void damage_superblock(uint64_t offset) {
    io::FileDescriptor fd(::open(path().c_str(), O_WRONLY));
    ASSERT_EQ(::pwrite(fd.get(), "damage", 6, static_cast<off_t>(offset) + 100), 6);
  }

  std::string directory_;
  std::string run_dir_;
  std::unique_ptr<io::EventLoop> loop_;
  io::BufferPool buffers_;
  std::unique_ptr<engine::ReplicaService> service_;
  std::unique_ptr<PoolSet> pools_;
};

TEST_F(PoolSetTest, AreOpenedAgainAfterARestart) {
  auto made = create();
  ASSERT_TRUE(made) << made.error().message;
  restart();
  EXPECT_EQ(only().pool, kPool);
  EXPECT_EQ(only().pool_class, "ssd");
  EXPECT_FALSE(only().failed) << only().problem;
  EXPECT_EQ(create().error().code, Code::kAlreadyExists);
}

TEST_F(PoolSetTest, AMissingFileIsAPoolThatHasFailed) {
  ASSERT_TRUE(create());
  stop();
  std::filesystem::remove(path());
  start();
  EXPECT_TRUE(only().failed);
  EXPECT_THAT(only().problem, HasSubstr("no such file"));
}

TEST_F(PoolSetTest, AFileInUseByAnotherProcessIsRefused) {
  ASSERT_TRUE(create());
  stop();
  io::FileDescriptor other(::open(path().c_str(), O_RDONLY));
  ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
  start();
  EXPECT_TRUE(only().failed);
  EXPECT_THAT(only().problem, HasSubstr("in use by another process"));
}

TEST_F(PoolSetTest, WhatIsTooSmallIsRefusedAndLeavesNoFile) {
  auto made = create(kMiB);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kInvalidArgument);
  EXPECT_THAT(made.error().message, HasSubstr("at least 256 MiB"));
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(PoolSetTest, ACreateThatFailsLateCanBeRepeated) {
  std::filesystem::create_directory(run_dir_ + "/scratch-7");  // where its scratch memory would be
  auto made = create();
  ASSERT_FALSE(made);
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_TRUE(pools_->list().empty());
  std::filesystem::remove(run_dir_ + "/scratch-7");
  made = create();
  EXPECT_TRUE(made) << made.error().message;
}

TEST_F(PoolSetTest, AFileWithOtherDataIsLeftAlone) {
  std::ofstream(path()) << std::string(kBlockSize, 'x');
  auto made = create();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kAlreadyExists);
  EXPECT_THAT(made.error().message, HasSubstr("--overwrite"));
  EXPECT_EQ(std::filesystem::file_size(path()), kBlockSize);
  EXPECT_TRUE(create(kPoolBytes, true));
}

TEST_F(PoolSetTest, OneDamagedSuperblockIsRepairedTwoAreRefused) {
  ASSERT_TRUE(create());
  stop();
  damage_superblock(store::kSuperblockOffsets[0]);
  start();
  EXPECT_FALSE(only().failed) << only().problem;
  stop();
  damage_superblock(store::kSuperblockOffsets[1]);
  start();
  EXPECT_FALSE(only().failed) << "the first was not written anew: " << only().problem;
  stop();
  for (uint64_t offset : store::kSuperblockOffsets) damage_superblock(offset);
  start();
  EXPECT_TRUE(only().failed);
  EXPECT_THAT(only().problem, HasSubstr("both copies are damaged"));
}

TEST_F(PoolSetTest, DeletingOneThatCouldNotBeOpenedLeavesItsFileAlone) {
  ASSERT_TRUE(create());
  stop();
  std::ofstream(path()) << std::string(kBlockSize, 'x');  // the path names another device now
  start();
  EXPECT_TRUE(only().failed);
  ASSERT_TRUE(io::run_to_end(*loop_, pools_->remove(kPool)));
  EXPECT_TRUE(pools_->list().empty());
  std::ifstream file(path());
  EXPECT_EQ(file.get(), 'x');
  restart();
  EXPECT_TRUE(pools_->list().empty());
}

TEST_F(PoolSetTest, WhatWasDeletedCanBeMadeAgain) {
  ASSERT_TRUE(create());
  ASSERT_TRUE(io::run_to_end(*loop_, pools_->remove(kPool)));
  auto again = create();
  EXPECT_TRUE(again) << again.error().message;
}

}  // namespace
}  // namespace cleat::node
