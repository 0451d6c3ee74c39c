// Replies of one connection on their way out: whatever gathered while the last batch was being sent
// goes with the next one, in one write.
//
// Threading: one loop. Ownership: borrows executor and stream.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "frontend/nbd/protocol.h"
#include "io/buffer_pool.h"
#include "io/stream.h"
#include "io/sync.h"

namespace cleat::nbd {

// What a READ gives back, and where in the buffers its bytes lie.
struct Payload {
  io::PooledBuffer buffer;
  size_t skip = 0;
  size_t length = 0;

  ConstBuffer bytes() const { return buffer.span().subspan(skip, length); }
};

struct Reply {
  std::array<std::byte, kSimpleReplyBytes> header;
  Payload payload;
  std::vector<Payload> more;   // of a READ larger than one buffer
  uint64_t charged_bytes = 0;  // what the request holds of the connection's budget
};

class ReplyQueue {
 public:
  // `sent` is called for every reply, sent or dropped; its buffers are free then.
  ReplyQueue(io::Executor& executor, io::Stream& stream, std::function<void(const Reply&)> sent)
      : stream_(stream), changed_(executor), sent_(std::move(sent)) {}

  void push(Reply reply) {
    queue_.push_back(std::move(reply));
    changed_.notify_one();
  }
  // run() ends once the queue is empty.
  void close() {
    is_closing_ = true;
    changed_.notify_one();
  }
  // Sends until close(). When the stream fails it is shut down, and replies are dropped from then
  // on.
  io::Task<void> run();

 private:
  static constexpr size_t kPartsMax = 64;  // of Stream::write_all

  io::Task<Result<void>> send_batch();

  io::Stream& stream_;
  io::WaitQueue changed_;
  std::function<void(const Reply&)> sent_;
  bool is_closing_ = false;
  bool has_failed_ = false;
  std::vector<Reply> queue_;
  std::vector<Reply> batch_;
  std::vector<ConstBuffer> parts_;
};

}  // namespace cleat::nbd
