// Mounts and file systems of a node that are only remembered. Paths are real ones, below a
// directory of the test.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "csi/node_ports.h"

namespace cleat::csi {

class FakeMounts final : public MountPort {
 public:
  Outcome<std::vector<host::MountLine>> table() override { return lines; }
  Outcome<std::string> device_number(const std::string& path) override {
    for (const auto* known : {&bound, &numbers}) {
      if (auto found = known->find(path); found != known->end()) return found->second;
    }
    return failure(Code::kNotFound, "there is no device {}", path);
  }
  Outcome<> mount(const MountCall& call) override {
    calls.push_back(
        fmt::format("mount {} {} {}", call.device, call.fs, fmt::join(call.options, ",")));
    if (fail_next == "mount") return planned();
    const bool ro = std::count(call.options.begin(), call.options.end(), "ro") > 0;
    lines.push_back({numbers.at(call.device), "/", call.path, call.fs, ro, ro});
    return {};
  }
  Outcome<> bind(const std::string& source, const std::string& path, bool read_only) override {
    calls.push_back(fmt::format("bind {} {}", path, read_only ? "ro" : "rw"));
    if (fail_next == "bind") return planned();
    for (const auto& line : std::vector(lines)) {
      if (line.path != source) continue;
      lines.push_back({line.device_number, "/", path, line.fs, line.read_only || read_only,
                       line.super_read_only});
      return {};
    }
    const std::string name = source.substr(source.rfind('/'));
    lines.push_back({"0:5", name, path, "devtmpfs", read_only, false});
    bound[path] = numbers.at(source);
    return {};
  }
  Outcome<> unmount(const std::string& path) override {
    calls.push_back("unmount " + path);
    if (fail_next == "unmount") return planned();
    auto found = std::find_if(lines.rbegin(), lines.rend(),
                              [&](const auto& line) { return line.path == path; });
    if (found != lines.rend()) lines.erase(std::next(found).base());
    bound.erase(path);
    return {};
  }
  Outcome<> set_read_only(const std::string& device, bool read_only) override {
    read_only_devices[device] = read_only;
    return {};
  }
  int count(const std::string& beginning) const {
    return static_cast<int>(std::count_if(calls.begin(), calls.end(), [&](const std::string& call) {
      return call.starts_with(beginning);
    }));
  }

  std::vector<host::MountLine> lines;
  std::map<std::string, std::string> numbers;  // of devices
  std::map<std::string, std::string> bound;    // of files that a device is bound to
  std::map<std::string, bool> read_only_devices;
  std::vector<std::string> calls;
  std::string fail_next;  // mount, bind, unmount

 private:
  Outcome<> planned() {
    fail_next.clear();
    return failure(Code::kBusy, "as the test wants");
  }
};

class FakeFileSystems final : public FileSystemPort {
 public:
  Outcome<FoundFileSystem> probe(const std::string&) override {
    const FoundFileSystem before = found;
    if (after_probe) after_probe();
    return before;
  }
  Outcome<> make(const std::string& fs, const std::string&) override {
    calls.push_back("make " + fs);
    found = {cut_short ? "" : fs, false};
    fs_bytes = device_bytes;
    if (cut_short) return failure(Code::kIoError, "killed");
    return {};
  }
  Outcome<> check(const std::string& fs, const std::string&) override {
    calls.push_back("check " + fs);
    return {};
  }
  Outcome<bool> is_whole(const std::string&, const std::string&) override { return whole; }
  Outcome<FileSystemSizes> sizes(const std::string&, const std::string&) override {
    return FileSystemSizes{fs_bytes, device_bytes};
  }
  Outcome<> grow(const std::string& fs, const std::string&,
                 const std::string& mounted_at) override {
    calls.push_back(fmt::format("grow {} {}", fs, mounted_at.empty() ? "unmounted" : "mounted"));
    if (growth_fails) return failure(Code::kIoError, "killed");
    if (fs == "ext4" && !mounted_at.empty() && !may_grow_mounted) {
      return failure(Code::kPermission, "Permission denied");
    }
    fs_bytes = device_bytes;
    return {};
  }

  FoundFileSystem found{"", true};
  std::function<void()> after_probe;  // what others do meanwhile
  uint64_t fs_bytes = 0;
  uint64_t device_bytes = 1 << 30;
  bool cut_short = false;  // make() fails half-way
  bool whole = true;
  bool may_grow_mounted = false;
  bool growth_fails = false;
  std::vector<std::string> calls;
};

}  // namespace cleat::csi
