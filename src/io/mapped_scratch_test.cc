#include "io/mapped_scratch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

#include "io/test_directory.h"

namespace cleat::io {
namespace {

constexpr size_t kSize = size_t{64} << 10;

class MappedScratchTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<MappedScratch>> open(size_t size = kSize,
                                              Duration wait = Duration::zero()) {
    return MappedScratch::open(directory_.file("scratch"), size, wait);
  }
  TestDirectory directory_{"/dev/shm"};
};

TEST_F(MappedScratchTest, IsZeroWhenNew) {
  auto scratch = open();
  ASSERT_TRUE(scratch.has_value()) << to_string(scratch.error());
  MutableBuffer memory = (*scratch)->memory();
  EXPECT_EQ(memory.size(), kSize);
  EXPECT_TRUE(
      std::all_of(memory.begin(), memory.end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(MappedScratchTest, OutlivesAKilledProcess) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  pid_t owner = ::fork();
  if (owner == 0) {
    auto scratch = open();
    (*scratch)->memory()[kSize - 1] = std::byte{0x77};
    static_cast<void>(!::write(ready[1], "y", 1));
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(open().error().code, Code::kBusy);
  ASSERT_EQ(::kill(owner, SIGKILL), 0);
  auto scratch = open(kSize, std::chrono::seconds(2));
  ASSERT_TRUE(scratch.has_value()) << to_string(scratch.error());
  EXPECT_EQ((*scratch)->memory()[kSize - 1], std::byte{0x77});
  ::waitpid(owner, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(MappedScratchTest, RefusesAnotherSizeAndKeepsTheContents) {
  {
    auto scratch = open();
    ASSERT_TRUE(scratch.has_value());
    (*scratch)->memory()[0] = std::byte{1};
  }
  EXPECT_EQ(open(2 * kSize).error().code, Code::kInvalidArgument);
  EXPECT_EQ(open(0).error().code, Code::kInvalidArgument);
  EXPECT_EQ(open(100).error().code, Code::kInvalidArgument);
  auto scratch = open();
  ASSERT_TRUE(scratch.has_value());
  EXPECT_EQ((*scratch)->memory()[0], std::byte{1});
}

TEST_F(MappedScratchTest, AFileWhoseMakerDiedEarlyIsMadeAnew) {
  FILE* file = std::fopen(directory_.file("scratch").c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fclose(file);
  auto scratch = open();
  ASSERT_TRUE(scratch.has_value());
  EXPECT_EQ((*scratch)->memory().size(), kSize);
}

TEST(MappedScratch, RefusesAFilesystemThatOutlivesThePower) {
  TestDirectory directory(".");
  auto scratch = MappedScratch::open(directory.file("scratch"), kSize);
  ASSERT_FALSE(scratch.has_value()) << "the build directory must not be on tmpfs for this test";
  EXPECT_EQ(scratch.error().code, Code::kUnsupported);
  EXPECT_NE(::access(directory.file("scratch").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace cleat::io
