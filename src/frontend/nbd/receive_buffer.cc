#include "frontend/nbd/receive_buffer.h"

#include <algorithm>
#include <cstring>

namespace cleat::nbd {

io::Task<Result<void>> ReceiveBuffer::fill(size_t count) {
  CHECK(count <= kBytes, "the buffer holds what is asked for");
  while (end_ - begin_ < count) {
    if (begin_ == end_) {
      begin_ = end_ = 0;
    } else if (begin_ + count > kBytes) {
      std::memmove(memory_.data(), memory_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    MutableBuffer free = memory_.span().subspan(end_);
    CO_TRY_ASSIGN(size_t got, co_await stream_.read_some(free));
    end_ += got;
  }
  co_return Result<void>{};
}

io::Task<Result<void>> ReceiveBuffer::copy_to(MutableBuffer into) {
  size_t here = std::min(into.size(), end_ - begin_);
  std::memcpy(into.data(), memory_.data() + begin_, here);
  begin_ += here;
  into = into.subspan(here);
  while (!into.empty()) {
    // The end of a small payload comes with the next requests; a large one is not copied twice.
    if (into.size() < kBytes / 2) {
      CO_TRY(co_await fill(into.size()));
      std::memcpy(into.data(), memory_.data() + begin_, into.size());
      begin_ += into.size();
      break;
    }
    CO_TRY_ASSIGN(size_t got, co_await stream_.read_some(into));
    into = into.subspan(got);
  }
  co_return Result<void>{};
}

io::Task<Result<void>> ReceiveBuffer::drop(uint64_t count) {
  while (count > 0) {
    if (begin_ == end_) CO_TRY(co_await fill(1));
    size_t here = static_cast<size_t>(std::min<uint64_t>(count, end_ - begin_));
    begin_ += here;
    count -= here;
  }
  co_return Result<void>{};
}

}  // namespace cleat::nbd
