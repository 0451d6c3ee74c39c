#include "common/units.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>

namespace cleat {
namespace {

constexpr double kLargestSizeBytes = 4.0e18;

Result<uint64_t> unit_bytes(std::string_view unit) {
  if (unit.empty()) return kGiB;
  char letter = static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0])));
  std::string_view rest = unit.substr(1);
  if (letter == 'B' && rest.empty()) return 1;
  if (!(rest.empty() || rest == "i" || rest == "iB" || rest == "B")) {
    return fail(Code::kInvalidArgument, "unknown unit of size");
  }
  switch (letter) {
    case 'K': return kKiB;
    case 'M': return kMiB;
    case 'G': return kGiB;
    case 'T': return kTiB;
    default: return fail(Code::kInvalidArgument, "unknown unit of size");
  }
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  double number = 0;
  auto [end, status] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (status != std::errc{} || !std::isfinite(number) || number < 0) {
    return fail(Code::kInvalidArgument, "not a size: write 10 (GiB), 512M or 10Gi");
  }
  size_t used = static_cast<size_t>(end - text.data());
  TRY_ASSIGN(uint64_t unit, unit_bytes(text.substr(used)));
  double bytes = number * static_cast<double>(unit);
  if (bytes > kLargestSizeBytes) return fail(Code::kInvalidArgument, "the size is too large");
  auto whole = static_cast<uint64_t>(bytes);
  if (whole == 0 || static_cast<double>(whole) != bytes || whole % kBlockSize != 0) {
    return fail(Code::kInvalidArgument, "the size is not a multiple of 4 KiB above zero");
  }
  return whole;
}

std::string format_size(uint64_t bytes) {
  struct Unit {
    uint64_t bytes;
    const char* name;
  };
  for (Unit unit : {Unit{kTiB, "TiB"}, Unit{kGiB, "GiB"}, Unit{kMiB, "MiB"}, Unit{kKiB, "KiB"}}) {
    if (bytes < unit.bytes) continue;
    if (bytes % unit.bytes == 0) return fmt::format("{} {}", bytes / unit.bytes, unit.name);
    return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(unit.bytes),
                       unit.name);
  }
  return fmt::format("{} B", bytes);
}

}  // namespace cleat
