#include "common/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/check.h"
#include "common/nearest.h"
#include "common/option_file.h"

namespace cleat {
namespace {

template <class... Args>
tl::unexpected<std::string> wrong(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<std::string>(fmt::format(format, std::forward<Args>(args)...));
}

std::string with_dashes(std::string name) {
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '.' || c == '_'; }, '-');
  return name;
}

std::string format_bound(OptionKind kind, int64_t bound) {
  if (kind == OptionKind::kDuration) return format_duration(Duration(bound));
  return format_option(kind, OptionValue(bound));
}

bool is_number(OptionKind kind) {
  return kind == OptionKind::kInteger || kind == OptionKind::kSize || kind == OptionKind::kDuration;
}

bool has_max(const Option& option) { return option.max != std::numeric_limits<int64_t>::max(); }

bool is_empty(const OptionValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->empty();
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) return list->empty();
  return false;
}

std::string format_bounds(OptionKind kind, const Option& option) {
  if (!option.one_of.empty()) return fmt::format("{}", fmt::join(option.one_of, ", "));
  if (!is_number(kind)) return "";
  if (has_max(option)) {
    return fmt::format("{} to {}", format_bound(kind, option.min), format_bound(kind, option.max));
  }
  if (option.min == std::numeric_limits<int64_t>::min()) return "";
  return fmt::format("at least {}", format_bound(kind, option.min));
}

}  // namespace

OptionSet::OptionSet(std::string environment_prefix)
    : environment_prefix_(std::move(environment_prefix)) {}

void OptionSet::add(bool* field, Option option) {
  add_entry(field, OptionKind::kBool, std::move(option));
}
void OptionSet::add(uint32_t* field, Option option) {
  option.max = std::min<int64_t>(option.max, std::numeric_limits<uint32_t>::max());
  add_entry(field, OptionKind::kInteger, std::move(option));
}
void OptionSet::add(uint64_t* field, Option option) {
  add_entry(field, OptionKind::kInteger, std::move(option));
}
void OptionSet::add(int64_t* field, Option option) {
  add_entry(field, OptionKind::kInteger, std::move(option));
}
void OptionSet::add(Duration* field, Option option) {
  add_entry(field, OptionKind::kDuration, std::move(option));
}
void OptionSet::add(std::string* field, Option option) {
  add_entry(field, OptionKind::kString, std::move(option));
}
void OptionSet::add(std::vector<std::string>* field, Option option) {
  add_entry(field, OptionKind::kList, std::move(option));
}
void OptionSet::add_size(uint64_t* field, Option option) {
  add_entry(field, OptionKind::kSize, std::move(option));
}

void OptionSet::add_entry(Field field, OptionKind kind, Option option) {
  CHECK(find(option.name) == nullptr, "an option is declared once");
  CHECK(option.min <= option.max, "bounds of an option must leave a value");
  Entry entry{std::move(option), kind, field, OptionValue{}};
  entry.fallback = read(entry);
  entries_.push_back(std::move(entry));
}

const OptionSet::Entry* OptionSet::find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.option.name == name) return &entry;
  }
  return nullptr;
}

OptionValue OptionSet::read(const Entry& entry) {
  return std::visit(
      [](auto* field) -> OptionValue {
        using T = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_same_v<T, uint32_t> || std::is_same_v<T, uint64_t>) {
          return static_cast<int64_t>(*field);
        } else {
          return *field;
        }
      },
      entry.field);
}

void OptionSet::write(const Entry& entry, const OptionValue& value) {
  std::visit(
      [&value](auto* field) {
        using T = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_same_v<T, uint32_t> || std::is_same_v<T, uint64_t>) {
          *field = static_cast<T>(std::get<int64_t>(value));
        } else {
          *field = std::get<T>(value);
        }
      },
      entry.field);
}

