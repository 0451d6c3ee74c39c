// cleatd: the daemon of one node. `cleatd --help` lists its options.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "node/daemon.h"

extern char** environ;

namespace {

using cleat::OptionSet;
using cleat::OptionSources;

constexpr int kUsage = 2;

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> values;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    size_t equals = text.find('=');
    if (equals != std::string::npos) values[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return values;
}

int refuse(const std::string& why) {
  fmt::print(stderr, "cleatd: {}\n", why);
  return kUsage;
}

// SIGHUP: the file is read again.
void reload(OptionSet& set, OptionSources sources, const cleat::node::NodeOptions& options) {
  std::ifstream file(sources.file_name);
  sources.file_text.assign(std::istreambuf_iterator<char>(file), {});
  auto reloaded = set.reload(sources);
  if (!reloaded) {
    spdlog::warn("the options stay as they are: {}", reloaded.error());
    return;
  }
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  for (const std::string& name : reloaded->changed) spdlog::info("option {} changed", name);
  for (const std::string& name : reloaded->need_restart) {
    spdlog::warn("option {} changes when cleatd is restarted", name);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (cleat::take_switch(arguments, "reference")) {
    fmt::print("{}", cleat::node::reference());
    return 0;
  }
  cleat::node::NodeOptions options;
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) == 0) options.node = host;
  OptionSet set;
  declare(set, options);
  if (cleat::take_switch(arguments, "help")) {
    fmt::print(
        "cleatd: the daemon of one node of Cleat.\n\n  --config FILE\n      TOML file "
        "(default: /etc/cleat/cleatd.toml, if it exists)\n{}",
        set.help());
    return 0;
  }
  auto config = cleat::take_flag(arguments, "config");
  if (!config) return refuse(config.error());
  OptionSources sources;
  sources.file_name = config->empty() ? "/etc/cleat/cleatd.toml" : *config;
  std::ifstream file(sources.file_name);
  if (!file && !config->empty()) return refuse(fmt::format("cannot read {}", *config));
  sources.file_text.assign(std::istreambuf_iterator<char>(file), {});
  sources.environment = environment();
  sources.arguments = arguments;
  auto applied = set.apply(sources);
  if (!applied) return refuse(applied.error());
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %v");
  for (const std::string& warning : *applied) spdlog::warn("{}", warning);
  auto ended = cleat::node::run_daemon(options, [&] { reload(set, sources, options); });
  spdlog::shutdown();
  if (ended) return 0;
  fmt::print(stderr, "cleatd: {}\n", ended.error().message);
  return 1;
}
