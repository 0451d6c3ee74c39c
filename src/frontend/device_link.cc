#include "frontend/device_link.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace cleat::frontend {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNameBytesMax = 255;  // NAME_MAX
constexpr char kTemporarySuffix[] = ".new";

Result<void> check_name(std::string_view name) {
  bool is_file_name = !name.empty() && name.size() + sizeof kTemporarySuffix <= kNameBytesMax &&
                      name != "." && name != ".." && name.find('/') == name.npos &&
                      name.find('\0') == name.npos;
  if (!is_file_name)
    return fail(Code::kInvalidArgument, "that volume name can't name a device link");
  return {};
}

// Links are replaced and removed; a file or directory that somebody else put there is not.
Result<void> check_free(const std::string& path) {
  std::error_code error;
  fs::file_type type = fs::symlink_status(path, error).type();
  if (type == fs::file_type::not_found || type == fs::file_type::symlink) return {};
  return fail(Code::kAlreadyExists,
              "the path of the device link is taken by something that is no link");
}

}  // namespace

std::string device_link_path(std::string_view dev_dir, std::string_view name) {
  return std::string(dev_dir) + "/" + std::string(name);
}

Result<void> make_device_link(std::string_view dev_dir, std::string_view name,
                              const std::string& device) {
  TRY(check_name(name));
  std::error_code error;
  fs::create_directories(fs::path(dev_dir), error);
  if (error)
    return fail(Code::kIoError, "cannot make the directory of device links", error.value());
  std::string path = device_link_path(dev_dir, name);
  TRY(check_free(path));
  std::string temporary = path + kTemporarySuffix;
  ::unlink(temporary.c_str());
  if (::symlink(device.c_str(), temporary.c_str()) < 0 ||
      ::rename(temporary.c_str(), path.c_str()) < 0) {
    return fail(Code::kIoError, "cannot make the device link", errno);
  }
  return {};
}

Result<void> remove_device_link(std::string_view dev_dir, std::string_view name) {
  TRY(check_name(name));
  std::string path = device_link_path(dev_dir, name);
  TRY(check_free(path));
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) {
    return fail(Code::kIoError, "cannot remove the device link", errno);
  }
  return {};
}

Result<void> keep_device_links(std::string_view dev_dir, const std::vector<std::string>& names) {
  std::error_code error;
  std::vector<std::string> stale;
  for (const auto& entry : fs::directory_iterator(fs::path(dev_dir), error)) {
    std::string name = entry.path().filename();
    bool is_known = std::find(names.begin(), names.end(), name) != names.end();
    if (entry.is_symlink() && !is_known) stale.push_back(name);
  }
  for (const std::string& name : stale) TRY(remove_device_link(dev_dir, name));
  return {};
}

}  // namespace cleat::frontend