OptionSet::Outcome<OptionValue> OptionSet::parse(const Entry& entry, std::string_view text,
                                                 std::string_view where) const {
  auto value = parse_option(entry.kind, text);
  if (!value) return wrong("{}: '{}' is not valid: {}", where, text, value.error());
  return check(entry, std::move(*value), where);
}

OptionSet::Outcome<OptionValue> OptionSet::check(const Entry& entry, OptionValue value,
                                                 std::string_view where) const {
  const Option& option = entry.option;
  if (is_number(entry.kind)) {
    const auto* duration = std::get_if<Duration>(&value);
    int64_t number = duration != nullptr ? duration->count() : std::get<int64_t>(value);
    if (number < option.min || number > option.max) {
      return wrong("{}: {} is out of bounds: write a value of {}", where,
                   format_option(entry.kind, value), format_bounds(entry.kind, option));
    }
  }
  if (!option.one_of.empty() && entry.kind == OptionKind::kString) {
    const auto& text = std::get<std::string>(value);
    if (std::find(option.one_of.begin(), option.one_of.end(), text) == option.one_of.end()) {
      return wrong("{}: '{}' is not valid: write one of {}", where, text,
                   fmt::join(option.one_of, ", "));
    }
  }
  return value;
}

OptionSet::Outcome<OptionSet::Values> OptionSet::resolve(const OptionSources& sources,
                                                         std::vector<std::string>* warnings) const {
  Values values;
  for (const Entry& entry : entries_) values[entry.option.name] = entry.fallback;
  if (auto done = take_file(sources, values); !done) return wrong("{}", done.error());
  if (auto done = take_environment(sources, values, warnings); !done)
    return wrong("{}", done.error());
  if (auto done = take_arguments(sources.arguments, values); !done)
    return wrong("{}", done.error());
  for (const Entry& entry : entries_) {
    if (!entry.option.required || !is_empty(values[entry.option.name])) continue;
    return wrong(
        "option {0} is missing: set it as {0} in the file, {1} in the environment or --{2}",
        entry.option.name, environment_name(entry), with_dashes(entry.option.name));
  }
  return values;
}

OptionSet::Outcome<void> OptionSet::take_file(const OptionSources& sources, Values& values) const {
  auto keys = read_option_file(sources.file_name, sources.file_text);
  if (!keys) return wrong("{}", keys.error());
  for (const OptionFileKey& key : *keys) {
    std::string where = fmt::format("{} line {}: key {}", sources.file_name, key.line, key.name);
    const Entry* entry = find(key.name);
    if (entry == nullptr) {
      return wrong("{} is unknown{}", where, did_you_mean(key.name, names()));
    }
    if (key.is_list && entry->kind != OptionKind::kList) {
      return wrong("{} takes one value, not a list", where);
    }
    if (key.is_list) {
      values[key.name] = key.list;
      continue;
    }
    bool bare_fits = entry->kind == OptionKind::kBool || entry->kind == OptionKind::kInteger;
    if (key.is_text == bare_fits) {
      return wrong("{} takes a value {} quotes", where, bare_fits ? "without" : "in");
    }
    auto value = parse(*entry, key.text, where);
    if (!value) return wrong("{}", value.error());
    values[key.name] = std::move(*value);
  }
  return {};
}

std::string OptionSet::environment_name(const Entry& entry) const {
  std::string name = environment_prefix_;
  for (char c : entry.option.name) {
    bool letter = c >= 'a' && c <= 'z';
    name += letter ? static_cast<char>(c - 'a' + 'A') : (c == '.' || c == '-' ? '_' : c);
  }
  return name;
}

OptionSet::Outcome<void> OptionSet::take_environment(const OptionSources& sources, Values& values,
                                                     std::vector<std::string>* warnings) const {
  for (const auto& [name, text] : sources.environment) {
    if (name.compare(0, environment_prefix_.size(), environment_prefix_) != 0) continue;
    auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& candidate) {
      return environment_name(candidate) == name;
    });
    if (entry == entries_.end()) {
      take_environment_name(name, warnings);
      continue;
    }
    auto value = parse(*entry, text, fmt::format("environment name {}", name));
    if (!value) return wrong("{}", value.error());
    values[entry->option.name] = std::move(*value);
  }
  return {};
}

