// Bytes of a stream that came but were not taken yet: read in large pieces, taken in small ones.
// What is larger than the buffer goes past it, straight to where it is wanted.
//
// Threading: one loop, one caller at a time. Ownership: borrows the stream.
#pragma once

#include "io/buffer_pool.h"
#include "io/stream.h"

namespace cleat::nbd {

class ReceiveBuffer {
 public:
  static constexpr size_t kBytes = 64 * 1024;

  ReceiveBuffer(io::BufferPool& pool, io::Stream& stream)
      : stream_(stream), memory_(pool.take(kBytes)) {}

  ConstBuffer bytes() const { return memory_.span().subspan(begin_, end_ - begin_); }
  void take(size_t count) { begin_ += count; }

  // Until at least `count` bytes (up to kBytes) are there. Errors: the stream's.
  io::Task<Result<void>> fill(size_t count);
  // Moves exactly into.size() bytes out.
  io::Task<Result<void>> copy_to(MutableBuffer into);
  io::Task<Result<void>> drop(uint64_t count);

 private:
  io::Stream& stream_;
  io::PooledBuffer memory_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace cleat::nbd
