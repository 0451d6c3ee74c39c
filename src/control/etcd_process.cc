#include "control/etcd_process.h"

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "host/child_process.h"

namespace cleat::control {
namespace {

namespace fs = std::filesystem;
constexpr Duration kPollPeriod = 20ms;

std::string proc(pid_t pid, const char* file) { return fmt::format("/proc/{}/{}", pid, file); }

// In ticks since the machine started (proc(5), stat, field 22); nothing when it has ended.
std::optional<uint64_t> start_of(pid_t pid) {
  std::ifstream file(proc(pid, "stat"));
  std::string text(std::istreambuf_iterator<char>(file), {});
  const size_t name_end = text.rfind(')');  // a name may hold spaces and brackets
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state;
  std::string skipped;
  uint64_t started = 0;
  fields >> state;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  if (!(fields >> started) || state == "Z" || state == "X") return std::nullopt;
  return started;
}

std::vector<std::string> command_of(pid_t pid) {
  std::ifstream file(proc(pid, "cmdline"));
  std::vector<std::string> out;
  for (std::string argument; std::getline(file, argument, '\0');) out.push_back(argument);
  return out;
}

// Another container may use the same path for another directory.
bool same_directory(pid_t pid, const std::string& path) {
  struct stat ours{};
  struct stat theirs{};
  return ::stat(path.c_str(), &ours) == 0 &&
         ::stat((proc(pid, "root") + path).c_str(), &theirs) == 0 && ours.st_dev == theirs.st_dev &&
         ours.st_ino == theirs.st_ino;
}

bool serves(pid_t pid, const std::string& data_dir) {
  const std::vector<std::string> command = command_of(pid);
  auto option = std::find(command.begin(), command.end(), "--data-dir");
  if (option == command.end() || option + 1 == command.end() || *(option + 1) != data_dir) {
    return false;
  }
  return fs::path(command[0]).filename() == "etcd" && same_directory(pid, data_dir);
}

}  // namespace

std::optional<EtcdProcess> EtcdProcess::find(const std::string& data_dir) {
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    pid_t pid = 0;
    auto [last, problem] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (problem != std::errc{} || last != name.data() + name.size()) continue;
    auto started = start_of(pid);
    if (!started || !serves(pid, data_dir)) continue;
    if (start_of(pid) == started) return EtcdProcess(pid, false, *started);
  }
  return std::nullopt;
}

Outcome<EtcdProcess> EtcdProcess::start(const std::vector<std::string>& argv,
                                        const std::string& log) {
  OUTCOME_ASSIGN(pid_t pid,
                 host::start_child({.argv = argv, .log_file = log, .outlives_us = true}));
  return EtcdProcess(pid, true, start_of(pid).value_or(0));
}

std::optional<std::string> EtcdProcess::ended() {
  if (child_) {
    auto status = host::poll_child(pid_);
    if (!status) return std::nullopt;
    return host::describe_wait_status(*status);
  }
  if (start_of(pid_) == started_) return std::nullopt;
  return "a status that nobody saw";
}

void EtcdProcess::stop(Duration grace) {
  if (child_) {
    host::stop_child(pid_, SIGTERM, grace);
    return;
  }
  const auto end = std::chrono::steady_clock::now() + grace;
  if (!ended()) ::kill(pid_, SIGTERM);
  while (!ended()) {
    if (std::chrono::steady_clock::now() > end) ::kill(pid_, SIGKILL);
    std::this_thread::sleep_for(kPollPeriod);
  }
}

}  // namespace cleat::control
