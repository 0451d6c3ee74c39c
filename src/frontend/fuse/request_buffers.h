// Memory that /dev/fuse is read into: one largest request each, so laid out that a WRITE's data
// begin on a page, and resident: the kernel fails a request with EIO when the server is killed
// while it copies to or from a page that is not there.
//
// Threading: one loop; servers of all volumes on it share one. Ownership: outlives what it lends.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "common/buffer.h"
#include "frontend/fuse/protocol.h"

namespace cleat::fuse {

class RequestBuffers;

class RequestBuffer {
 public:
  RequestBuffer() = default;
  RequestBuffer(RequestBuffer&& other) noexcept
      : owner_(other.owner_), base_(std::exchange(other.base_, nullptr)) {}
  RequestBuffer& operator=(RequestBuffer&& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(base_, other.base_);
    return *this;
  }
  ~RequestBuffer();

  bool empty() const { return base_ == nullptr; }
  // Room for kRequestBytesMax bytes; byte kWriteHeaderBytes of it is aligned to kBufferAlignment.
  std::byte* data() { return base_ + kBufferAlignment - kWriteHeaderBytes; }

 private:
  friend class RequestBuffers;
  RequestBuffer(RequestBuffers* owner, std::byte* base) : owner_(owner), base_(base) {}

  RequestBuffers* owner_ = nullptr;
  std::byte* base_ = nullptr;
};

class RequestBuffers {
 public:
  static constexpr size_t kBytesEach = kBufferAlignment + kWriteBytesMax;
  static constexpr size_t kKeptMax = 16;  // free ones beyond this go back to the system

  RequestBuffers() = default;
  RequestBuffers(const RequestBuffers&) = delete;
  ~RequestBuffers();

  RequestBuffer take();

 private:
  friend class RequestBuffer;
  void give_back(std::byte* base);

  std::vector<std::byte*> free_;
  size_t lent_count_ = 0;
};

}  // namespace cleat::fuse
