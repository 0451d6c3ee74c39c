// What the kernel asks about the tree of one volume: a root directory with one file, `disk`. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "frontend/fuse/request.h"

namespace cleat::fuse {

// The bytes of one answer, header included.
class Answer {
 public:
  // An answer without data; `error` is 0 or a positive errno value.
  Answer(const Request& request, int error);
  template <class T>
  Answer(const Request& request, const T& body) : Answer(request, 0) {
    static_assert(sizeof(fuse_out_header) + sizeof(T) <= kBytesMax);
    std::memcpy(bytes_.data() + size_, &body, sizeof body);
    grow(sizeof body);
  }

  ConstBuffer bytes() const { return {bytes_.data(), size_}; }
  // Room for data that are added one after another; empty when there is none.
  MutableBuffer rest() { return MutableBuffer(bytes_).subspan(size_); }
  void grow(size_t bytes);

 private:
  static constexpr size_t kBytesMax = 256;
  alignas(8) std::array<std::byte, kBytesMax> bytes_{};
  size_t size_ = sizeof(fuse_out_header);
};

// True for a request that gets no answer at all.
bool is_silent(const Request& request);

// The answer to any request that moves no data. `size_bytes` is the volume's size now.
Answer answer_metadata(const Request& request, uint64_t size_bytes);

}  // namespace cleat::fuse
