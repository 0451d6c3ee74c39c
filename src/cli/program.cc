#include "cli/program.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iterator>
#include <ostream>

#include "cli/errors.h"
#include "cli/json_output.h"
#include "cli/manual.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "common/option_value.h"

namespace cleat::cli {
namespace {

struct GlobalArguments {
  std::string address;
  std::string token_file;
  std::string timeout;
  bool json = false;
  bool version = false;
};

// The tree of verbs and what parsing it leaves behind.
struct Program {
  CLI::App root{"Replicated block volumes: what there is, and changes to it", "cleat"};
  GlobalArguments globals;
  Action chosen;

  Program() {
    root.fallthrough();  // before the verbs: they inherit it; so -j may stand anywhere
    root.set_help_flag("-h,--help", "Print help of the verb");
    root.add_flag("-j,--json", globals.json, "Print JSON");
    root.add_option("--address", globals.address,
                    "Where cleatd is: a unix socket's path, HOST or HOST:PORT; also CLEAT_ADDRESS "
                    "[/run/cleat/cleatd.sock]")
        ->type_name("ADDRESS");
    root.add_option("--token-file", globals.token_file,
                    "File with the token for an address over TCP; also CLEAT_TOKEN_FILE")
        ->type_name("PATH");
    root.add_option("--timeout", globals.timeout,
                    "Time limit of a call [60s; longer for slow verbs]")
        ->type_name("DURATION");
    root.add_flag("--version", globals.version, "Print the version");
    add_status_verb(root, chosen);
    add_cluster_verbs(root, chosen);
    add_node_verbs(root, chosen);
    add_pool_verbs(root, chosen);
    add_volume_verbs(root, chosen);
    add_host_verbs(root, chosen);
    add_alert_verbs(root, chosen);
    add_tool_verbs(root, chosen);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
};

std::string value_or_environment(const std::string& value, const Terminal& terminal,
                                 const char* name, const std::string& fallback) {
  if (!value.empty()) return value;
  auto found = terminal.environment.find(name);
  return found == terminal.environment.end() || found->second.empty() ? fallback : found->second;
}

Outcome<std::string> read_token(const std::string& path) {
  if (path.empty()) return std::string{};
  std::ifstream file(path);
  if (!file) {
    return failed("permission denied",
                  fmt::format("cannot read the token file {}: check its name and mode", path));
  }
  std::string token((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  while (!token.empty() && (token.back() == '\n' || token.back() == ' ')) token.pop_back();
  bool one_word = !token.empty() && token.find_first_of(" \r\n\t") == std::string::npos;
  if (one_word) return token;
  return failed(
      "permission denied",
      fmt::format("the token file {} does not hold one token: write it as one line", path));
}

Outcome<ConnectionOptions> connection_options(const GlobalArguments& globals,
                                              const Terminal& terminal) {
  ConnectionOptions options;
  options.address =
      value_or_environment(globals.address, terminal, "CLEAT_ADDRESS", kDefaultAddress);
  if (!globals.timeout.empty()) {
    auto timeout = parse_duration(globals.timeout);
    if (!timeout || timeout->count() == 0) {
      return usage_problem(fmt::format("--timeout: '{}' is not a time limit: {}", globals.timeout,
                                       timeout ? "write more than 0s" : timeout.error()));
    }
    options.timeout = *timeout;
    options.timeout_given = true;
  }
  auto token =
      read_token(value_or_environment(globals.token_file, terminal, "CLEAT_TOKEN_FILE", ""));
  if (!token) return tl::unexpected<Problem>(token.error());
  options.token = *token;
  return options;
}

Outcome<> run_chosen(Program& program, Terminal& terminal) {
  auto options = connection_options(program.globals, terminal);
  if (!options) return tl::unexpected<Problem>(options.error());
  Connection connection(std::move(*options));
  Session session{terminal, connection, program.globals.json};
  return program.chosen(session);
}

std::string verbs_of(const Words& words) {
  std::string list;
  for (const CLI::App* verb : visible_verbs(words.verb())) {
    list += (list.empty() ? "" : ", ") + verb->get_name();
  }
  return list;
}

// CLI11 tells of bad values by exceptions; they end here.
Outcome<> parse(Program& program, const std::vector<std::string>& arguments) {
  try {
    // CLI11 takes the words from the end of the vector.
    program.root.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::RequiredError& error) {
    return usage_problem(std::string("an argument is missing: ") + error.what());
  } catch (const CLI::ParseError& error) {
    return usage_problem(error.what());
  }
  return {};
}

Outcome<> parse_and_run(const std::vector<std::string>& arguments, Terminal& terminal) {
  Program program;
  Words words = walk(program.root, arguments);
  std::string hint = fmt::format("see {} --help", full_name(words.path));
  if (!words.problem.empty()) return usage_problem(fmt::format("{}; {}", words.problem, hint));
  if (words.help) {
    terminal.out << help_text(words.path);
    return {};
  }
  if (words.awaits != nullptr) {
    return usage_problem(fmt::format("option {} needs a value: {}; {}", words.last,
                                     value_name(*words.awaits), hint));
  }
  auto parsed = parse(program, words.normalized);
  if (!parsed) return usage_problem(fmt::format("{}; {}", parsed.error().message, hint));
  if (program.globals.version) {
    terminal.out << "cleat " << CLEAT_VERSION << '\n';
    return {};
  }
  if (!program.chosen) {
    return usage_problem(
        fmt::format("{} needs a verb: {}; {}", full_name(words.path), verbs_of(words), hint));
  }
  return run_chosen(program, terminal);
}

bool wants_json(const std::vector<std::string>& arguments) {
  for (const auto& word : arguments) {
    if (word == "-j" || word == "--json") return true;
    if (word == "--") return false;
  }
  return false;
}

}  // namespace

int run(const std::vector<std::string>& arguments, Terminal& terminal) {
  auto done = parse_and_run(arguments, terminal);
  terminal.out.flush();
  if (done) return kExitDone;
  const Problem& problem = done.error();
  std::string message = one_line(problem.message);
  terminal.err << "cleat: " << message << '\n';
  if (wants_json(arguments)) {
    print_json(terminal.out, {{"error", {{"code", problem.code}, {"message", message}}}});
  }
  return problem.exit_code;
}

}  // namespace cleat::cli
