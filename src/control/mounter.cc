#include "control/mounter.h"

#include <algorithm>
#include <filesystem>

#include "common/log.h"
#include "host/file_system.h"
#include "host/mount_table.h"

namespace cleat::control {
namespace {

constexpr Duration kMountTimeout = 120s;

bool is_read_only(const MountRequestInfo& request) {
  return std::find(request.options.begin(), request.options.end(), "ro") != request.options.end();
}

Outcome<bool> leaves_room(const std::string& fs, const std::string& device) {
  OUTCOME_ASSIGN(uint64_t used, host::file_system_bytes(fs, device));
  OUTCOME_ASSIGN(uint64_t size, host::device_bytes(device));
  return host::leaves_room(used, size);
}

// A file system that does not grow can be used as it is, so that is no reason to fail the mount.
Outcome<> grow_ext4(const std::string& device) {
  OUTCOME_ASSIGN(bool smaller, leaves_room("ext4", device));
  if (!smaller) return {};
  auto grown = host::grow_unmounted("ext4", device);
  if (grown) return {};
  LOG_WARN("{}", grown.error().message);
  return host::check_file_system("ext4", device);
}

Outcome<> grow_xfs(const std::string& device, const std::string& path) {
  OUTCOME_ASSIGN(bool smaller, leaves_room("xfs", device));
  if (!smaller) return {};
  auto grown = host::grow_mounted("xfs", device, path);
  if (!grown) LOG_WARN("{}", grown.error().message);
  return {};
}

Outcome<std::string> prepare(const MountRequestInfo& request, bool& formatted) {
  formatted = false;
  OUTCOME_ASSIGN(std::string fs, host::probe_file_system(request.device));
  const bool read_only = is_read_only(request);
  if (!fs.empty()) {
    if (read_only || !host::is_known_file_system(fs)) return fs;
    OUTCOME_TRY(host::check_file_system(fs, request.device));
    if (fs == "ext4") OUTCOME_TRY(grow_ext4(request.device));
    return fs;
  }
  OUTCOME_ASSIGN(bool blank, host::is_blank(request.device));
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
  OUTCOME_TRY(host::make_file_system(request.fs, request.device));
  formatted = true;
  return request.fs;
}

Outcome<> validate(const MountRequestInfo& request) {
  if (!host::is_known_file_system(request.fs)) {
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

Outcome<std::vector<MountedAt>> Mounter::mounts(const std::string& device) {
  OUTCOME_ASSIGN(std::string number, host::device_number(device));
  OUTCOME_ASSIGN(auto lines, host::read_mounts());
  std::vector<MountedAt> out;
  for (const auto& line : lines) {
    if (line.device_number == number) {
      out.push_back({line.path, line.read_only || line.super_read_only});
    }
  }
  return out;
}

Outcome<MountInfo> Mounter::mount(const MountRequestInfo& request) {
  std::lock_guard lock(mutex_);
  OUTCOME_TRY(validate(request));
  OUTCOME_ASSIGN(std::string number, host::device_number(request.device));
  std::error_code error;
  std::filesystem::create_directories(request.path, error);
  if (error) {
    return failure(Code::kIoError, "cannot make the directory {}: {}", request.path,
                   error.message());
  }
  const std::string path = std::filesystem::canonical(request.path, error).string();
  OUTCOME_ASSIGN(auto lines, host::read_mounts());
  bool elsewhere = false;
  for (const auto& line : lines) {
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
  OUTCOME_TRY(host::run_tool(argv, kMountTimeout, 0, Code::kIoError,
                             fmt::format("mounting {} at {}", request.device, path)));
  if (out.fs == "xfs" && !is_read_only(request)) OUTCOME_TRY(grow_xfs(request.device, path));
  return out;
}

Outcome<Growth> Mounter::grow_file_system(const std::string& device) {
  std::lock_guard lock(mutex_);
  OUTCOME_ASSIGN(std::string number, host::device_number(device));
  OUTCOME_ASSIGN(auto lines, host::read_mounts());
  for (const auto& line : lines) {
    if (line.device_number != number) continue;
    auto grown = host::grow_mounted(line.fs, device, line.path);
    if (grown) return Growth{true, {}};
    return Growth{false, grown.error().message};
  }
  return Growth{false, "it is not mounted"};
}

Outcome<> Mounter::unmount(const std::string& device, const std::string& path) {
  std::lock_guard lock(mutex_);
  OUTCOME_ASSIGN(auto places, mounts(device));
  for (const auto& mounted : places) {
    if (!path.empty() && mounted.path != path) continue;
    OUTCOME_TRY(host::run_tool({"umount", mounted.path}, kMountTimeout, 0, Code::kBusy,
                               fmt::format("unmounting {}", mounted.path)));
  }
  return {};
}

}  // namespace cleat::control
