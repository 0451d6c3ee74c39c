#include "control/mounter.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/log.h"
#include "control/file_system.h"

namespace cleat::control {
namespace {

constexpr Duration kMountTimeout = 120s;

struct MountLine {
  std::string device_number;  // "7:3"
  std::string path;
  std::string fs;
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
    std::string id, parent, number, root, path, word;
    if (!(fields >> id >> parent >> number >> root >> path)) continue;
    while (fields >> word && word != "-") {  // optional fields
    }
    std::string fs;
    fields >> fs;
    out.push_back({number, unescape(path), fs});
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

// A file system that does not grow can be used as it is, so that is no reason to fail the mount.
Outcome<> grow_ext4(const std::string& device) {
  OUTCOME_ASSIGN(bool smaller, is_smaller_than_device("ext4", device));
  if (!smaller) return {};
  auto grown = grow_unmounted(device);
  if (grown) return {};
  LOG_WARN("{}", grown.error().message);
  return check_file_system("ext4", device);
}

Outcome<> grow_xfs(const std::string& device, const std::string& path) {
  OUTCOME_ASSIGN(bool smaller, is_smaller_than_device("xfs", device));
  if (!smaller) return {};
  auto grown = grow_mounted("xfs", device, path);
  if (!grown) LOG_WARN("{}", grown.error().message);
  return {};
}

bool is_read_only(const MountRequestInfo& request) {
  return std::find(request.options.begin(), request.options.end(), "ro") != request.options.end();
}

Outcome<std::string> prepare(const MountRequestInfo& request, bool& formatted) {
  formatted = false;
  OUTCOME_ASSIGN(std::string fs, probe_file_system(request.device));
  const bool read_only = is_read_only(request);
  if (!fs.empty()) {
    if (read_only) return fs;
    OUTCOME_TRY(check_file_system(fs, request.device));
    if (fs == "ext4") OUTCOME_TRY(grow_ext4(request.device));
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
  OUTCOME_TRY(run_program(argv, kMountTimeout, 0, Code::kIoError,
                          fmt::format("mounting {} at {}", request.device, path)));
  if (out.fs == "xfs" && !is_read_only(request)) OUTCOME_TRY(grow_xfs(request.device, path));
  return out;
}

Outcome<Growth> Mounter::grow_file_system(const std::string& device) {
  std::lock_guard lock(mutex_);
  OUTCOME_ASSIGN(std::string number, device_number(device));
  for (const auto& line : read_mounts()) {
    if (line.device_number != number) continue;
    auto grown = grow_mounted(line.fs, device, line.path);
    if (grown) return Growth{true, {}};
    return Growth{false, grown.error().message};
  }
  return Growth{false, "it is not mounted"};
}

Outcome<> Mounter::unmount(const std::string& device, const std::string& path) {
  std::lock_guard lock(mutex_);
  OUTCOME_ASSIGN(auto paths, mounts(device));
  for (const auto& mounted : paths) {
    if (!path.empty() && mounted != path) continue;
    OUTCOME_TRY(run_program({"umount", mounted}, kMountTimeout, 0, Code::kBusy,
                            fmt::format("unmounting {}", mounted)));
  }
  return {};
}

}  // namespace cleat::control
