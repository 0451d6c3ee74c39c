#include "csi/names.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

namespace cleat::csi {
namespace {

constexpr size_t kIdDigitsMax = 18;
constexpr size_t kHashLetters = 17;  // "-" and 16 digits

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alphanumeric(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_name_letter(char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; }

bool is_cleat_name(const std::string& name, size_t length_max) {
  return !name.empty() && name.size() <= length_max && is_alphanumeric(name.front()) &&
         std::all_of(name.begin(), name.end(), is_name_letter) &&
         !std::all_of(name.begin(), name.end(), is_digit);
}

}  // namespace

std::string cleat_name(const std::string& csi_name, size_t length_max) {
  if (is_cleat_name(csi_name, length_max)) return csi_name;
  std::string kept = "v-" + csi_name;
  std::replace_if(kept.begin(), kept.end(), [](char c) { return !is_name_letter(c); }, '-');
  kept.resize(std::min(kept.size(), length_max - kHashLetters));
  return fmt::format("{}-{:016x}", kept, XXH3_64bits(csi_name.data(), csi_name.size()));
}

bool is_id(const std::string& text) {
  return !text.empty() && text.size() <= kIdDigitsMax &&
         std::all_of(text.begin(), text.end(), is_digit);
}

}  // namespace cleat::csi
