#include "common/option_value.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "common/units.h"

namespace cleat {
namespace {

struct TimeUnit {
  std::string_view name;
  int64_t nanoseconds;
};
constexpr std::array<TimeUnit, 7> kTimeUnits{{{"d", 86'400'000'000'000},
                                              {"h", 3'600'000'000'000},
                                              {"m", 60'000'000'000},
                                              {"s", 1'000'000'000},
                                              {"ms", 1'000'000},
                                              {"us", 1'000},
                                              {"ns", 1}}};
constexpr double kLongestNs = 9.0e18;

tl::unexpected<std::string> wrong(std::string expected) {
  return tl::unexpected<std::string>(std::move(expected));
}

tl::expected<OptionValue, std::string> parse_bool(std::string_view text) {
  for (std::string_view yes : {"true", "yes", "on", "1"}) {
    if (text == yes) return OptionValue(true);
  }
  for (std::string_view no : {"false", "no", "off", "0"}) {
    if (text == no) return OptionValue(false);
  }
  return wrong("write true or false");
}

tl::expected<OptionValue, std::string> parse_integer(std::string_view text) {
  int64_t number = 0;
  const char* last = text.data() + text.size();
  auto [end, status] = std::from_chars(text.data(), last, number);
  if (status != std::errc{} || end != last) return wrong("write a whole number");
  return OptionValue(number);
}

tl::expected<OptionValue, std::string> parse_size_option(std::string_view text) {
  if (text == "0") return OptionValue(int64_t{0});
  bool has_unit = !text.empty() && (text.back() < '0' || text.back() > '9') && text.back() != '.';
  auto bytes = parse_size(text);
  if (!has_unit || !bytes) return wrong("write a size with its unit, a multiple of 4 KiB: 64MiB");
  return OptionValue(static_cast<int64_t>(*bytes));
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (!item.empty()) items.emplace_back(item);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return items;
}

std::string format_bytes(int64_t bytes) {
  if (bytes == 0) return "0";
  auto size = static_cast<uint64_t>(bytes);
  struct Unit {
    uint64_t bytes;
    const char* name;
  };
  for (Unit unit : {Unit{kTiB, "TiB"}, Unit{kGiB, "GiB"}, Unit{kMiB, "MiB"}, Unit{kKiB, "KiB"}}) {
    if (size % unit.bytes == 0) return fmt::format("{}{}", size / unit.bytes, unit.name);
  }
  return fmt::format("{}B", size);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

tl::expected<Duration, std::string> parse_duration(std::string_view text) {
  constexpr const char* kExpected = "write a duration with its unit (ms, s, m, h): 2s";
  double number = 0;
  auto [end, status] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (status != std::errc{} || !std::isfinite(number) || number < 0) return wrong(kExpected);
  std::string_view name = text.substr(static_cast<size_t>(end - text.data()));
  for (const TimeUnit& unit : kTimeUnits) {
    if (unit.name != name) continue;
    double ns = number * static_cast<double>(unit.nanoseconds);
    if (ns > kLongestNs) return wrong("the duration is too long");
    return Duration(std::llround(ns));
  }
  return wrong(kExpected);
}

std::string format_duration(Duration duration) {
  if (duration.count() == 0) return "0s";
  for (const TimeUnit& unit : kTimeUnits) {
    if (duration.count() % unit.nanoseconds != 0) continue;
    return fmt::format("{}{}", duration.count() / unit.nanoseconds, unit.name);
  }
  return fmt::format("{}ns", duration.count());
}

tl::expected<OptionValue, std::string> parse_option(OptionKind kind, std::string_view text) {
  switch (kind) {
    case OptionKind::kBool: return parse_bool(text);
    case OptionKind::kInteger: return parse_integer(text);
    case OptionKind::kSize: return parse_size_option(text);
    case OptionKind::kDuration: {
      auto duration = parse_duration(text);
      if (!duration) return wrong(duration.error());
      return OptionValue(*duration);
    }
    case OptionKind::kString: return OptionValue(std::string(text));
    case OptionKind::kList: return OptionValue(split_list(text));
  }
  return wrong("unknown kind of option");
}

std::string format_option(OptionKind kind, const OptionValue& value) {
  switch (kind) {
    case OptionKind::kBool: return std::get<bool>(value) ? "true" : "false";
    case OptionKind::kInteger: return fmt::format("{}", std::get<int64_t>(value));
    case OptionKind::kSize: return format_bytes(std::get<int64_t>(value));
    case OptionKind::kDuration: return format_duration(std::get<Duration>(value));
    case OptionKind::kString: return std::get<std::string>(value);
    case OptionKind::kList:
      return fmt::format("{}", fmt::join(std::get<std::vector<std::string>>(value), ","));
  }
  return {};
}

std::string format_option_toml(OptionKind kind, const OptionValue& value) {
  if (kind == OptionKind::kBool || kind == OptionKind::kInteger) return format_option(kind, value);
  if (kind != OptionKind::kList) return quoted(format_option(kind, value));
  std::vector<std::string> items;
  for (const auto& item : std::get<std::vector<std::string>>(value)) items.push_back(quoted(item));
  return fmt::format("[{}]", fmt::join(items, ", "));
}

}  // namespace cleat
