// Memory for the data path: aligned for direct I/O, resident (pre-faulted and, where the limits
// allow, locked), taken and given back without allocation once the pool is warm.
//
// Size classes are the powers of two from 4 KiB to 4 MiB. Contents are not initialised.
//
// Threading: one loop. Ownership: the pool outlives every buffer taken from it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/buffer.h"

namespace cleat::io {

class BufferPool;

// A buffer on loan: goes back to its pool when it dies. Empty when default-made or moved from.
class PooledBuffer {
 public:
  PooledBuffer() = default;
  PooledBuffer(PooledBuffer&& other) noexcept;
  PooledBuffer& operator=(PooledBuffer&& other) noexcept;
  ~PooledBuffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  // What was asked for, not the size of the class.
  size_t size() const { return size_; }
  bool empty() const { return data_ == nullptr; }
  MutableBuffer span() { return {data_, size_}; }
  ConstBuffer span() const { return {data_, size_}; }

 private:
  friend class BufferPool;
  PooledBuffer(BufferPool* pool, std::byte* data, size_t size)
      : pool_(pool), data_(data), size_(size) {}
  void release();

  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

class BufferPool {
 public:
  static constexpr size_t kBytesMin = 4096;
  static constexpr size_t kBytesMax = size_t{4} << 20;
  static constexpr size_t kCachedBytesMaxDefault = size_t{32} << 20;

  // Free buffers beyond `cached_bytes_max` go back to the system.
  explicit BufferPool(size_t cached_bytes_max = kCachedBytesMaxDefault);
  BufferPool(const BufferPool&) = delete;
  ~BufferPool();

  // 1 to kBytesMax bytes; the caller bounds what comes from outside.
  PooledBuffer take(size_t bytes);

  size_t cached_bytes() const { return cached_bytes_; }
  size_t lent_bytes() const { return lent_bytes_; }  // by size of class

 private:
  friend class PooledBuffer;
  static constexpr size_t kClassCount = 11;
  struct FreeBuffer {
    FreeBuffer* next;
  };

  static size_t class_of(size_t bytes);
  void give_back(std::byte* data, size_t bytes);

  size_t cached_bytes_max_;
  size_t cached_bytes_ = 0;
  size_t lent_bytes_ = 0;
  std::array<FreeBuffer*, kClassCount> free_{};
};

}  // namespace cleat::io