void OptionSet::take_environment_name(const std::string& name,
                                      std::vector<std::string>* warnings) const {
  if (warnings == nullptr) return;
  std::vector<std::string> known;
  for (const Entry& entry : entries_) known.push_back(environment_name(entry));
  warnings->push_back(
      fmt::format("environment name {} is no option{}", name, did_you_mean(name, known)));
}

OptionSet::Outcome<OptionSet::Flag> OptionSet::find_flag(const std::string& argument) const {
  if (argument.size() < 3 || argument.compare(0, 2, "--") != 0) {
    return wrong("unexpected argument '{}': options are written --NAME VALUE", argument);
  }
  Flag flag;
  size_t equals = argument.find('=');
  if (equals != std::string::npos) flag.text = argument.substr(equals + 1);
  flag.name = with_dashes(argument.substr(2, equals == std::string::npos ? equals : equals - 2));
  std::vector<std::string> known;
  for (const Entry& entry : entries_) {
    known.push_back(with_dashes(entry.option.name));
    if (flag.name == known.back()) flag.entry = &entry;
    if (entry.kind == OptionKind::kBool && !flag.text && flag.name == "no-" + known.back()) {
      flag.entry = &entry;
      flag.text = "false";
    }
  }
  if (flag.entry == nullptr) {
    return wrong("unknown option --{}{}", flag.name, did_you_mean(flag.name, known, "--"));
  }
  return flag;
}

OptionSet::Outcome<void> OptionSet::take_arguments(const std::vector<std::string>& arguments,
                                                   Values& values) const {
  for (size_t i = 0; i < arguments.size(); ++i) {
    auto flag = find_flag(arguments[i]);
    if (!flag) return wrong("{}", flag.error());
    bool is_last = i + 1 >= arguments.size();
    if (!flag->text && flag->entry->kind == OptionKind::kBool) {
      bool next_is_value = !is_last && arguments[i + 1].compare(0, 2, "--") != 0;
      flag->text = next_is_value ? arguments[++i] : "true";
    } else if (!flag->text && !is_last) {
      flag->text = arguments[++i];
    }
    if (!flag->text) return wrong("option --{0} needs a value: --{0} VALUE", flag->name);
    auto value = parse(*flag->entry, *flag->text, fmt::format("option --{}", flag->name));
    if (!value) return wrong("{}", value.error());
    values[flag->entry->option.name] = std::move(*value);
  }
  return {};
}

tl::expected<std::vector<std::string>, std::string> OptionSet::apply(const OptionSources& sources) {
  std::vector<std::string> warnings;
  auto values = resolve(sources, &warnings);
  if (!values) return wrong("{}", values.error());
  for (const Entry& entry : entries_) write(entry, (*values)[entry.option.name]);
  return warnings;
}

tl::expected<ReloadResult, std::string> OptionSet::reload(const OptionSources& sources) {
  auto values = resolve(sources, nullptr);
  if (!values) return wrong("{}", values.error());
  ReloadResult result;
  for (const Entry& entry : entries_) {
    const OptionValue& value = (*values)[entry.option.name];
    if (read(entry) == value) continue;
    if (entry.option.reloadable) {
      write(entry, value);
      result.changed.push_back(entry.option.name);
    } else {
      result.need_restart.push_back(entry.option.name);
    }
  }
  return result;
}

