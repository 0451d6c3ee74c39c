// cleat-csi: Cleat as the storage of Kubernetes. `cleat-csi --help` lists its options.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>

#include "csi/linux_ports.h"
#include "csi/server.h"

extern char** environ;

namespace {

using cleat::OptionSet;
using cleat::OptionSources;

constexpr int kUsage = 2;
constexpr const char* kEnvironmentPrefix = "CLEAT_CSI_";

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> values;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    size_t equals = text.find('=');
    if (equals != std::string::npos) values[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return values;
}

int refuse(const std::string& why, int code) {
  fmt::print(stderr, "cleat-csi: {}\n", why);
  return code;
}

tl::expected<std::string, std::string> read_token(const std::string& path) {
  if (path.empty()) return std::string{};
  std::ifstream file(path);
  if (!file) return tl::unexpected(fmt::format("cannot read the token file {}", path));
  std::string token(std::istreambuf_iterator<char>(file), {});
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  return token;
}

// Kubernetes tells every pod where its API is.
std::string api_of_pod(const std::map<std::string, std::string>& variables) {
  auto host = variables.find("KUBERNETES_SERVICE_HOST");
  auto port = variables.find("KUBERNETES_SERVICE_PORT");
  if (host == variables.end() || port == variables.end()) return {};
  const bool v6 = host->second.find(':') != std::string::npos;
  return fmt::format("https://{}{}{}:{}", v6 ? "[" : "", host->second, v6 ? "]" : "", port->second);
}

int serve(const cleat::csi::CsiOptions& options, const std::string& token) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);  // before there are threads
  cleat::csi::LinuxMounts mounts;
  cleat::csi::LinuxFileSystems file_systems;
  cleat::csi::Server server(options, token, mounts, file_systems);
  auto started = server.start();
  if (!started) return refuse(started.error().message, 1);
  spdlog::info("cleat-csi {} serves {} as {} on node {}", CLEAT_VERSION, options.endpoint,
               options.mode, options.node_name);
  int signal = 0;
  sigwait(&ends, &signal);
  server.stop(std::chrono::seconds(10));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  cleat::csi::CsiOptions options;
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) == 0) options.node_name = host;
  const auto variables = environment();
  options.kube_api = api_of_pod(variables);
  OptionSet set(kEnvironmentPrefix);
  declare(set, options);
  if (cleat::take_switch(arguments, "help")) {
    fmt::print("cleat-csi: Cleat as the storage of Kubernetes (CSI).\n\n{}", set.help());
    return 0;
  }
  OptionSources sources;
  sources.environment = variables;
  sources.arguments = arguments;
  auto applied = set.apply(sources);
  if (!applied) return refuse(applied.error(), kUsage);
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %v");
  for (const std::string& warning : *applied) spdlog::warn("{}", warning);
  auto token = read_token(options.token_file);
  if (!token) return refuse(token.error(), kUsage);
  return serve(options, *token);
}
