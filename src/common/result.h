// How an operation fails. Four kinds of failure are kept apart in this tree:
//   an operation fails              -> Result<T>
//   an invariant of ours is broken  -> CHECK (common/check.h), aborts
//   bad bytes from disk, wire, user -> Result<T>
//   cancelled                       -> Result<T> with Code::kCancelled
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>

namespace cleat {

enum class Code : uint8_t {
  kInvalidArgument = 1,  // the caller's values are wrong whatever the state
  kNotFound,
  kAlreadyExists,
  kBusy,         // in use: attached, locked, has clones
  kStaleEpoch,   // fenced: a higher epoch is known
  kNoSpace,      // the pool has no free extent
  kIoError,      // the device failed; sys_errno says how
  kCorrupt,      // bytes from disk or wire that fail their check
  kUnsupported,  // unknown version, type or feature
  kUnreachable,  // no connection, or it was lost before the answer
  kTimedOut,
  kConflict,    // a compare-and-set lost
  kNotInSync,   // the replica is not a member of the in-sync set
  kPermission,  // authentication or authorization failed
  kLimit,       // a named limit of ours is reached
  kCancelled,
  kClosed,      // end of stream, or the thing was shut down
  kOutOfRange,  // beyond the end of a volume or a device
};

// Small and trivially copyable: made on the data path without allocation. `what` is a string
// literal.
struct Error {
  Code code;
  int32_t sys_errno = 0;
  const char* what = "";
};
static_assert(std::is_trivially_copyable_v<Error>);

template <class T = void>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Code code, const char* what = "", int32_t sys_errno = 0) {
  return tl::unexpected<Error>(Error{code, sys_errno, what});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(error); }

// A stable lower-case name such as "stale epoch".
std::string_view to_string(Code code);
// "stale epoch: fence refused (errno 5: Input/output error)".
std::string to_string(const Error& error);

}  // namespace cleat

#define CLEAT_CONCAT_INNER(a, b) a##b
#define CLEAT_CONCAT(a, b) CLEAT_CONCAT_INNER(a, b)

// TRY(expression) returns the error to the caller; TRY_ASSIGN(declaration, expression) also takes
// the value. CO_TRY and CO_TRY_ASSIGN are the same inside a coroutine; the awaited task is its own
// statement.
#define TRY(...)                                                                  \
  do {                                                                            \
    auto try_result = (__VA_ARGS__);                                              \
    if (!try_result) return ::tl::unexpected<::cleat::Error>(try_result.error()); \
  } while (false)
#define TRY_ASSIGN(declaration, ...)                                                     \
  auto CLEAT_CONCAT(try_value_, __LINE__) = (__VA_ARGS__);                               \
  if (!CLEAT_CONCAT(try_value_, __LINE__))                                               \
    return ::tl::unexpected<::cleat::Error>(CLEAT_CONCAT(try_value_, __LINE__).error()); \
  declaration = std::move(*CLEAT_CONCAT(try_value_, __LINE__))
#define CO_TRY(...)                                                                  \
  do {                                                                               \
    auto try_result = (__VA_ARGS__);                                                 \
    if (!try_result) co_return ::tl::unexpected<::cleat::Error>(try_result.error()); \
  } while (false)
#define CO_TRY_ASSIGN(declaration, ...)                                                     \
  auto CLEAT_CONCAT(try_value_, __LINE__) = (__VA_ARGS__);                                  \
  if (!CLEAT_CONCAT(try_value_, __LINE__))                                                  \
    co_return ::tl::unexpected<::cleat::Error>(CLEAT_CONCAT(try_value_, __LINE__).error()); \
  declaration = std::move(*CLEAT_CONCAT(try_value_, __LINE__))
