// What pooled memory tells the address sanitizer, so that use after give-back is found in spite of
// the pool. Nothing in other builds.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace cleat::io {

#if defined(__SANITIZE_ADDRESS__)
inline void poison(void* memory, size_t size) { ASAN_POISON_MEMORY_REGION(memory, size); }
inline void unpoison(void* memory, size_t size) { ASAN_UNPOISON_MEMORY_REGION(memory, size); }
#else
inline void poison(void*, size_t) {}
inline void unpoison(void*, size_t) {}
#endif

}  // namespace cleat::io
