#include "control/mounter.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/buffer.h"
#include "common/log.h"
#include "control/child_process.h"

namespace cleat::control {
namespace {

constexpr Duration kMakeTimeout = 600s;
constexpr Duration kCheckTimeout = std::chrono::hours{2};
constexpr Duration kMountTimeout = 120s;
constexpr size_t kBlankProbeBytes = 1 << 20;

struct MountLine {
  std::string device_number;  // "7:3"
  std::string path;
};

std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<MountLine> read_mounts() {
  std::ifstream file("/proc/self/mountinfo");
  std::vector<MountLine> out;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, root, path;
    if (fields >> id >> parent >> number >> root >> path) out.push_back({number, unescape(path)});
  }
  return out;
}

Outcome<std::string> device_number(const std::string& device) {
  struct stat status{};
  if (::stat(device.c_str(), &status) != 0) {
    return failure(Code::kNotFound, "there is no device {}: {}", device, ::strerror(errno));
  }
  if (!S_ISBLK(status.st_mode)) {
    return failure(Code::kInvalidArgument, "{} is not a block device", device);
  }
  return fmt::format("{}:{}", major(status.st_rdev), minor(status.st_rdev));
}

Outcome<std::string> run(const std::vector<std::string>& argv, Duration timeout, int exit_max,
                         Code code, const std::string& doing) {
  OUTCOME_ASSIGN(CommandResult result, run_command(argv, timeout));
  if (result.exit_code <= exit_max) return result.output;
  std::string last = result.output;
  while (last.ends_with('\n')) last.pop_back();
  return failure(code, "{} failed: {}", doing,
                 last.substr(last.size() > 400 ? last.size() - 400 : 0));
}

Outcome<bool> is_blank(const std::string& device) {
  int fd = ::open(device.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failure(Code::kIoError, "cannot open {}: {}", device, ::strerror(errno));
  AlignedBuffer buffer(kBlankProbeBytes);
  ssize_t got = ::pread(fd, buffer.data(), buffer.size(), 0);
  int error = errno;
  ::close(fd);
  if (got <= 0) return failure(Code::kIoError, "cannot read {}: {}", device, ::strerror(error));
  return std::all_of(buffer.data(), buffer.data() + got,
                     [](std::byte b) { return b == std::byte{0}; });
}

// The file system on the device; empty when there is none that blkid knows.
Outcome<std::string> probe(const std::string& device) {
  OUTCOME_ASSIGN(CommandResult result,
                 run_command({"blkid", "-p", "-o", "value", "-s", "TYPE", device}, kMountTimeout));
  if (result.exit_code != 0) return std::string{};
  std::string type = result.output.substr(0, result.output.find('\n'));
  return type;
}

Outcome<> make_file_system(const std::string& fs, const std::string& device) {
  std::vector<std::string> argv;
  if (fs == "ext4") {
    argv = {"mkfs.ext4",
            "-q",
            "-F",
            "-b",
            "4096",
            "-E",
            "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
            device};
  } else {
    argv = {"mkfs.xfs", "-q", "-K", device};
  }
  LOG_INFO("making {} on {}", fs, device);
  OUTCOME_TRY(
      run(argv, kMakeTimeout, 0, Code::kIoError, fmt::format("making {} on {}", fs, device)));
  return {};
}

// ext4: repairs what is safe to repair. xfs replays its log at the mount and has no such check.
Outcome<> check_file_system(const std::string& fs, const std::string& device) {
  if (fs != "ext4") return {};
  constexpr int kRepaired = 1;
  auto checked = run({"e2fsck", "-p", device}, kCheckTimeout, kRepaired, Code::kCorrupt,
                     fmt::format("the check of the file system on {}", device));
  if (checked) return {};
  return failure(checked.error().code, "{}: look at it with `e2fsck -n {}`",
                 checked.error().message, device);
}

Outcome<std::string> prepare(const MountRequestInfo& request, bool& formatted) {
  formatted = false;
  OUTCOME_ASSIGN(std::string fs, probe(request.device));
  const bool read_only =
      std::find(request.options.begin(), request.options.end(), "ro") != request.options.end();
  if (!fs.empty()) {
    if (fs != "ext4" && fs != "xfs") return fs;
    if (!read_only) OUTCOME_TRY(check_file_system(fs, request.device));
    return fs;
  }
  OUTCOME_ASSIGN(bool blank, is_blank(request.device));
  if (!blank) {
    return failure(Code::kCorrupt,
                   "{} holds data, but no file system that can be recognised: it is "
                   "neither mounted nor formatted",
                   request.device);
  }
  if (read_only) {
    return failure(Code::kInvalidArgument, "{} is blank, and can't be formatted read-only",
                   request.device);
  }
  OUTCOME_TRY(make_file_system(request.fs, request.device));
  formatted = true;
  return request.fs;
}

Outcome<> validate(const MountRequestInfo& request) {
  if (request.fs != "ext4" && request.fs != "xfs") {
    return failure(Code::kInvalidArgument, "the file system \"{}\" is not known: use ext4 or xfs",
                   request.fs);
  }
  if (request.path.empty() || request.path[0] != '/' || request.path == "/") {
    return failure(Code::kInvalidArgument, "the mount path \"{}\" is not an absolute path",
                   request.path);
  }
  for (const auto& option : request.options) {
    if (option.empty() || option[0] == '-') {
      return failure(Code::kInvalidArgument, "\"{}\" is not a mount option", option);
    }
  }
  return {};
}

}  // namespace

Outcome<std::vector<std::string>> Mounter::mounts(const std::string& device) {
  OUTCOME_ASSIGN(std::string number, device_number(device));
  std::vector<std::string> out;
  for (const auto& line : read_mounts()) {
    if (line.device_number == number) out.push_back(line.path);
  }
  return out;
}

Outcome<MountInfo> Mounter::mount(const MountRequestInfo& request) {
  std::lock_guard lock(mutex_);
  OUTCOME_TRY(validate(request));
  OUTCOME_ASSIGN(std::string number, device_number(request.device));
  std::error_code error;
  std::filesystem::create_directories(request.path, error);
  if (error) {
    return failure(Code::kIoError, "cannot make the directory {}: {}", request.path,
                   error.message());
  }
  const std::string path = std::filesystem::canonical(request.path, error).string();
  bool elsewhere = false;
  for (const auto& line : read_mounts()) {
    elsewhere = elsewhere || line.device_number == number;
    if (line.path != path) continue;
    if (line.device_number == number) return MountInfo{request.device, path, request.fs, false};
    return failure(Code::kBusy, "something else is mounted at {} already", path);
  }
  MountInfo out{request.device, path, request.fs, false};
  if (!elsewhere) {  // a mounted file system must not be checked
    OUTCOME_ASSIGN(out.fs, prepare(request, out.formatted));
  }
  std::vector<std::string> argv{"mount", "-t", out.fs};
  std::string options;
  for (const auto& option : request.options) options += (options.empty() ? "" : ",") + option;
  if (!options.empty()) argv.insert(argv.end(), {"-o", options});
  argv.insert(argv.end(), {request.device, path});
  OUTCOME_TRY(run(argv, kMountTimeout, 0, Code::kIoError,
                  fmt::format("mounting {} at {}", request.device, path)));
  return out;
}

Outcome<> Mounter::unmount(const std::string& device, const std::string& path) {
  std::lock_guard lock(mutex_);
  OUTCOME_ASSIGN(auto paths, mounts(device));
  for (const auto& mounted : paths) {
    if (!path.empty() && mounted != path) continue;
    OUTCOME_TRY(run({"umount", mounted}, kMountTimeout, 0, Code::kBusy,
                    fmt::format("unmounting {}", mounted)));
  }
  return {};
}

}  // namespace cleat::control
