#include "frontend/device_link.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cleat::frontend {
namespace {

namespace fs = std::filesystem;

class DeviceLinkTest : public ::testing::Test {
 protected:
  DeviceLinkTest() {
    std::string pattern = "/tmp/cleat-link-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    parent_ = pattern;
    dir_ = parent_ + "/dev/cleat";
  }
  ~DeviceLinkTest() override { fs::remove_all(parent_); }

  std::string parent_;
  std::string dir_;
};

TEST_F(DeviceLinkTest, IsMadeReplacedAndRemoved) {
  ASSERT_TRUE(make_device_link(dir_, "db", "/dev/loop3"));
  EXPECT_EQ(fs::read_symlink(dir_ + "/db"), "/dev/loop3");
  ASSERT_TRUE(make_device_link(dir_, "db", "/dev/loop4"));
  EXPECT_EQ(fs::read_symlink(dir_ + "/db"), "/dev/loop4");
  ASSERT_TRUE(remove_device_link(dir_, "db"));
  EXPECT_FALSE(fs::is_symlink(dir_ + "/db"));
  ASSERT_TRUE(remove_device_link(dir_, "db"));
}

TEST_F(DeviceLinkTest, NamesThatAreNoFileNamesAreRefused) {
  for (std::string name : {"", ".", "..", "a/b", "/etc/passwd"}) {
    EXPECT_EQ(make_device_link(dir_, name, "/dev/loop3").error().code, Code::kInvalidArgument)
        << name;
    EXPECT_EQ(remove_device_link(dir_, name).error().code, Code::kInvalidArgument) << name;
  }
  EXPECT_FALSE(make_device_link(dir_, std::string(255, 'x'), "/dev/loop3"));
}

TEST_F(DeviceLinkTest, OtherPeoplesFilesStay) {
  fs::create_directories(dir_);
  std::ofstream(dir_ + "/file") << "mine";
  EXPECT_EQ(make_device_link(dir_, "file", "/dev/loop3").error().code, Code::kAlreadyExists);
  EXPECT_EQ(remove_device_link(dir_, "file").error().code, Code::kAlreadyExists);
  EXPECT_TRUE(fs::is_regular_file(dir_ + "/file"));
}

TEST_F(DeviceLinkTest, StaleLinksGo) {
  for (std::string name : {"a", "b", "c"}) ASSERT_TRUE(make_device_link(dir_, name, "/dev/loop3"));
  ASSERT_TRUE(keep_device_links(dir_, {"b"}));
  EXPECT_FALSE(fs::is_symlink(dir_ + "/a"));
  EXPECT_TRUE(fs::is_symlink(dir_ + "/b"));
  EXPECT_FALSE(fs::is_symlink(dir_ + "/c"));
  EXPECT_TRUE(keep_device_links(dir_ + "/none", {}));
}

}  // namespace
}  // namespace cleat::frontend
