// Port: one file or block device, addressed by byte. Offsets, lengths and memory are multiples of
// 4096 (direct I/O). The simulator's disk loses, tears and fails; io/uring_disk.h is the real one.
//
// Threading: every method on the owning loop. Any number of operations run at once; two that
// overlap have no order. Memory stays alive until completion.
#pragma once

#include <cstdint>

#include "common/buffer.h"
#include "common/result.h"
#include "io/task.h"

namespace cleat::io {

enum class WriteMode : uint8_t {
  kCached,   // complete when the device has it; survives power loss only after flush()
  kDurable,  // on stable storage when it completes; says nothing about other writes
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual uint64_t size_bytes() const = 0;
  // kIoError, kOutOfRange.
  virtual Task<Result<void>> read(uint64_t offset, MutableBuffer into) = 0;
  virtual Task<Result<void>> write(uint64_t offset, ConstBuffer from, WriteMode mode) = 0;
  // Writes that completed before this was called survive power loss once it completes.
  // After an error nothing is known about them (a failed flush is never retried as if it had been
  // none).
  virtual Task<Result<void>> flush() = 0;
  // Makes a file larger; the new part is allocated and reads as zeros, and no later write to it
  // meets an unwritten filesystem extent. kUnsupported on a block device, kNoSpace when the
  // filesystem is full.
  virtual Task<Result<void>> grow(uint64_t new_size_bytes) = 0;
};

}  // namespace cleat::io
