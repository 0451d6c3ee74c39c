// The value of one option, and its text. Text comes from flags, environment and TOML strings; a
// size or a duration always carries its unit there, so that no one has to remember which unit a
// number is in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "common/time.h"

namespace cleat {

enum class OptionKind : uint8_t { kBool, kInteger, kSize, kDuration, kString, kList };

// kInteger and kSize (bytes) are int64_t.
using OptionValue = std::variant<bool, int64_t, Duration, std::string, std::vector<std::string>>;

// The error is half a sentence that says what is expected: "write true or false".
tl::expected<OptionValue, std::string> parse_option(OptionKind kind, std::string_view text);
// Text that parse_option() reads back as the same value.
std::string format_option(OptionKind kind, const OptionValue& value);
// The same as a TOML literal: "64 MiB" in quotes, true, 12, ["a", "b"].
std::string format_option_toml(OptionKind kind, const OptionValue& value);

// "2s", "500ms", "1.5h": units ns, us, ms, s, m, h, d. The error is as of parse_option().
tl::expected<Duration, std::string> parse_duration(std::string_view text);
// The largest unit that gives a whole number.
std::string format_duration(Duration duration);

}  // namespace cleat
