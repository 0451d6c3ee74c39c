#include "csi/linux_ports.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "host/file_system.h"

namespace cleat::csi {
namespace {

constexpr Duration kMountTimeout = 120s;

tl::unexpected<Failure> system_failure(const std::string& doing) {
  const int error = errno;
  const Code code = error == EBUSY ? Code::kBusy : Code::kIoError;
  return failure(code, "{}: {}", doing, ::strerror(error));
}

// Kernels before 5.12: two steps, and back when the second fails.
Outcome<> bind_in_steps(const std::string& source, const std::string& path, bool read_only) {
  const std::string doing = fmt::format("cannot bind {} to {}", source, path);
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return system_failure(doing);
  }
  if (!read_only) return {};
  constexpr unsigned long kReadOnly = MS_BIND | MS_REMOUNT | MS_RDONLY;
  if (::mount(nullptr, path.c_str(), nullptr, kReadOnly, nullptr) == 0) return {};
  auto failed = system_failure(doing + " read-only");
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW) != 0) {
    return system_failure(failed.value().message + "; and cannot take it back");
  }
  return failed;
}

}  // namespace

Outcome<std::vector<host::MountLine>> LinuxMounts::table() { return host::read_mounts(); }

Outcome<std::string> LinuxMounts::device_number(const std::string& path) {
  return host::device_number(path);
}

Outcome<> LinuxMounts::mount(const MountCall& call) {
  std::vector<std::string> argv{"mount", "-t", call.fs};
  if (!call.options.empty()) {
    argv.push_back("-o");
    argv.push_back(fmt::format("{}", fmt::join(call.options, ",")));
  }
  argv.insert(argv.end(), {call.device, call.path});
  OUTCOME_TRY(host::run_tool(argv, kMountTimeout, 0, Code::kIoError,
                             fmt::format("mounting {} at {}", call.device, call.path)));
  return {};
}

Outcome<> LinuxMounts::bind(const std::string& source, const std::string& path, bool read_only) {
  int tree = ::open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0 && errno == ENOSYS) return bind_in_steps(source, path, read_only);
  const std::string doing = fmt::format("cannot bind {} to {}", source, path);
  if (tree < 0) return system_failure(doing);
  struct mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  bool ok =
      !read_only || ::mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0;
  if (!ok && errno == ENOSYS) {
    ::close(tree);
    return bind_in_steps(source, path, read_only);
  }
  ok = ok && ::move_mount(tree, "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0;
  Outcome<> done;
  if (!ok) done = system_failure(doing);
  ::close(tree);
  return done;
}

Outcome<> LinuxMounts::unmount(const std::string& path) {
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EINVAL || errno == ENOENT) return {};
  return system_failure(fmt::format("cannot unmount {}", path));
}

Outcome<> LinuxMounts::set_read_only(const std::string& device, bool read_only) {
  int fd = ::open(device.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_failure(fmt::format("cannot open {}", device));
  int value = read_only ? 1 : 0;
  Outcome<> done;
  if (::ioctl(fd, BLKROSET, &value) != 0) {
    done =
        system_failure(fmt::format("cannot make {} read-{}", device, read_only ? "only" : "write"));
  }
  ::close(fd);
  return done;
}

Outcome<FoundFileSystem> LinuxFileSystems::probe(const std::string& device) {
  FoundFileSystem out;
  OUTCOME_ASSIGN(out.fs, host::probe_file_system(device));
  if (!out.fs.empty()) return out;
  OUTCOME_ASSIGN(out.blank, host::is_blank(device));
  return out;
}

Outcome<> LinuxFileSystems::make(const std::string& fs, const std::string& device) {
  return host::make_file_system(fs, device);
}

Outcome<> LinuxFileSystems::check(const std::string& fs, const std::string& device) {
  return host::check_file_system(fs, device);
}

Outcome<bool> LinuxFileSystems::is_whole(const std::string& fs, const std::string& device) {
  return host::is_whole(fs, device);
}

Outcome<FileSystemSizes> LinuxFileSystems::sizes(const std::string& fs, const std::string& device) {
  FileSystemSizes out;
  OUTCOME_ASSIGN(out.device_bytes, host::device_bytes(device));
  if (fs.empty()) return out;
  OUTCOME_ASSIGN(out.fs_bytes, host::file_system_bytes(fs, device));
  return out;
}

Outcome<> LinuxFileSystems::grow(const std::string& fs, const std::string& device,
                                 const std::string& mounted_at) {
  if (mounted_at.empty()) return host::grow_unmounted(fs, device);
  return host::grow_mounted(fs, device, mounted_at);
}

}  // namespace cleat::csi
