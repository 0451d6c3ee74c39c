// The one place that calls toml++: a file of options as a flat list of keys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace cleat {

struct OptionFileKey {
  std::string name;  // tables joined by dots: "cache.size"
  uint32_t line = 0;
  std::string text;      // of a single value
  bool is_text = false;  // it stood in quotes
  bool is_list = false;
  std::vector<std::string> list;
};

// The error is one line that names file, line and what is wrong. An empty text has no keys.
tl::expected<std::vector<OptionFileKey>, std::string> read_option_file(std::string_view file_name,
                                                                       std::string_view text);

}  // namespace cleat
