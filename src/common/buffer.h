// Views of memory, and memory fit for direct I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace cleat {

using ConstBuffer = std::span<const std::byte>;
using MutableBuffer = std::span<std::byte>;

inline constexpr size_t kBufferAlignment = 4096;

// Memory aligned for O_DIRECT. Contents are not initialised.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size)
      : data_(static_cast<std::byte*>(::operator new(size, std::align_val_t{kBufferAlignment}))),
        size_(size) {}

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }
  MutableBuffer span() { return {data_.get(), size_}; }
  ConstBuffer span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* p) const {
      ::operator delete(p, std::align_val_t{kBufferAlignment});
    }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

}  // namespace cleat
