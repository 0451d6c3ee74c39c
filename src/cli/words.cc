#include "cli/words.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/nearest.h"

namespace cleat::cli {
namespace {

bool has_long(const CLI::Option& option, const std::string& name) {
  const auto& names = option.get_lnames();
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool has_short(const CLI::Option& option, const std::string& name) {
  const auto& names = option.get_snames();
  return std::find(names.begin(), names.end(), name) != names.end();
}

// An option of the verb, or of what it stands below.
const CLI::Option* find_option(const std::vector<const CLI::App*>& path, const std::string& name,
                               bool is_long) {
  for (auto app = path.rbegin(); app != path.rend(); ++app) {
    for (const CLI::Option* option : (*app)->get_options()) {
      if (is_long ? has_long(*option, name) : has_short(*option, name)) return option;
    }
  }
  return nullptr;
}

std::string unknown_option(const std::vector<const CLI::App*>& path, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::App* app : path) {
    for (const CLI::Option* option : app->get_options()) {
      for (const auto& name : option->get_lnames()) known.push_back(name);
    }
  }
  bool is_long = word.compare(0, 2, "--") == 0;
  std::string meant = is_long ? did_you_mean(word.substr(2), known, "--") : "";
  return fmt::format("unknown option {}{}", word, meant);
}

std::string unknown_verb(const std::vector<const CLI::App*>& path, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::App* app : visible_verbs(*path.back())) known.push_back(app->get_name());
  std::string meant = did_you_mean(word, known);
  if (meant.empty()) meant = fmt::format(": {} has {}", full_name(path), fmt::join(known, ", "));
  return fmt::format("unknown verb '{}'{}", word, meant);
}

// A word that begins with a dash.
void take_dashed(Words& result, const std::string& word) {
  bool is_long = word.compare(0, 2, "--") == 0;
  size_t equals = word.find('=');
  std::string name = is_long ? word.substr(2, equals == std::string::npos ? equals : equals - 2)
                             : word.substr(1, 1);
  const CLI::Option* option = find_option(result.path, name, is_long);
  if (option == nullptr) {
    result.problem = unknown_option(result.path, word.substr(0, equals));
    return;
  }
  if (has_long(*option, "help")) result.help = true;
  bool has_value = is_long ? equals != std::string::npos : word.size() > 2;
  result.normalized.push_back(word);
  if (value_name(*option).empty() || has_value) return;
  result.awaits = option;
  result.last = word;
}

// A verb or an argument.
void take_plain(Words& result, const std::string& word) {
  const CLI::App& app = result.verb();
  auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  if (verbs.empty()) {
    auto arguments = positional_arguments(app);
    bool fits = result.positionals.size() < arguments.size() ||
                (!arguments.empty() && takes_several(*arguments.back()));
    if (fits) {
      result.positionals.push_back(word);
    } else {
      result.problem = fmt::format("unexpected argument '{}'", word);
    }
    return;
  }
  auto found = std::find_if(verbs.begin(), verbs.end(),
                            [&word](const CLI::App* verb) { return verb->check_name(word); });
  if (found == verbs.end()) {
    result.problem = unknown_verb(result.path, word);
  } else {
    result.path.push_back(*found);
  }
}

void normalize(Words& result) {
  std::vector<std::string> verbs;
  for (const CLI::App* app : result.path) verbs.push_back(app->get_name());
  auto& line = result.normalized;
  line.insert(line.begin(), verbs.begin() + 1, verbs.end());
  if (result.positionals.empty()) return;
  line.emplace_back("--");
  line.insert(line.end(), result.positionals.begin(), result.positionals.end());
}

}  // namespace

Words walk(const CLI::App& root, const std::vector<std::string>& words) {
  Words result;
  result.path.push_back(&root);
  bool only_arguments = false;  // after "--"
  for (const std::string& word : words) {
    if (!result.problem.empty()) break;
    if (result.awaits != nullptr) {
      result.awaits = nullptr;
      result.normalized.push_back(word);
    } else if (word == "--" && !only_arguments) {
      only_arguments = true;
    } else if (!only_arguments && word.size() > 1 && word.front() == '-') {
      take_dashed(result, word);
    } else {
      take_plain(result, word);
    }
  }
  normalize(result);
  return result;
}

std::string full_name(const std::vector<const CLI::App*>& path) {
  std::string name;
  for (const CLI::App* app : path) name += (name.empty() ? "" : " ") + app->get_name();
  return name;
}

std::vector<const CLI::App*> visible_verbs(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

std::vector<const CLI::Option*> dashed_options(const CLI::App& app) {
  return app.get_options([&app](const CLI::Option* option) {
    return option != app.get_help_ptr() && !option->get_lnames().empty();
  });
}

std::vector<const CLI::Option*> positional_arguments(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

std::string display_name(const CLI::Option& option) {
  std::string text;
  for (const auto& name : option.get_snames()) text += (text.empty() ? "-" : ", -") + name;
  for (const auto& name : option.get_lnames()) text += (text.empty() ? "--" : ", --") + name;
  return text;
}

std::string argument_name(const CLI::Option& argument) {
  std::string text = argument.get_name(true, false);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string value_name(const CLI::Option& option) {
  if (option.get_expected_max() == 0) return "";
  std::string text = option.get_type_name();
  return text.substr(0, text.find(':'));  // what follows is CLI11's text of a check
}

bool takes_several(const CLI::Option& option) { return option.get_expected_max() > 1; }

}  // namespace cleat::cli
