#include "host/file_system.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/buffer.h"
#include "common/log.h"
#include "common/units.h"
#include "host/child_process.h"

namespace cleat::host {
namespace {

constexpr Duration kProbeTimeout = 120s;
constexpr Duration kMakeTimeout = 600s;
constexpr Duration kCheckTimeout = std::chrono::hours{2};
constexpr Duration kGrowTimeout = std::chrono::hours{1};
constexpr size_t kProbeBytes = kMiB;
constexpr size_t kSuperblockBytes = 4096;
constexpr size_t kMessageBytesMax = 400;

class Device {
 public:
  static Outcome<Device> open(const std::string& path) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return failure(Code::kIoError, "cannot open {}: {}", path, ::strerror(errno));
    return Device(fd, path);
  }
  Device(Device&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  Device(const Device&) = delete;
  ~Device() {
    if (fd_ >= 0) ::close(fd_);
  }

  // What a former owner of the device number left in the page cache is not what is on the device.
  Outcome<> drop_cache() const {
    if (::ioctl(fd_, BLKFLSBUF, 0) == 0) return {};
    return failure(Code::kIoError, "cannot drop the cache of {}: {}", path_, ::strerror(errno));
  }
  Outcome<uint64_t> size() const {
    uint64_t bytes = 0;
    if (::ioctl(fd_, BLKGETSIZE64, &bytes) == 0) return bytes;
    return failure(Code::kIoError, "cannot ask {} for its size: {}", path_, ::strerror(errno));
  }
  Outcome<size_t> read(uint64_t offset, MutableBuffer into) const {
    ssize_t got = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got > 0) return static_cast<size_t>(got);
    return failure(Code::kIoError, "cannot read {}: {}", path_,
                   got == 0 ? "it ends there" : ::strerror(errno));
  }

 private:
  Device(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
};

Outcome<bool> zeros_at(const Device& device, uint64_t offset) {
  AlignedBuffer buffer(kProbeBytes);
  OUTCOME_ASSIGN(size_t got, device.read(offset, buffer.span()));
  return std::all_of(buffer.data(), buffer.data() + got,
                     [](std::byte b) { return b == std::byte{0}; });
}

uint64_t little_endian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
  return value;
}

uint64_t big_endian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (std::byte b : bytes) value = value << 8 | std::to_integer<uint64_t>(b);
  return value;
}

}  // namespace

bool is_known_file_system(const std::string& fs) { return fs == "ext4" || fs == "xfs"; }

Outcome<std::string> run_tool(const std::vector<std::string>& argv, Duration timeout, int exit_max,
                              Code code, const std::string& doing) {
  OUTCOME_ASSIGN(CommandResult result, run_command(argv, timeout));
  if (result.exit_code <= exit_max) return result.output;
  std::string last = result.output;
  while (last.ends_with('\n')) last.pop_back();
  if (last.size() > kMessageBytesMax) last = last.substr(last.size() - kMessageBytesMax);
  return failure(code, "{} failed: {}", doing, last);
}

Outcome<std::string> probe_file_system(const std::string& device) {
  OUTCOME_ASSIGN(CommandResult result,
                 run_command({"blkid", "-p", "-o", "value", "-s", "TYPE", device}, kProbeTimeout));
  if (result.exit_code != 0) return std::string{};
  return result.output.substr(0, result.output.find('\n'));
}

Outcome<bool> is_blank(const std::string& path) {
  OUTCOME_ASSIGN(Device device, Device::open(path));
  OUTCOME_TRY(device.drop_cache());
  OUTCOME_ASSIGN(uint64_t size, device.size());
  OUTCOME_ASSIGN(bool first, zeros_at(device, 0));
  if (!first || size <= kProbeBytes) return first;
  return zeros_at(device, size - kProbeBytes);
}

Outcome<> make_file_system(const std::string& fs, const std::string& device) {
  std::vector<std::string> argv{"mkfs.xfs", "-q", "-f", "-K", device};
  if (fs == "ext4") {
    const char* features = "nodiscard,lazy_itable_init=1,lazy_journal_init=1";
    argv = {"mkfs.ext4", "-q", "-F", "-b", "4096", "-E", features, device};
  }
  LOG_INFO("making {} on {}", fs, device);
  OUTCOME_TRY(
      run_tool(argv, kMakeTimeout, 0, Code::kIoError, fmt::format("making {} on {}", fs, device)));
  return {};
}

