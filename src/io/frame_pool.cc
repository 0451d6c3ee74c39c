#include "io/frame_pool.h"

#include <array>
#include <new>

namespace cleat::io {
namespace {

constexpr size_t kClassBytes = 64;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kClassCount = 1;  // no frame is pooled, so that the sanitizer sees their lives
#else
constexpr size_t kClassCount = 64;  // frames up to 4 KiB are pooled, larger ones are not
#endif

struct FreeFrame {
  FreeFrame* next;
};

struct FramePool {
  std::array<FreeFrame*, kClassCount> free{};
  ~FramePool() {
    for (FreeFrame*& head : free) {
      while (head != nullptr) {
        FreeFrame* next = head->next;
        ::operator delete(head);
        head = next;
      }
    }
  }
};

thread_local FramePool pool;

size_t class_of(size_t size) { return (size + kClassBytes - 1) / kClassBytes; }

}  // namespace

void* frame_allocate(size_t size) {
  size_t index = class_of(size);
  if (index >= kClassCount) return ::operator new(size);
  if (FreeFrame* frame = pool.free[index]; frame != nullptr) {
    pool.free[index] = frame->next;
    return frame;
  }
  return ::operator new(index * kClassBytes);
}

void frame_free(void* frame, size_t size) noexcept {
  size_t index = class_of(size);
  if (index >= kClassCount) {
    ::operator delete(frame);
    return;
  }
  auto* entry = static_cast<FreeFrame*>(frame);
  entry->next = pool.free[index];
  pool.free[index] = entry;
}

}  // namespace cleat::io
