#include "host/mount_table.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

namespace cleat::host {
namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// Spaces and the like are written as \040.
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
                         is_octal(text[i + 2]) && is_octal(text[i + 3]);
    if (!escaped) {
      out += text[i];
      continue;
    }
    int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
    out += static_cast<char>(value);
    i += 3;
  }
  return out;
}

bool has_ro(const std::string& options) {
  std::istringstream words(options);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == "ro") return true;
  }
  return false;
}

}  // namespace

std::vector<MountLine> parse_mounts(std::string_view text) {
  std::vector<MountLine> out;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, root, path, options;
    if (!(fields >> id >> parent >> number >> root >> path >> options)) continue;
    std::string field;
    while (fields >> field && field != "-") {
    }
    std::string fs, source, super_options;
    if (!(fields >> fs >> source >> super_options)) continue;
    out.push_back(
        {number, unescape(root), unescape(path), fs, has_ro(options), has_ro(super_options)});
  }
  return out;
}

Outcome<std::vector<MountLine>> read_mounts() {
  std::ifstream file("/proc/self/mountinfo");
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.empty()) return failure(Code::kIoError, "cannot read /proc/self/mountinfo");
  return parse_mounts(text);
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

}  // namespace cleat::host
