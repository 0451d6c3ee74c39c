#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/check.h"
#include "io/uring_network.h"

namespace cleat::io {
namespace {

constexpr size_t kTransferBytesMax = size_t{1} << 30;

bool should_retry(int result) { return result == -EINTR || result == -EAGAIN; }

// Drops the first `bytes` of parts[first...]; gives the index of the first part that has bytes
// left.
size_t advance(std::span<iovec> parts, size_t first, size_t bytes) {
  while (first < parts.size() && bytes >= parts[first].iov_len) bytes -= parts[first++].iov_len;
  if (first < parts.size()) {
    parts[first].iov_base = static_cast<std::byte*>(parts[first].iov_base) + bytes;
    parts[first].iov_len -= bytes;
  }
  return first;
}

}  // namespace

Result<void> UringStream::failure(int negative_errno) const {
  if (shut_down_) return fail(Code::kClosed, "the stream was shut down");
  if (negative_errno == -ECANCELED) return fail(Code::kCancelled, "the loop is shutting down");
  return fail(Code::kUnreachable, "the connection was lost", -negative_errno);
}

Task<Result<size_t>> UringStream::read_some(MutableBuffer into) {
  CHECK(!into.empty(), "a read has room for at least 1 byte");
  UringOperation operation(loop_);
  int result = -EINTR;
  while (should_retry(result)) {
    if (shut_down_) co_return fail(Code::kClosed, "the stream was shut down");
    io_uring_prep_recv(&operation.sqe(), fd_.get(), into.data(),
                       std::min(into.size(), kTransferBytesMax), 0);
    if (poll_first_) operation.sqe().ioprio |= IORING_RECVSEND_POLL_FIRST;
    result = co_await operation;
  }
  if (result == 0) co_return fail(Code::kClosed, "the peer closed the connection");
  if (result < 0) co_return fail(failure(result).error());
  poll_first_ = (operation.completion_flags() & IORING_CQE_F_SOCK_NONEMPTY) == 0;
  co_return static_cast<size_t>(result);
}

Task<Result<void>> UringStream::write_all(std::span<const ConstBuffer> parts) {
  CHECK(parts.size() <= kPartsMax, "a write has at most 64 parts");
  if (parts.size() == 1) {
    Result<void> result = co_await write_one(parts[0]);
    co_return result;
  }
  Result<void> result = co_await write_parts(parts);
  co_return result;
}

Task<Result<void>> UringStream::write_one(ConstBuffer part) {
  UringOperation operation(loop_);
  while (!part.empty()) {
    if (shut_down_) co_return fail(Code::kClosed, "the stream was shut down");
    io_uring_prep_send(&operation.sqe(), fd_.get(), part.data(),
                       std::min(part.size(), kTransferBytesMax), MSG_NOSIGNAL | MSG_WAITALL);
    int result = co_await operation;
    if (should_retry(result)) continue;
    if (result < 0) co_return failure(result);
    part = part.subspan(static_cast<size_t>(result));
  }
  co_return Result<void>{};
}

Task<Result<void>> UringStream::write_parts(std::span<const ConstBuffer> parts) {
  std::array<iovec, kPartsMax> vectors;
  for (size_t i = 0; i < parts.size(); ++i) {
    vectors[i] = {const_cast<std::byte*>(parts[i].data()), parts[i].size()};
  }
  std::span<iovec> all(vectors.data(), parts.size());
  UringOperation operation(loop_);
  for (size_t first = advance(all, 0, 0); first < all.size();) {
    if (shut_down_) co_return fail(Code::kClosed, "the stream was shut down");
    msghdr message{};
    message.msg_iov = &all[first];
    message.msg_iovlen = all.size() - first;
    io_uring_prep_sendmsg(&operation.sqe(), fd_.get(), &message, MSG_NOSIGNAL | MSG_WAITALL);
    int result = co_await operation;
    if (should_retry(result)) continue;
    if (result < 0) co_return failure(result);
    first = advance(all, first, static_cast<size_t>(result));
  }
  co_return Result<void>{};
}

void UringStream::shutdown() {
  if (shut_down_) return;
  shut_down_ = true;
  // Wakes what waits in the kernel: a receive ends with 0 bytes, a send with EPIPE.
  ::shutdown(fd_.get(), SHUT_RDWR);
}

}  // namespace cleat::io
