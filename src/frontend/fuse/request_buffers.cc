#include "frontend/fuse/request_buffers.h"

#include <sys/mman.h>

#include "common/check.h"

namespace cleat::fuse {

RequestBuffer::~RequestBuffer() {
  if (base_ != nullptr) owner_->give_back(base_);
}

RequestBuffers::~RequestBuffers() {
  CHECK(lent_count_ == 0, "every request buffer came back before its pool dies");
  for (std::byte* base : free_) ::munmap(base, kBytesEach);
}

RequestBuffer RequestBuffers::take() {
  ++lent_count_;
  if (!free_.empty()) {
    std::byte* base = free_.back();
    free_.pop_back();
    return {this, base};
  }
  void* base = ::mmap(nullptr, kBytesEach, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  CHECK(base != MAP_FAILED, "there is memory for a request");
  // Without the right to lock (RLIMIT_MEMLOCK) the pages are at least faulted in, and only swapping
  // or memory pressure at the moment of a kill can still hurt.
  static_cast<void>(::mlock(base, kBytesEach));
  return {this, static_cast<std::byte*>(base)};
}

void RequestBuffers::give_back(std::byte* base) {
  --lent_count_;
  if (free_.size() >= kKeptMax) {
    ::munmap(base, kBytesEach);
    return;
  }
  free_.push_back(base);
}

}  // namespace cleat::fuse
