#include "keeper/fuse_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

namespace cleat::keeper {
namespace {

// mountinfo writes spaces and the like as \040.
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace

std::string disk_path(const std::string& mount_point) { return mount_point + "/disk"; }

Outcome<io::FileDescriptor> mount_fuse(const std::string& mount_point) {
  if (::mkdir(mount_point.c_str(), 0700) < 0 && errno != EEXIST) {
    return failure(errno, "make the directory " + mount_point);
  }
  io::FileDescriptor fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fuse.valid()) return failure(errno, "open /dev/fuse");
  std::string options = "fd=" + std::to_string(fuse.get()) + ",rootmode=40000,user_id=0,group_id=0";
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;
  if (::mount("cleat", mount_point.c_str(), "fuse.cleat", kFlags, options.c_str()) < 0) {
    int error = errno;
    ::rmdir(mount_point.c_str());
    return failure(error, "mount FUSE on " + mount_point);
  }
  return fuse;
}

// The kernel aborts the connection before it looks whether the mount is busy.
void abort_fuse(const std::string& mount_point) {
  ::umount2(mount_point.c_str(), MNT_FORCE | UMOUNT_NOFOLLOW);
}

Outcome<> unmount_fuse(const std::string& mount_point, bool is_lazy) {
  int flags = UMOUNT_NOFOLLOW | (is_lazy ? MNT_DETACH : 0);
  // EINVAL: not a mount point any more, an abort went all the way.
  if (::umount2(mount_point.c_str(), flags) < 0 && errno != EINVAL && errno != ENOENT) {
    return failure(errno, "unmount " + mount_point);
  }
  if (::rmdir(mount_point.c_str()) < 0 && errno != ENOENT) {
    return failure(errno, "remove the directory " + mount_point);
  }
  return {};
}

std::vector<std::string> find_fuse_mounts(const std::string& directory) {
  std::vector<std::string> found;
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    // 36 35 0:53 / /run/cleat/fuse/17 rw,nosuid shared:1 - fuse.cleat cleat rw,user_id=0
    std::istringstream words(line);
    std::string skipped;
    std::string mount_point;
    words >> skipped >> skipped >> skipped >> skipped >> mount_point;
    size_t separator = line.find(" - ");
    if (separator == std::string::npos || line.compare(separator + 3, 4, "fuse") != 0) continue;
    mount_point = unescape(mount_point);
    size_t slash = mount_point.rfind('/');
    if (slash != std::string::npos && mount_point.substr(0, slash) == directory) {
      found.push_back(mount_point);
    }
  }
  return found;
}

Outcome<uint64_t> refresh_size(const std::string& mount_point) {
  struct statx status{};
  std::string path = disk_path(mount_point);
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_FORCE_SYNC, STATX_SIZE, &status) < 0) {
    return failure(errno, "ask for the size of " + path);
  }
  return status.stx_size;
}

}  // namespace cleat::keeper
