#include "io/buffer_pool.h"

#include <sys/mman.h>

#include <bit>
#include <new>
#include <utility>

#include "common/check.h"
#include "io/sanitizer.h"

namespace cleat::io {
namespace {

// Locking is best effort: without the right (RLIMIT_MEMLOCK) the pages are at least faulted in.
std::byte* map_resident(size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  CHECK(memory != MAP_FAILED, "there is address space and memory for data buffers");
  static_cast<void>(::mlock(memory, bytes));
  return static_cast<std::byte*>(memory);
}

}  // namespace

PooledBuffer::PooledBuffer(PooledBuffer&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

PooledBuffer& PooledBuffer::operator=(PooledBuffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  pool_ = std::exchange(other.pool_, nullptr);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

PooledBuffer::~PooledBuffer() { release(); }

void PooledBuffer::release() {
  if (data_ != nullptr) pool_->give_back(data_, size_);
}

BufferPool::BufferPool(size_t cached_bytes_max) : cached_bytes_max_(cached_bytes_max) {}

BufferPool::~BufferPool() {
  CHECK(lent_bytes_ == 0, "every buffer came back before its pool dies");
  for (size_t i = 0; i < kClassCount; ++i) {
    while (free_[i] != nullptr) {
      FreeBuffer* buffer = free_[i];
      free_[i] = buffer->next;
      unpoison(buffer, kBytesMin << i);
      ::munmap(buffer, kBytesMin << i);
    }
  }
}

size_t BufferPool::class_of(size_t bytes) {
  return static_cast<size_t>(std::bit_width((bytes - 1) / kBytesMin));
}

PooledBuffer BufferPool::take(size_t bytes) {
  CHECK(bytes > 0 && bytes <= kBytesMax, "a pooled buffer has 1 byte to 4 MiB");
  size_t index = class_of(bytes);
  size_t class_bytes = kBytesMin << index;
  lent_bytes_ += class_bytes;
  FreeBuffer* buffer = free_[index];
  if (buffer == nullptr) return {this, map_resident(class_bytes), bytes};
  free_[index] = buffer->next;
  cached_bytes_ -= class_bytes;
  unpoison(buffer, class_bytes);
  return {this, reinterpret_cast<std::byte*>(buffer), bytes};
}

void BufferPool::give_back(std::byte* data, size_t bytes) {
  size_t index = class_of(bytes);
  size_t class_bytes = kBytesMin << index;
  lent_bytes_ -= class_bytes;
  if (cached_bytes_ + class_bytes > cached_bytes_max_) {
    ::munmap(data, class_bytes);
    return;
  }
  auto* buffer = new (data) FreeBuffer{free_[index]};
  free_[index] = buffer;
  cached_bytes_ += class_bytes;
  poison(data + sizeof(FreeBuffer), class_bytes - sizeof(FreeBuffer));
}

}  // namespace cleat::io
