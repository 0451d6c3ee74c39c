// Where a command line leads, word by word, in the tree of verbs. CLI11 parses values; this finds
// the verb, names what is unknown and what was probably meant, and tells completion what comes
// next.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace cleat::cli {

struct Words {
  std::vector<const CLI::App*> path;     // root, group, verb
  const CLI::Option* awaits = nullptr;   // the last word is an option that still lacks its value
  std::vector<std::string> positionals;  // arguments of the last verb
  bool help = false;                     // --help stands in it
  std::vector<std::string> normalized;   // the same line for CLI11, see walk()
  std::string last;                      // the option word that awaits its value
  std::string problem;                   // of the first word that is unknown; empty when none is

  const CLI::App& verb() const { return *path.back(); }
};

// `normalized` is verbs by their full names, then options, then "--" and the arguments: CLI11 would
// take an argument for a verb where it is called like one (a volume "list").
Words walk(const CLI::App& root, const std::vector<std::string>& words);

// "cleat volume create".
std::string full_name(const std::vector<const CLI::App*>& path);
// Verbs that people see, in the order of their declaration.
std::vector<const CLI::App*> visible_verbs(const CLI::App& app);
// Options with dashes (not --help), and positional arguments; one may be both.
std::vector<const CLI::Option*> dashed_options(const CLI::App& app);
std::vector<const CLI::Option*> positional_arguments(const CLI::App& app);
// "-s, --size".
std::string display_name(const CLI::Option& option);
// Of a positional argument: its name in capitals.
std::string argument_name(const CLI::Option& argument);
// "SIZE", "ext4|xfs|none"; empty for a switch.
std::string value_name(const CLI::Option& option);
bool takes_several(const CLI::Option& option);

}  // namespace cleat::cli
