#include "cli/completion.h"

#include <algorithm>
#include <sstream>

#include "cli/words.h"

namespace cleat::cli {
namespace {

using List = std::vector<std::string>;

List values_of(const CLI::Option& option, const NameSource& names) {
  std::string kind = value_name(option);
  if (kind.find('|') == std::string::npos) return names(kind);
  List words;
  std::istringstream stream(kind);
  for (std::string word; std::getline(stream, word, '|');) words.push_back(word);
  return words;
}

List option_names(const Words& line) {
  List names;
  for (const CLI::App* app : line.path) {
    for (const CLI::Option* option : app->get_options()) {
      for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

List next_words(const Words& line, const NameSource& names) {
  List words;
  for (const CLI::App* verb : visible_verbs(line.verb())) words.push_back(verb->get_name());
  if (!words.empty()) return words;
  auto arguments = positional_arguments(line.verb());
  size_t next = line.positionals.size();
  if (next >= arguments.size()) {
    if (arguments.empty() || !takes_several(*arguments.back())) return {};
    next = arguments.size() - 1;
  }
  return values_of(*arguments[next], names);
}

}  // namespace

List complete(const CLI::App& root, const List& words, const NameSource& names) {
  if (words.empty()) return {};
  const std::string& prefix = words.back();
  Words line = walk(root, List(words.begin(), words.end() - 1));
  if (!line.problem.empty()) return {};
  List candidates = line.awaits != nullptr                     ? values_of(*line.awaits, names)
                    : !prefix.empty() && prefix.front() == '-' ? option_names(line)
                                                               : next_words(line, names);
  List fitting;
  for (auto& candidate : candidates) {
    if (candidate.compare(0, prefix.size(), prefix) == 0) fitting.push_back(std::move(candidate));
  }
  std::sort(fitting.begin(), fitting.end());
  fitting.erase(std::unique(fitting.begin(), fitting.end()), fitting.end());
  return fitting;
}

std::string bash_completion() {
  return R"(# Completion of cleat for bash: source <(cleat completion bash)
_cleat() {
  mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _cleat cleat
)";
}

}  // namespace cleat::cli
