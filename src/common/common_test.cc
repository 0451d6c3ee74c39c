#include <gtest/gtest.h>

#include "common/crc32c.h"
#include "common/random.h"
#include "common/result.h"
#include "common/units.h"

namespace cleat {
namespace {

TEST(Units, ParsesWhatPeopleType) {
  EXPECT_EQ(parse_size("10").value(), 10 * kGiB);
  EXPECT_EQ(parse_size("512M").value(), 512 * kMiB);
  EXPECT_EQ(parse_size("10Gi").value(), 10 * kGiB);
  EXPECT_EQ(parse_size("10GiB").value(), 10 * kGiB);
  EXPECT_EQ(parse_size("1.5T").value(), kTiB + kTiB / 2);
  EXPECT_EQ(parse_size("4096B").value(), 4096u);
  EXPECT_EQ(parse_size("8k").value(), 8 * kKiB);
}

TEST(Units, RefusesWhatIsNotASize) {
  for (const char* text : {"", "G", "0", "-1", "1X", "1Gix", "1001B", "nan", "inf", "99999999999T",
                           "1 G", "2.0001K"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Units, FormatsTheLargestUnit) {
  EXPECT_EQ(format_size(10 * kGiB), "10 GiB");
  EXPECT_EQ(format_size(kTiB + kTiB / 2), "1.5 TiB");
  EXPECT_EQ(format_size(4096), "4 KiB");
  EXPECT_EQ(format_size(100), "100 B");
}

TEST(Crc32c, MatchesThePublishedCheckValue) {
  EXPECT_EQ(crc32c("123456789", 9), 0xe3069283u);
  EXPECT_EQ(crc32c("6789", 4, crc32c("12345", 5)), 0xe3069283u);
}

TEST(Random, ReplaysFromItsSeed) {
  Random a(7), b(7), c(8);
  uint64_t first = a();
  EXPECT_EQ(first, b());
  EXPECT_NE(first, c());
  for (int i = 0; i < 1000; ++i) EXPECT_LT(a.below(10), 10u);
}

TEST(Result, NamesEveryCode) {
  for (int code = 1; code <= static_cast<int>(Code::kOutOfRange); ++code) {
    EXPECT_NE(to_string(static_cast<Code>(code)), "unknown error") << code;
  }
  EXPECT_EQ(to_string(Error{Code::kIoError, 5, "read"}),
            "I/O error: read (errno 5: Input/output error)");
}

}  // namespace
}  // namespace cleat
