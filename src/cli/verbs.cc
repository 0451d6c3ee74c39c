#include "cli/verbs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <sstream>

#include "common/check.h"
#include "common/units.h"

namespace cleat::cli {
namespace {

constexpr size_t kNameLengthMax = 128;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string check_by_kind(const std::string& kind, const std::string& text) {
  if (kind == kName) return check_name(text);
  if (kind == kSize) return check_size(text);
  if (kind == kLabel) return check_label(text);
  if (kind == kPath) return check_path(text);
  if (kind == kPool && !text.empty() && text.front() == '/') return "";
  return check_reference(text);
}

CLI::Option* checked(CLI::Option* option, const char* kind) {
  std::string kind_name = kind;
  option->type_name(kind_name)->check(CLI::Validator(
      [kind_name](std::string& text) { return check_by_kind(kind_name, text); }, ""));
  return option;
}

}  // namespace

CLI::App* add_verb(CLI::App& parent, const std::string& names, const std::string& description) {
  std::istringstream list(names);
  std::string name;
  std::getline(list, name, ',');
  CLI::App* verb = parent.add_subcommand(name, description);
  while (std::getline(list, name, ',')) verb->alias(name);
  return verb;
}

void set_examples(CLI::App* verb, const std::vector<std::string>& lines) {
  verb->footer(fmt::format("{}", fmt::join(lines, "\n")));
}

std::string check_name(const std::string& text) {
  if (auto problem = check_reference(text); !problem.empty()) return problem;
  bool digits = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (digits)
    return fmt::format("'{}' is all digits, as ids are: put a letter into the name", text);
  return "";
}

std::string check_reference(const std::string& text) {
  if (text.empty()) return "a name is missing: write a name or an id";
  if (text.size() > kNameLengthMax) {
    return fmt::format("a name of {} characters is too long: use at most {}", text.size(),
                       kNameLengthMax);
  }
  for (char c : text) {
    if (is_letter_or_digit(c) || (c != '\0' && std::strchr("._-", c) != nullptr)) continue;
    return fmt::format("'{}' is not a name: use letters, digits, '.', '_' and '-' only", text);
  }
  if (is_letter_or_digit(text.front())) return "";
  return fmt::format("'{}' is not a name: start with a letter or a digit", text);
}

std::string check_size(const std::string& text) {
  auto bytes = parse_size(text);
  if (bytes) return "";
  return fmt::format("'{}' is refused: {}: a bare number is GiB, else write 512M or 10Gi", text,
                     bytes.error().what);
}

std::string check_label(const std::string& text) {
  size_t equals = text.find('=');
  bool bad = equals == std::string::npos || equals == 0 || text.find_first_of(" ,\n") != text.npos;
  return bad ? fmt::format("'{}' is not a label: write KEY=VALUE without spaces", text) : "";
}

std::string check_path(const std::string& text) {
  return text.empty() ? "a path is missing: write an absolute path" : "";
}

CLI::Option* add_text(CLI::App* verb, const std::string& names, std::string& field,
                      const char* kind, const std::string& description) {
  return checked(verb->add_option(names, field, description), kind);
}

CLI::Option* add_texts(CLI::App* verb, const std::string& names, std::vector<std::string>& field,
                       const char* kind, const std::string& description) {
  CLI::Option* option = checked(verb->add_option(names, field, description), kind);
  // One word for each time the option stands there, so that an argument after it is not swallowed.
  if (names.front() == '-')
    option->expected(1)->allow_extra_args(false)->take_all()->delimiter(',');
  return option;
}

CLI::Option* add_choice(CLI::App* verb, const std::string& names, std::string& field,
                        const std::vector<std::string>& words, const std::string& description) {
  auto is_word = [words](std::string& text) -> std::string {
    if (std::find(words.begin(), words.end(), text) != words.end()) return "";
    return fmt::format("'{}' is not one of {}", text, fmt::join(words, ", "));
  };
  return verb->add_option(names, field, description)
      ->type_name(fmt::format("{}", fmt::join(words, "|")))
      ->check(CLI::Validator(is_word, ""));
}

uint64_t size_of(const std::string& text) {
  auto bytes = parse_size(text);
  CHECK(bytes.has_value(), "the text was checked when it was parsed");
  return *bytes;
}

void put_labels(const std::vector<std::string>& texts,
                google::protobuf::Map<std::string, std::string>& labels) {
  for (const std::string& text : texts) {
    size_t equals = text.find('=');
    labels[text.substr(0, equals)] = text.substr(equals + 1);
  }
}

}  // namespace cleat::cli
