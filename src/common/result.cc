#include "common/result.h"

#include <fmt/format.h>

#include <cstring>

namespace cleat {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return "invalid argument";
    case Code::kNotFound: return "not found";
    case Code::kAlreadyExists: return "already exists";
    case Code::kBusy: return "in use";
    case Code::kStaleEpoch: return "stale epoch";
    case Code::kNoSpace: return "no space";
    case Code::kIoError: return "I/O error";
    case Code::kCorrupt: return "corrupt";
    case Code::kUnsupported: return "unsupported";
    case Code::kUnreachable: return "unreachable";
    case Code::kTimedOut: return "timed out";
    case Code::kConflict: return "conflict";
    case Code::kNotInSync: return "not in sync";
    case Code::kPermission: return "permission denied";
    case Code::kLimit: return "limit reached";
    case Code::kCancelled: return "cancelled";
    case Code::kClosed: return "closed";
    case Code::kOutOfRange: return "out of range";
  }
  return "unknown error";
}

std::string to_string(const Error& error) {
  std::string text{to_string(error.code)};
  if (error.what != nullptr && *error.what != '\0') text += fmt::format(": {}", error.what);
  if (error.sys_errno != 0) {
    text += fmt::format(" (errno {}: {})", error.sys_errno, ::strerrordesc_np(error.sys_errno));
  }
  return text;
}

}  // namespace cleat