std::string OptionSet::help() const {
  std::string text;
  for (const Entry& entry : entries_) {
    std::string bounds = format_bounds(entry.kind, entry.option);
    std::string fallback = format_option(entry.kind, entry.fallback);
    text += fmt::format("  --{}{}\n        {}", with_dashes(entry.option.name),
                        entry.kind == OptionKind::kBool ? "" : " VALUE", entry.option.help);
    if (!bounds.empty()) text += fmt::format(" Values: {}.", bounds);
    if (!fallback.empty()) text += fmt::format(" Default: {}.", fallback);
    if (entry.option.required) text += " Must be set.";
    text += fmt::format(" Environment: {}.\n", environment_name(entry));
  }
  return text;
}

std::string OptionSet::reference() const {
  std::string text =
      "| key | flag | environment | default | values | reloads | what it does |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const Entry& entry : entries_) {
    text += fmt::format("| `{}` | `--{}` | `{}` | {} | {} | {} | {} |\n", entry.option.name,
                        with_dashes(entry.option.name), environment_name(entry),
                        format_option(entry.kind, entry.fallback),
                        format_bounds(entry.kind, entry.option),
                        entry.option.reloadable ? "live" : "at restart", entry.option.help);
  }
  return text;
}

std::string OptionSet::to_toml() const {
  // A bare key after a table's header would belong to that table, so keys without a table go first.
  std::map<std::string, std::string> tables;
  for (const Entry& entry : entries_) {
    size_t dot = entry.option.name.rfind('.');
    std::string table = dot == std::string::npos ? "" : entry.option.name.substr(0, dot);
    std::string key =
        dot == std::string::npos ? entry.option.name : entry.option.name.substr(dot + 1);
    tables[table] += fmt::format("# {}\n{} = {}\n", entry.option.help, key,
                                 format_option_toml(entry.kind, read(entry)));
  }
  std::string text;
  for (const auto& [table, keys] : tables) {
    if (!table.empty()) text += fmt::format("\n[{}]\n", table);
    text += keys;
  }
  return text;
}

void OptionSet::randomize(Random& random) {
  for (const Entry& entry : entries_) {
    const Option& option = entry.option;
    if (entry.kind == OptionKind::kBool) write(entry, random.chance(0.5));
    if (entry.kind == OptionKind::kString && !option.one_of.empty()) {
      write(entry, option.one_of[random.below(option.one_of.size())]);
    }
    if (!is_number(entry.kind) || !has_max(option)) continue;
    // The span of wholly signed bounds may exceed what below() takes; bounds declared here don't.
    int64_t step = entry.kind == OptionKind::kSize ? 4096 : 1;
    auto steps = static_cast<uint64_t>((option.max - option.min) / step);
    uint64_t choice = random.below(4);
    uint64_t at = choice == 0 ? 0 : choice == 1 ? steps : random.between(0, steps);
    int64_t number = option.min + static_cast<int64_t>(at) * step;
    write(entry, entry.kind == OptionKind::kDuration ? OptionValue(Duration(number))
                                                     : OptionValue(number));
  }
}

std::vector<std::string> OptionSet::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.option.name);
  return names;
}

tl::expected<std::string, std::string> take_flag(std::vector<std::string>& arguments,
                                                 std::string_view name) {
  std::string flag = fmt::format("--{}", name);
  for (size_t i = 0; i < arguments.size(); ++i) {
    auto at = arguments.begin() + static_cast<std::ptrdiff_t>(i);
    if (arguments[i].compare(0, flag.size() + 1, flag + "=") == 0) {
      std::string value = arguments[i].substr(flag.size() + 1);
      arguments.erase(at);
      return value;
    }
    if (arguments[i] != flag) continue;
    if (i + 1 >= arguments.size()) return wrong("option {0} needs a value: {0} VALUE", flag);
    std::string value = arguments[i + 1];
    arguments.erase(at, at + 2);
    return value;
  }
  return std::string{};
}

bool take_switch(std::vector<std::string>& arguments, std::string_view name) {
  auto at = std::find(arguments.begin(), arguments.end(), fmt::format("--{}", name));
  if (at == arguments.end()) return false;
  arguments.erase(at);
  return true;
}

}  // namespace cleat
