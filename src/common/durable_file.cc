#include "common/durable_file.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <filesystem>

namespace cleat {
namespace {

bool sync_directory_of(const std::string& path) {
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool good = ::fsync(fd) == 0;
  return ::close(fd) == 0 && good;
}

}  // namespace

bool replace_file_durably(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
              ::fsync(fd) == 0;
  good = ::close(fd) == 0 && good;
  return good && ::rename(fresh.c_str(), path.c_str()) == 0 && sync_directory_of(path);
}

}  // namespace cleat
