// Port: what a frontend (FUSE, NBD, ublk) serves. engine::Volume is the one implementation, and
// test doubles (a memory device) the others.
//
// Threading: every method on the loop that owns the volume. Any number of operations at once; two
// that overlap are ordered by the volume, in the order of their calls (R6). Memory stays alive
// until completion.
// Errors: kStaleEpoch or kClosed once the volume is fenced or detached (a frontend answers EIO and
// the device is finished); kNoSpace; kIoError; kOutOfRange; kTimedOut when no member was reachable
// for the volume's configured time (R10).
#pragma once

#include <cstdint>

#include "common/buffer.h"
#include "common/result.h"
#include "common/units.h"
#include "io/task.h"

namespace cleat::engine {

enum class WriteFlags : uint8_t {
  kNone,
  kFua,  // on stable storage on every member when it completes
};

class BlockDevice {
 public:
  virtual ~BlockDevice() = default;
  virtual uint64_t size_bytes() const = 0;
  virtual io::Task<Result<void>> read(BlockRange range, MutableBuffer into) = 0;
  virtual io::Task<Result<void>> write(BlockRange range, ConstBuffer from, WriteFlags flags) = 0;
  // Discard and write-zeroes are one operation: the blocks read as zeros on every replica.
  virtual io::Task<Result<void>> zero(BlockRange range, WriteFlags flags) = 0;
  virtual io::Task<Result<void>> flush() = 0;
  // The answers to all changes inside this range that have ended are with whoever asked: nobody
  // will ask for one of them again, not even when this process is killed now.
  virtual void delivered(BlockRange /*range*/) {}
};

// Largest single operation a frontend may pass down.
inline constexpr uint32_t kIoBlocksMax = 1024;  // 4 MiB

}  // namespace cleat::engine
