#include "cli/hooks.h"

#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cctype>

#include "cli/errors.h"
#include "host/child_process.h"

namespace cleat::cli {
namespace {

volatile sig_atomic_t g_told_to_end = 0;

// Puts off SIGINT, SIGTERM and SIGHUP; one that came meanwhile is delivered at the end.
class EndPutOff {
 public:
  EndPutOff() {
    g_told_to_end = 0;
    struct sigaction note{};
    note.sa_handler = [](int signal) { g_told_to_end = signal; };
    note.sa_flags = SA_RESTART;
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &note, &former_[i]);
  }
  ~EndPutOff() {
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &former_[i], nullptr);
    if (g_told_to_end != 0) ::raise(g_told_to_end);
  }
  EndPutOff(const EndPutOff&) = delete;
  EndPutOff& operator=(const EndPutOff&) = delete;

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> former_{};
};

std::string variable_name(const std::string& key) {
  std::string out = "CLEAT_LABEL_";
  for (const char letter : key) {
    const auto byte = static_cast<unsigned char>(letter);
    out += std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
  }
  return out;
}

Outcome<> run_hook(const char* option, const std::string& command, const api::Volume& volume,
                   uint64_t timeout_s) {
  // The caller's own says nothing of this volume.
  std::vector<std::string> argv{"env", "-u", "CLEAT_NODE"};
  for (auto& entry : hook_environment(volume)) argv.push_back(std::move(entry));
  for (const char* word : {"sh", "-c"}) argv.emplace_back(word);
  argv.push_back(command);
  auto ended = host::run_command(argv, std::chrono::seconds(timeout_s));
  if (!ended) {
    return failed("hook failed",
                  fmt::format("{} of volume {}: {}", option, volume.name(), ended.error().message));
  }
  if (ended->exit_code == 0) return {};
  const std::string said = one_line(ended->output);
  return failed("hook failed",
                fmt::format("{} of volume {} ended with exit code {}: {}", option, volume.name(),
                            ended->exit_code, said.empty() ? "it said nothing" : said));
}

}  // namespace

std::vector<std::string> hook_environment(const api::Volume& volume) {
  std::vector<std::string> out{"CLEAT_VOLUME=" + volume.name(), "CLEAT_VOLUME_ID=" + volume.id()};
  if (volume.has_attachment()) out.push_back("CLEAT_NODE=" + volume.attachment().node());
  for (const auto& [key, value] : volume.labels()) {
    out.push_back(variable_name(key) + "=" + value);
  }
  return out;
}

Outcome<> with_hooks(const Hooks& hooks, const std::vector<api::Volume>& volumes,
                     const std::function<Outcome<>()>& work) {
  const EndPutOff put_off;
  Outcome<> before;
  size_t begun = 0;
  while (!hooks.before.empty() && before && g_told_to_end == 0 && begun < volumes.size()) {
    before = run_hook("--pre-hook", hooks.before, volumes[begun++], hooks.timeout_s);
  }
  if (hooks.before.empty()) begun = volumes.size();
  Outcome<> done = before;
  if (before && g_told_to_end != 0) done = failed("interrupted", "told to end before the snapshot");
  if (done) done = work();
  for (size_t i = 0; !hooks.after.empty() && i < begun; ++i) {
    auto after = run_hook("--post-hook", hooks.after, volumes[i], hooks.timeout_s);
    if (!after && done) done = after;
  }
  return done;
}

void add_hook_options(CLI::App* verb, Hooks& hooks) {
  verb->add_option("--pre-hook", hooks.before,
                   "Shell command, run for each volume before; when it fails there is no snapshot")
      ->type_name("COMMAND");
  verb->add_option("--post-hook", hooks.after,
                   "Shell command, run for each volume afterwards, also when there is no snapshot")
      ->type_name("COMMAND");
  verb->add_option("--hook-timeout", hooks.timeout_s, "Seconds after which a hook is killed")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
}

}  // namespace cleat::cli
