// Port: one replica of a volume, as its primary calls it: in this process, or over the wire.
//
// Threading: the volume's loop. Memory passed in stays alive until the call returns, and is not
// touched afterwards, whatever the outcome.
// Errors: what the replica answered (kStaleEpoch, kNoSpace, kIoError, ...), kUnreachable when the
// connection is lost or can't be made, kTimedOut when no answer came in time.
#pragma once

#include <cstddef>
#include <vector>

#include "common/buffer.h"
#include "common/result.h"
#include "common/time.h"
#include "io/task.h"
#include "wire/messages.h"

namespace cleat::engine {

struct Answer {
  wire::Header header;
  std::vector<std::byte> payload;
};

class Member {
 public:
  virtual ~Member() = default;
  // For the data path. The reply's payload, if any, has exactly the size of `into`.
  virtual io::Task<Result<wire::Header>> call(const wire::Header& request, ConstBuffer payload,
                                              MutableBuffer into, Duration timeout) = 0;
  // For answers of unknown size.
  virtual io::Task<Result<Answer>> query(const wire::Header& request, ConstBuffer payload,
                                         Duration timeout) = 0;
  // Ends every call under way with kUnreachable (a member that makes no progress).
  virtual void give_up() = 0;
};

}  // namespace cleat::engine
