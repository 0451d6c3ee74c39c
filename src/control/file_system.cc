#include "control/file_system.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/buffer.h"
#include "common/log.h"
#include "common/units.h"
#include "control/child_process.h"

namespace cleat::control {
namespace {

constexpr Duration kProbeTimeout = 120s;
constexpr Duration kMakeTimeout = 600s;
constexpr Duration kCheckTimeout = std::chrono::hours{2};
constexpr size_t kBlankProbeBytes = 1 << 20;
constexpr size_t kWordsMax = 400;
// ext4 leaves out a last block group that could hold little more than its own tables.
constexpr uint64_t kGrowthBytesMin = 4 * kMiB;

// Where the superblocks say how large they are: ext4 kernel documentation, "Super Block"; XFS
// Algorithms and Data Structures, "Superblocks".
constexpr size_t kExtBlockCount = 1024 + 0x4;
constexpr size_t kExtLogBlockSize = 1024 + 0x18;
constexpr size_t kExtFeatureIncompat = 1024 + 0x60;
constexpr size_t kExtBlockCountHigh = 1024 + 0x150;
constexpr uint32_t kExtFeature64Bit = 0x80;
constexpr size_t kXfsBlockSize = 4;
constexpr size_t kXfsBlockCount = 8;

uint32_t little_endian_32(const std::byte* at) {
  uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return le32toh(value);
}

uint64_t big_endian(const std::byte* at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value = value << 8 | std::to_integer<uint64_t>(at[i]);
  return value;
}

uint64_t ext4_bytes(const std::byte* start) {
  uint64_t blocks = little_endian_32(start + kExtBlockCount);
  if ((little_endian_32(start + kExtFeatureIncompat) & kExtFeature64Bit) != 0) {
    blocks |= uint64_t{little_endian_32(start + kExtBlockCountHigh)} << 32;
  }
  return blocks << (10 + std::min(little_endian_32(start + kExtLogBlockSize), 6U));
}

uint64_t xfs_bytes(const std::byte* start) {
  return big_endian(start + kXfsBlockSize, 4) * big_endian(start + kXfsBlockCount, 8);
}

// The end of what a program said, as one line.
std::string last_words(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  text.erase(0, text.size() > kWordsMax ? text.size() - kWordsMax : 0);
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) text.replace(at, 1, "; ");
  return text;
}

struct DeviceStart {
  AlignedBuffer bytes;
  size_t length = 0;
  uint64_t device_bytes = 0;
};

Outcome<DeviceStart> read_start(const std::string& device, size_t length) {
  int fd = ::open(device.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failure(Code::kIoError, "cannot open {}: {}", device, ::strerror(errno));
  DeviceStart out{AlignedBuffer(length), 0, 0};
  ssize_t got = ::pread(fd, out.bytes.data(), length, 0);
  if (got > 0 && ::ioctl(fd, BLKGETSIZE64, &out.device_bytes) != 0) got = -1;
  int error = errno;
  ::close(fd);
  if (got <= 0) return failure(Code::kIoError, "cannot read {}: {}", device, ::strerror(error));
  out.length = static_cast<size_t>(got);
  return out;
}

}  // namespace

Outcome<std::string> run_program(const std::vector<std::string>& argv, Duration timeout,
                                 int exit_max, Code code, const std::string& doing) {
  OUTCOME_ASSIGN(CommandResult result, run_command(argv, timeout));
  if (result.exit_code <= exit_max) return result.output;
  return failure(code, "{} failed: {}", doing, last_words(result.output));
}

Outcome<std::string> probe_file_system(const std::string& device) {
  OUTCOME_ASSIGN(CommandResult result,
                 run_command({"blkid", "-p", "-o", "value", "-s", "TYPE", device}, kProbeTimeout));
  if (result.exit_code != 0) return std::string{};
  std::string type = result.output.substr(0, result.output.find('\n'));
  return type;
}

Outcome<bool> is_blank(const std::string& device) {
  OUTCOME_ASSIGN(DeviceStart start, read_start(device, kBlankProbeBytes));
  return std::all_of(start.bytes.data(), start.bytes.data() + start.length,
                     [](std::byte b) { return b == std::byte{0}; });
}

Outcome<> make_file_system(const std::string& fs, const std::string& device) {
  constexpr const char* kExtended = "nodiscard,lazy_itable_init=1,lazy_journal_init=1";
  std::vector<std::string> argv{"mkfs.xfs", "-q", "-K", device};
  if (fs == "ext4") argv = {"mkfs.ext4", "-q", "-F", "-b", "4096", "-E", kExtended, device};
  LOG_INFO("making {} on {}", fs, device);
  OUTCOME_TRY(run_program(argv, kMakeTimeout, 0, Code::kIoError,
                          fmt::format("making {} on {}", fs, device)));
  return {};
}

Outcome<> check_file_system(const std::string& fs, const std::string& device) {
  if (fs != "ext4") return {};
  constexpr int kRepaired = 1;
  auto checked = run_program({"e2fsck", "-p", device}, kCheckTimeout, kRepaired, Code::kCorrupt,
                             fmt::format("the check of the file system on {}", device));
  if (checked) return {};
  return failure(checked.error().code, "{}: look at it with `e2fsck -n {}`",
                 checked.error().message, device);
}

Outcome<bool> is_smaller_than_device(const std::string& fs, const std::string& device) {
  OUTCOME_ASSIGN(DeviceStart start, read_start(device, kBlockSize));
  if (start.length < kBlockSize || (fs != "ext4" && fs != "xfs")) return false;
  const std::byte* bytes = start.bytes.data();
  const uint64_t has = fs == "ext4" ? ext4_bytes(bytes) : xfs_bytes(bytes);
  return has != 0 && has + kGrowthBytesMin <= start.device_bytes;
}

Outcome<> grow_unmounted(const std::string& device) {
  constexpr int kRepaired = 1;
  LOG_INFO("growing the file system on {}", device);
  OUTCOME_TRY(
      run_program({"e2fsck", "-f", "-p", device}, kCheckTimeout, kRepaired, Code::kCorrupt,
                  fmt::format("the check of the file system on {} before it grows", device)));
  OUTCOME_TRY(run_program({"resize2fs", device}, kCheckTimeout, 0, Code::kIoError,
                          fmt::format("growing the file system on {}", device)));
  return {};
}

Outcome<> grow_mounted(const std::string& fs, const std::string& device, const std::string& path) {
  if (fs != "ext4" && fs != "xfs") {
    return failure(Code::kUnsupported, "it is {}: grow it with its own program", fs);
  }
  std::vector<std::string> argv{"xfs_growfs", path};
  if (fs == "ext4") argv = {"resize2fs", device};
  auto grown = run_program(argv, kCheckTimeout, 0, Code::kUnsupported,
                           fmt::format("growing {} while it is mounted", fs));
  if (grown) return {};
  if (fs == "ext4" && grown.error().message.find("Permission denied") != std::string::npos) {
    return failure(Code::kUnsupported,
                   "the kernel does not grow mounted ext4 for a root without CAP_SYS_RESOURCE");
  }
  return tl::unexpected(grown.error());
}

}  // namespace cleat::control
