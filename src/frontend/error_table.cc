#include "frontend/error_table.h"

#include <cerrno>

namespace cleat::frontend {
namespace {

constexpr uint32_t kNbdPermission = 1;
constexpr uint32_t kNbdIo = 5;
constexpr uint32_t kNbdNoMemory = 12;
constexpr uint32_t kNbdInvalid = 22;
constexpr uint32_t kNbdNoSpace = 28;
constexpr uint32_t kNbdUnsupported = 95;
constexpr uint32_t kNbdShutdown = 108;

struct Row {
  int errno_value;
  uint32_t nbd_value;
};

// No default: the compiler names a Code that has no row. Numbers outside the enum become EIO.
// A fenced, closed or unreachable volume is EIO for whoever does I/O on it: filesystems know no
// better.
Row row_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return {EINVAL, kNbdInvalid};
    case Code::kNotFound: return {ENOENT, kNbdInvalid};
    case Code::kAlreadyExists: return {EEXIST, kNbdInvalid};
    case Code::kBusy: return {EBUSY, kNbdIo};
    case Code::kStaleEpoch: return {EIO, kNbdShutdown};
    case Code::kNoSpace: return {ENOSPC, kNbdNoSpace};
    case Code::kIoError: return {EIO, kNbdIo};
    case Code::kCorrupt: return {EIO, kNbdIo};
    case Code::kUnsupported: return {EOPNOTSUPP, kNbdUnsupported};
    case Code::kUnreachable: return {EIO, kNbdIo};
    case Code::kTimedOut: return {EIO, kNbdIo};
    case Code::kConflict: return {EIO, kNbdIo};
    case Code::kNotInSync: return {EIO, kNbdIo};
    case Code::kPermission: return {EPERM, kNbdPermission};
    case Code::kLimit: return {ENOMEM, kNbdNoMemory};
    case Code::kCancelled: return {EIO, kNbdShutdown};
    case Code::kClosed: return {EIO, kNbdShutdown};
    case Code::kOutOfRange: return {EINVAL, kNbdInvalid};
  }
  return {EIO, kNbdIo};
}

}  // namespace

int errno_of(const Error& error) { return row_of(error.code).errno_value; }

uint32_t nbd_error_of(const Error& error) { return row_of(error.code).nbd_value; }

}  // namespace cleat::frontend