Outcome<> check_file_system(const std::string& fs, const std::string& device) {
  if (fs != "ext4") return {};
  constexpr int kRepaired = 1;
  auto checked = run_tool({"e2fsck", "-p", device}, kCheckTimeout, kRepaired, Code::kCorrupt,
                          fmt::format("the check of the file system on {}", device));
  if (checked) return {};
  return failure(checked.error().code, "{}: look at it with `e2fsck -n {}`",
                 checked.error().message, device);
}

Outcome<bool> is_whole(const std::string& fs, const std::string& device) {
  std::vector<std::string> argv{"xfs_repair", "-n", device};
  if (fs == "ext4") argv = {"e2fsck", "-f", "-n", device};
  OUTCOME_ASSIGN(CommandResult result, run_command(argv, kCheckTimeout));
  return result.exit_code == 0;
}

Outcome<uint64_t> device_bytes(const std::string& path) {
  OUTCOME_ASSIGN(Device device, Device::open(path));
  return device.size();
}

Outcome<uint64_t> file_system_bytes(const std::string& fs, const std::string& path) {
  OUTCOME_ASSIGN(Device device, Device::open(path));
  AlignedBuffer head(kSuperblockBytes);
  OUTCOME_ASSIGN(size_t got, device.read(0, head.span()));
  std::span<const std::byte> bytes(head.data(), got);
  auto size = fs == "ext4" ? ext4_bytes(bytes) : xfs_bytes(bytes);
  if (size) return *size;
  return failure(Code::kCorrupt, "{} has no superblock of {}", path, fs);
}

// Layout: the ext4 superblock at byte 1024 (kernel documentation, filesystems/ext4/super).
std::optional<uint64_t> ext4_bytes(std::span<const std::byte> head) {
  constexpr size_t kAt = 1024;
  constexpr uint64_t kMagic = 0xef53;
  constexpr uint64_t k64Bit = 0x80;
  if (head.size() < kAt + 1024) return std::nullopt;
  auto field = [&](size_t offset, size_t size) {
    return little_endian(head.subspan(kAt + offset, size));
  };
  if (field(0x38, 2) != kMagic || field(0x18, 4) > 6) return std::nullopt;
  uint64_t blocks = field(0x4, 4);
  if ((field(0x60, 4) & k64Bit) != 0) blocks |= field(0x150, 4) << 32;
  return blocks * (uint64_t{1024} << field(0x18, 4));
}

// Layout: sb_magicnum, sb_blocksize, sb_dblocks (xfs_fs documentation), big endian.
std::optional<uint64_t> xfs_bytes(std::span<const std::byte> head) {
  constexpr uint64_t kMagic = 0x58465342;  // "XFSB"
  if (head.size() < 16 || big_endian(head.first(4)) != kMagic) return std::nullopt;
  return big_endian(head.subspan(4, 4)) * big_endian(head.subspan(8, 8));
}

Outcome<> grow_unmounted(const std::string& fs, const std::string& device) {
  if (fs != "ext4") {
    return failure(Code::kUnsupported, "{} grows only while it is mounted", fs);
  }
  constexpr int kRepaired = 1;
  // resize2fs wants a full check right before.
  OUTCOME_TRY(run_tool({"e2fsck", "-f", "-p", device}, kCheckTimeout, kRepaired, Code::kCorrupt,
                       fmt::format("the check of the file system on {}", device)));
  OUTCOME_TRY(run_tool({"resize2fs", device}, kGrowTimeout, 0, Code::kIoError,
                       fmt::format("growing the file system on {}", device)));
  return {};
}

Outcome<> grow_mounted(const std::string& fs, const std::string& device, const std::string& path) {
  std::vector<std::string> argv{"xfs_growfs", "-d", path};
  if (fs == "ext4") argv = {"resize2fs", device};
  auto grown = run_tool(argv, kGrowTimeout, 0, Code::kIoError,
                        fmt::format("growing the mounted file system on {}", device));
  if (grown) return {};
  Failure why = grown.error();
  if (why.message.find("Permission denied") != std::string::npos) why.code = Code::kPermission;
  return tl::unexpected(why);
}

}  // namespace cleat::host
