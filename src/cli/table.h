// Tables and "key : value" lists as pxctl prints them.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace cleat::cli {

// Columns as wide as their widest cell, two spaces apart, no space at the end of a line.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  // As many cells as the header has; a missing one is empty.
  void add(std::vector<std::string> cells);
  size_t size() const { return rows_.size() - 1; }
  void print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Lines "\tKey                 : value"; the first is not indented: "Volume : 123".
class Fields {
 public:
  explicit Fields(std::ostream& out) : out_(out) {}
  void title(const std::string& key, const std::string& value);
  void add(const std::string& key, const std::string& value);
  // A line of its own, `depth` tabs in.
  void line(const std::string& text, int depth = 1);

 private:
  std::ostream& out_;
};

}  // namespace cleat::cli
