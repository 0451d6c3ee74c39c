// A directory that goes with the test. For tests of this module only.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace cleat::io {

class TestDirectory {
 public:
  // Under /tmp, or under /dev/shm for what must be on tmpfs.
  explicit TestDirectory(const std::string& parent = "/tmp") {
    std::string pattern = parent + "/cleat-io-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  TestDirectory(const TestDirectory&) = delete;
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace cleat::io
