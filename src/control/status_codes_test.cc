#include "control/status_codes.h"

#include <gtest/gtest.h>

#include <set>

namespace cleat::control {
namespace {

// Every value of Code up to the last has a name; the first without one ends the enumeration.
std::vector<Code> all_codes() {
  std::vector<Code> out;
  for (uint8_t value = 1; to_string(static_cast<Code>(value)) != "unknown error"; ++value) {
    out.push_back(static_cast<Code>(value));
  }
  return out;
}

TEST(StatusCodes, EveryCodeIsMappedOnce) {
  const auto codes = all_codes();
  EXPECT_EQ(codes.size(), static_cast<size_t>(Code::kOutOfRange)) << "kOutOfRange is the last";
  for (Code code : codes) {
    int rows = 0;
    for (const auto& row : kStatusTable) rows += row.code == code ? 1 : 0;
    EXPECT_EQ(rows, 1) << to_string(code);
    EXPECT_NE(grpc_code(code), grpc::StatusCode::OK);
    EXPECT_GE(http_code(code), 400);
    EXPECT_EQ(code_of_word(to_string(code)), code) << "its word leads back to it";
  }
  EXPECT_EQ(kStatusTable.size(), codes.size());
}

TEST(StatusCodes, UnknownWordsAreNoCode) { EXPECT_FALSE(code_of_word("no such thing")); }

}  // namespace
}  // namespace cleat::control
