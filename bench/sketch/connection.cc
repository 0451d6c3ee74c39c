#include "bench/sketch/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cleat::sketch {
namespace {

constexpr size_t kVectorsMax = 512;

}  // namespace

Connection::Connection(Ring& ring, int fd, Handler handler)
    : ring_(ring), fd_(fd), handler_(std::move(handler)) {
  receive_.done = [this](int result) { received(result); };
  send_.done = [this](int result) { sent(result); };
  ring_.before_wait([this] { flush(); });
  receive();
}

// The rest of a payload goes straight to its place; everything else through the input buffer.
void Connection::receive() {
  io_uring_sqe* sqe = ring_.entry();
  if (payload_missing_ > 0) {
    io_uring_prep_recv(sqe, fd_, payload_, payload_missing_, 0);
  } else {
    if (in_begin_ > 0) std::memmove(in_.data(), in_.data() + in_begin_, in_end_ - in_begin_);
    in_end_ -= in_begin_;
    in_begin_ = 0;
    io_uring_prep_recv(sqe, fd_, in_.data() + in_end_, in_.size() - in_end_, 0);
  }
  if (poll_first_) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  Ring::start(sqe, receive_);
}

void Connection::received(int result) {
  if (result == -EINTR || result == -EAGAIN) return receive();
  if (result <= 0) return close();
  poll_first_ = (receive_.flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
  auto bytes = static_cast<size_t>(result);
  if (payload_missing_ > 0) {
    payload_ += bytes;
    payload_missing_ -= bytes;
  } else {
    in_end_ += bytes;
  }
  parse();
  if (!closed_) receive();
}

void Connection::parse() {
  for (;;) {
    if (in_frame_) {
      size_t bytes = std::min(payload_missing_, in_end_ - in_begin_);
      std::memcpy(payload_, in_.data() + in_begin_, bytes);
      payload_ += bytes;
      payload_missing_ -= bytes;
      in_begin_ += bytes;
      if (payload_missing_ > 0) return;
      in_frame_ = false;
      handler_.end();
    }
    if (in_end_ - in_begin_ < handler_.header_bytes) return;
    if (!begin_frame(in_.data() + in_begin_)) return close();
    in_begin_ += handler_.header_bytes;
  }
}

bool Connection::begin_frame(const std::byte* bytes) {
  Header header{};
  std::memcpy(header.data(), bytes, handler_.header_bytes);
  Handler::Payload payload = handler_.begin(header);
  if (payload.memory == nullptr) return false;
  payload_ = payload.memory;
  payload_missing_ = payload.bytes;
  in_frame_ = true;
  return true;
}

void Connection::send(const void* header, size_t header_bytes, const std::byte* payload,
                      size_t payload_bytes, std::function<void()>* sent) {
  Frame& frame = queued_.emplace_back();
  std::memcpy(frame.header.data(), header, header_bytes);
  frame.header_bytes = header_bytes;
  frame.payload = payload;
  frame.payload_bytes = payload_bytes;
  frame.sent = sent;
}

void Connection::flush() {
  if (closed_ || !sending_.empty() || queued_.empty()) return;
  size_t count = std::min(queued_.size(), kVectorsMax / 2);
  sending_.assign(queued_.begin(), queued_.begin() + static_cast<ptrdiff_t>(count));
  queued_.erase(queued_.begin(), queued_.begin() + static_cast<ptrdiff_t>(count));
  vectors_.clear();
  vector_first_ = 0;
  for (Frame& frame : sending_) {
    vectors_.push_back({frame.header.data(), frame.header_bytes});
    if (frame.payload_bytes > 0) {
      vectors_.push_back({const_cast<std::byte*>(frame.payload), frame.payload_bytes});
    }
  }
  send_more();
}

void Connection::send_more() {
  message_ = {};
  message_.msg_iov = &vectors_[vector_first_];
  message_.msg_iovlen = vectors_.size() - vector_first_;
  io_uring_sqe* sqe = ring_.entry();
  io_uring_prep_sendmsg(sqe, fd_, &message_, MSG_NOSIGNAL | MSG_WAITALL);
  Ring::start(sqe, send_);
}

void Connection::sent(int result) {
  if (closed_) return;
  if (result < 0 && result != -EINTR && result != -EAGAIN) return close();
  auto bytes = static_cast<size_t>(std::max(result, 0));
  while (vector_first_ < vectors_.size() && bytes >= vectors_[vector_first_].iov_len) {
    bytes -= vectors_[vector_first_++].iov_len;
  }
  if (vector_first_ < vectors_.size()) {
    iovec& partial = vectors_[vector_first_];
    partial.iov_base = static_cast<std::byte*>(partial.iov_base) + bytes;
    partial.iov_len -= bytes;
    return send_more();
  }
  for (Frame& frame : sending_) {
    if (frame.sent != nullptr) (*frame.sent)();
  }
  sending_.clear();
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  ::shutdown(fd_, SHUT_RDWR);
  handler_.closed();
}

}  // namespace cleat::sketch
