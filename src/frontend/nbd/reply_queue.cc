#include "frontend/nbd/reply_queue.h"

#include <algorithm>

namespace cleat::nbd {

io::Task<void> ReplyQueue::run() {
  for (;;) {
    while (queue_.empty() && !is_closing_) co_await changed_.wait();
    if (queue_.empty()) co_return;
    batch_.swap(queue_);
    if (!has_failed_) {
      Result<void> result = co_await send_batch();
      if (!result) {
        has_failed_ = true;
        stream_.shutdown();
      }
    }
    for (const Reply& reply : batch_) sent_(reply);
    batch_.clear();
  }
}

io::Task<Result<void>> ReplyQueue::send_batch() {
  parts_.clear();
  for (const Reply& reply : batch_) {
    parts_.push_back(reply.header);
    if (reply.payload.length > 0) parts_.push_back(reply.payload.bytes());
    for (const Payload& payload : reply.more) parts_.push_back(payload.bytes());
  }
  std::span<const ConstBuffer> rest(parts_);
  while (!rest.empty()) {
    auto some = rest.first(std::min(rest.size(), kPartsMax));
    CO_TRY(co_await stream_.write_all(some));
    rest = rest.subspan(some.size());
  }
  co_return Result<void>{};
}

}  // namespace cleat::nbd
