// A list in pages. The token is the last id of the page before, so that it stays good whatever
// comes and goes meanwhile: what is listed next has a higher id. Pure.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "csi/cleatd.h"
#include "csi/names.h"

namespace cleat::csi {

struct Page {
  std::vector<api::Volume> entries;
  std::string next_token;  // empty: that was all
};

// kConflict (ABORTED): the token is none of ours. kInvalidArgument: a negative number of entries.
inline Outcome<Page> page_of(std::vector<api::Volume> all, int32_t max_entries,
                             const std::string& token) {
  if (max_entries < 0) {
    return failure(Code::kInvalidArgument, "max_entries is {}: it can't be negative", max_entries);
  }
  if (!token.empty() && !is_id(token)) {
    return failure(Code::kConflict, "the token \"{}\" is not one of a list: list again", token);
  }
  // Decimals without leading zeros: the longer one is the larger one.
  auto before = [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  };
  std::sort(all.begin(), all.end(),
            [&](const api::Volume& a, const api::Volume& b) { return before(a.id(), b.id()); });
  Page page;
  for (api::Volume& volume : all) {
    if (!token.empty() && !before(token, volume.id())) continue;
    if (max_entries > 0 && page.entries.size() == static_cast<size_t>(max_entries)) {
      page.next_token = page.entries.back().id();
      break;
    }
    page.entries.push_back(std::move(volume));
  }
  return page;
}

}  // namespace cleat::csi
