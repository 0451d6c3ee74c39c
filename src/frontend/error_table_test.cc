#include "frontend/error_table.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace cleat::frontend {
namespace {

constexpr int kFirstCode = static_cast<int>(Code::kInvalidArgument);
constexpr int kLastCode = static_cast<int>(Code::kOutOfRange);

// The values a client may be sent: doc/proto.md of the NBD project.
const std::set<uint32_t> kNbdValues = {1, 5, 12, 22, 28, 75, 95, 108};

TEST(ErrorTable, MapsEveryCode) {
  for (int code = kFirstCode; code <= kLastCode; ++code) {
    Error error{static_cast<Code>(code), 0, ""};
    ASSERT_NE(to_string(error.code), "unknown error") << "extend kLastCode or to_string: " << code;
    EXPECT_GT(errno_of(error), 0) << to_string(error.code);
    EXPECT_EQ(kNbdValues.count(nbd_error_of(error)), 1u) << to_string(error.code);
  }
}

TEST(ErrorTable, SaysWhatFilesystemsActOn) {
  EXPECT_EQ(errno_of(Error{Code::kNoSpace}), ENOSPC);
  EXPECT_EQ(errno_of(Error{Code::kStaleEpoch}), EIO);
  EXPECT_EQ(errno_of(Error{Code::kClosed}), EIO);
  EXPECT_EQ(nbd_error_of(Error{Code::kNoSpace}), 28u);
  EXPECT_EQ(nbd_error_of(Error{Code::kIoError}), 5u);
  EXPECT_EQ(nbd_error_of(Error{Code::kStaleEpoch}), 108u);
}

TEST(ErrorTable, AnswersForANumberThatIsNoCode) {
  EXPECT_EQ(errno_of(Error{static_cast<Code>(250)}), EIO);
  EXPECT_EQ(nbd_error_of(Error{static_cast<Code>(250)}), 5u);
}

}  // namespace
}  // namespace cleat::frontend
