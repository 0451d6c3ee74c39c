#include "common/option_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>

namespace cleat {
namespace {

using Keys = std::vector<OptionFileKey>;

tl::unexpected<std::string> wrong(std::string_view file_name, uint32_t line, std::string_view why) {
  return tl::unexpected<std::string>(fmt::format("{} line {}: {}", file_name, line, why));
}

tl::expected<void, std::string> flatten(std::string_view file_name, const toml::table& table,
                                        const std::string& prefix, Keys& keys);

tl::expected<void, std::string> take_array(std::string_view file_name, const toml::array& array,
                                           OptionFileKey& key) {
  key.is_list = true;
  for (const toml::node& item : array) {
    const auto* text = item.as_string();
    if (text == nullptr) {
      return wrong(
          file_name, key.line,
          fmt::format("key {} is a list of other than strings: put items in quotes", key.name));
    }
    key.list.push_back(text->get());
  }
  return {};
}

tl::expected<void, std::string> take_node(std::string_view file_name, const std::string& name,
                                          const toml::node& node, Keys& keys) {
  if (const auto* table = node.as_table()) return flatten(file_name, *table, name + ".", keys);
  OptionFileKey key;
  key.name = name;
  key.line = node.source().begin.line;
  if (const auto* array = node.as_array()) {
    if (auto done = take_array(file_name, *array, key); !done) return done;
  } else if (const auto* text = node.as_string()) {
    key.is_text = true;
    key.text = text->get();
  } else if (const auto* number = node.as_integer()) {
    key.text = fmt::format("{}", number->get());
  } else if (const auto* flag = node.as_boolean()) {
    key.text = flag->get() ? "true" : "false";
  } else {
    return wrong(
        file_name, key.line,
        fmt::format("key {} is neither text, whole number, true or false, nor a list", name));
  }
  keys.push_back(std::move(key));
  return {};
}

tl::expected<void, std::string> flatten(std::string_view file_name, const toml::table& table,
                                        const std::string& prefix, Keys& keys) {
  for (const auto& [key, node] : table) {
    std::string name = prefix + std::string(key.str());
    if (auto done = take_node(file_name, name, node, keys); !done) return done;
  }
  return {};
}

}  // namespace

tl::expected<Keys, std::string> read_option_file(std::string_view file_name,
                                                 std::string_view text) {
  Keys keys;
  try {
    toml::table table = toml::parse(text);
    if (auto done = flatten(file_name, table, "", keys); !done) {
      return tl::unexpected<std::string>(done.error());
    }
  } catch (const toml::parse_error& error) {
    return wrong(file_name, error.source().begin.line, error.description());
  }
  std::sort(keys.begin(), keys.end(), [](const OptionFileKey& a, const OptionFileKey& b) {
    return a.line != b.line ? a.line < b.line : a.name < b.name;
  });
  return keys;
}

}  // namespace cleat
