#include "keeper/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace cleat::keeper {
namespace {

constexpr int kAttachTriesMax = 64;  // other programs take free devices too
constexpr auto kLeavePause = std::chrono::milliseconds(10);
constexpr int kLeavePausesMax = 200;
constexpr uint32_t kSectorBytes = 4096;

std::string path_of(int index) { return "/dev/loop" + std::to_string(index); }

// Where /dev is no devtmpfs (a container), new devices have no node.
io::FileDescriptor open_loop(int index, int flags) {
  std::string path = path_of(index);
  io::FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | flags));
  if (!fd.valid() && errno == ENOENT) {
    ::mknod(path.c_str(), S_IFBLK | 0600, makedev(7, static_cast<unsigned>(index)));
    fd = io::FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC | flags));
  }
  return fd;
}

std::string tag_of(const io::FileDescriptor& device) {
  loop_info64 info{};
  if (::ioctl(device.get(), LOOP_GET_STATUS64, &info) < 0) return "";
  const char* name = reinterpret_cast<const char*>(info.lo_file_name);
  return {name, ::strnlen(name, LO_NAME_SIZE)};
}

// Without opening the device: an open one is never cleared.
bool is_bound(int index) {
  std::string path = "/sys/block/loop" + std::to_string(index) + "/loop";
  return ::access(path.c_str(), F_OK) == 0;
}

// The kernel keeps what BLKROSET said of the volume that had the device before.
bool make_writable(const io::FileDescriptor& device) {
  int read_only = 0;
  return ::ioctl(device.get(), BLKROSET, &read_only) == 0;
}

bool wait_until_unbound(int index) {
  for (int i = 0; i < kLeavePausesMax; ++i) {
    if (!is_bound(index)) return true;
    std::this_thread::sleep_for(kLeavePause);
  }
  return false;
}

}  // namespace

Outcome<LoopDevice> attach_loop(const std::string& file, const std::string& tag) {
  io::FileDescriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) return failure(errno, "open /dev/loop-control");
  io::FileDescriptor backing(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  if (!backing.valid()) return failure(errno, "open " + file);
  loop_config config{};
  config.fd = static_cast<uint32_t>(backing.get());
  config.block_size = kSectorBytes;
  config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR;
  std::strncpy(reinterpret_cast<char*>(config.info.lo_file_name), tag.c_str(), LO_NAME_SIZE - 1);
  for (int i = 0; i < kAttachTriesMax; ++i) {
    int index = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (index < 0) return failure(errno, "find a free loop device");
    LoopDevice device{index, open_loop(index, 0)};
    if (!device.hold.valid()) return failure(errno, "open " + path_of(index));
    if (::ioctl(device.hold.get(), LOOP_CONFIGURE, &config) == 0) {
      if (make_writable(device.hold)) return device;
      return failure(errno, "make " + path_of(index) + " writable");
    }
    if (errno != EBUSY) return failure(errno, "attach " + path_of(index) + " to " + file);
  }
  return failure(EBUSY, "every free loop device was taken by others");
}

Outcome<> detach_loop(LoopDevice& device, const std::string& tag) {
  // An exclusive open fails when a filesystem or another device has claimed it.
  io::FileDescriptor exclusive = open_loop(device.index, O_EXCL);
  if (!exclusive.valid()) {
    return failure(errno, device.path() + " is in use (mounted?), unmount it first");
  }
  device.hold = {};
  ::ioctl(exclusive.get(), LOOP_CLR_FD);
  exclusive = {};
  if (wait_until_unbound(device.index)) return {};
  // Somebody has it open. Opened again here, it stays as it was.
  io::FileDescriptor hold = open_loop(device.index, 0);
  if (!hold.valid() || tag_of(hold) != tag) return {};  // that moment was enough
  device.hold = std::move(hold);
  return failure(EBUSY, "a process has " + device.path() + " open");
}

void abandon_loop(LoopDevice& device) {
  if (device.hold.valid()) ::ioctl(device.hold.get(), LOOP_CLR_FD);
  device.hold = {};
}

Outcome<> refresh_loop(const LoopDevice& device) {
  if (::ioctl(device.hold.get(), LOOP_SET_CAPACITY) < 0) {
    return failure(errno, "change the size of " + device.path());
  }
  return {};
}

std::vector<LoopDevice> find_loops(const std::string& tag_prefix) {
  std::vector<LoopDevice> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/block", error)) {
    std::string name = entry.path().filename();
    int index = -1;
    if (name.compare(0, 4, "loop") != 0) continue;
    std::from_chars(name.data() + 4, name.data() + name.size(), index);
    // A look at the file's name first: opening other people's devices would disturb them.
    std::ifstream file(entry.path() / "loop/backing_file");
    std::string backing;
    if (index < 0 || !std::getline(file, backing) || backing.find("disk") == std::string::npos)
      continue;
    LoopDevice device{index, open_loop(index, 0)};
    if (device.hold.valid() && tag_of(device.hold).compare(0, tag_prefix.size(), tag_prefix) == 0) {
      found.push_back(std::move(device));
    }
  }
  return found;
}

}  // namespace cleat::keeper
