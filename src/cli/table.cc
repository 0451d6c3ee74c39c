#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>

namespace cleat::cli {
namespace {

constexpr size_t kKeyWidth = 20;

// Letters, not bytes: continuation bytes of UTF-8 take no column.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

Table::Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

void Table::add(std::vector<std::string> cells) {
  cells.resize(rows_.front().size());
  rows_.push_back(std::move(cells));
}

void Table::print(std::ostream& out) const {
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      text.append(widths[i] - width_of(row[i]) + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  out << text;
}

void Fields::title(const std::string& key, const std::string& value) {
  out_ << key << " : " << value << '\n';
}

void Fields::add(const std::string& key, const std::string& value) {
  std::string padded = key;
  if (padded.size() < kKeyWidth) padded.resize(kKeyWidth, ' ');
  out_ << fmt::format("\t{} :{}{}\n", padded, value.empty() ? "" : " ", value);
}

void Fields::line(const std::string& text, int depth) {
  out_ << std::string(static_cast<size_t>(depth), '\t') << text << '\n';
}

}  // namespace cleat::cli
