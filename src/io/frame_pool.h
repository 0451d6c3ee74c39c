// Memory of coroutine frames, kept in free lists by size so that the data path allocates nothing
// once it is warm. One pool a thread; a frame must be freed on the thread that made it (a volume
// lives on one loop for life).
#pragma once

#include <cstddef>

namespace cleat::io {

void* frame_allocate(size_t size);
void frame_free(void* frame, size_t size) noexcept;

}  // namespace cleat::io
