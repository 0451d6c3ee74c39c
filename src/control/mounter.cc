#include "control/mounter.h"

#include <algorithm>
#include <filesystem>

#include "host/file_system.h"
#include "host/mount_table.h"

namespace cleat::control {
namespace {

constexpr Duration kMountTimeout = 120s;

Outcome<std::string> prepare(const MountRequestInfo& request, bool& formatted) {
  formatted = false;
  OUTCOME_ASSIGN(std::string fs, host::probe_file_system(request.device));
  const bool read_only =
      std::find(request.options.begin(), request.options.end(), "ro") != request.options.end();
  if (!fs.empty()) {
    if (!host::is_known_file_system(fs)) return fs;
    if (!read_only) OUTCOME_TRY(host::check_file_system(fs, request.device));
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

Outcome<std::vector<std::string>> Mounter::mounts(const std::string& device) {
  OUTCOME_ASSIGN(std::string number, host::device_number(device));
  OUTCOME_ASSIGN(auto lines, host::read_mounts());
  std::vector<std::string> out;
  for (const auto& line : lines) {
    if (line.device_number == number) out.push_back(line.path);
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
  return out;
}

Outcome<> Mounter::unmount(const std::string& device, const std::string& path) {
  std::lock_guard lock(mutex_);
  OUTCOME_ASSIGN(auto paths, mounts(device));
  for (const auto& mounted : paths) {
    if (!path.empty() && mounted != path) continue;
    OUTCOME_TRY(host::run_tool({"umount", mounted}, kMountTimeout, 0, Code::kBusy,
                               fmt::format("unmounting {}", mounted)));
  }
  return {};
}

}  // namespace cleat::control
