#include "frontend/fuse/server.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/log.h"
#include "frontend/error_table.h"

namespace cleat::fuse {

using engine::WriteFlags;
using frontend::ByteRange;
using frontend::Pieces;
using io::PooledBuffer;
using io::Task;

Server::Server(io::EventLoop& loop, io::BufferPool& pool, RequestBuffers& buffers,
               frontend::AlignedDevice& device, io::FileDescriptor connection)
    : loop_(loop),
      pool_(pool),
      buffers_(buffers),
      device_(device),
      connection_(std::move(connection)),
      room_(loop) {}

Task<Result<void>> Server::run(Takeover takeover) {
  CO_TRY(never_wait());
  if (takeover == Takeover::kYes) {
    CO_TRY(ask_for_resend());
    is_taking_over_ = true;
    Result<void> taken = take_resent();
    is_taking_over_ = false;
    if (!taken) end(taken.error());
  }
  for (size_t i = 0; i < kReadsPosted; ++i) readers_.spawn(read_requests(i));
  co_await readers_.close();
  co_await serving_.close();
  co_return ending_;
}

Result<void> Server::never_wait() {
  const int flags = ::fcntl(connection_.get(), F_GETFL);
  if (flags >= 0 && ::fcntl(connection_.get(), F_SETFL, flags | O_NONBLOCK) >= 0) return {};
  return fail(Code::kIoError, "cannot read /dev/fuse without waiting", errno);
}

Result<void> Server::ask_for_resend() {
  fuse_out_header notification{sizeof notification, kNotifyResend, 0};
  if (::write(connection_.get(), &notification, sizeof notification) >= 0) return {};
  if (errno == EINVAL) {
    return fail(Code::kUnsupported, "this kernel can't resend FUSE requests: Linux 6.9 can");
  }
  return fail(Code::kClosed, "the FUSE connection is gone", errno);
}

Result<void> Server::take_resent() {
  RequestBuffer buffer;
  ssize_t bytes = 0;
  while (!is_stopping_) {
    if (buffer.empty()) buffer = buffers_.take();
    bytes = ::read(connection_.get(), buffer.data(), kRequestBytesMax);
    if (bytes > 0) {
      take(buffer, static_cast<size_t>(bytes));
    } else if (bytes == 0 || (errno != EINTR && errno != ENOENT)) {
      break;
    }
  }
  const int why = bytes < 0 ? errno : ENODEV;
  if (is_stopping_ || why == EAGAIN) return {};
  return fail(why == ENODEV ? Code::kClosed : Code::kIoError, "the FUSE connection is gone", why);
}

void Server::stop() {
  is_stopping_ = true;
  for (io::UringOperation* operation : reading_) {
    if (operation != nullptr) operation->cancel();
  }
  room_.notify_all();
}

void Server::end(Error error) {
  if (!has_ended_) ending_ = fail(error);
  has_ended_ = true;
  stop();
}

// ---- taking requests

Task<void> Server::read_requests(size_t index) {
  io::UringOperation operation(loop_);
  RequestBuffer buffer;
  while (!is_stopping_) {
    if (!may_read()) {
      co_await room_.wait();
      continue;
    }
    if (buffer.empty()) buffer = buffers_.take();
    io_uring_prep_read(&operation.sqe(), connection_.get(), buffer.data(), kRequestBytesMax, 0);
    reading_[index] = &operation;
    int result = co_await operation;
    reading_[index] = nullptr;
    if (result > 0) {
      take(buffer, static_cast<size_t>(result));
    } else if (result == -ENODEV || result == 0) {
      end(Error{Code::kClosed, 0, "the FUSE connection was unmounted or aborted"});
    } else if (result != -EINTR && result != -EAGAIN && result != -ENOENT && result != -ECANCELED) {
      end(Error{Code::kIoError, -result, "cannot read from /dev/fuse"});
    }
  }
}

void Server::take(RequestBuffer& buffer, size_t bytes) {
  Result<Request> request = parse_request({buffer.data(), bytes});
  if (!request) {
    end(request.error());
    return;
  }
  if (is_silent(*request)) return;
  switch (request->header.opcode) {
    case FUSE_READ: serving_.spawn(serve_read(*request)); return;
    case FUSE_WRITE: take_write(*request, buffer); return;
    case FUSE_FSYNC: serving_.spawn(serve_flush(*request)); return;
    case FUSE_FALLOCATE: {
      Result<FallocateRequest> fallocate = parse_fallocate(*request);
      if (fallocate) {
        serving_.spawn(serve_fallocate(*request, *fallocate));
      } else {
        serving_.spawn(serve_metadata(Answer(*request, frontend::errno_of(fallocate.error()))));
      }
      return;
    }
  }
  serving_.spawn(serve_metadata(answer_metadata(*request, device_.size_bytes())));
}

void Server::take_write(const Request& request, RequestBuffer& buffer) {
  Result<WriteRequest> write = parse_write(request);
  int error = 0;
  if (!write) {
    error = EINVAL;
  } else if (write->range.offset > device_.size_bytes() ||
             write->range.length > device_.size_bytes() - write->range.offset) {
    error = ENOSPC;
  }
  if (error != 0 || write->range.length == 0) {
    serving_.spawn(error != 0 ? serve_metadata(Answer(request, error))
                              : finish_write(request, write->range, {}));
    return;
  }
  // A resent write of any size is copied: the buffers of requests are few.
  if (write->range.is_aligned() && write->range.length > kCopyBytesMax && !is_taking_over_) {
    serving_.spawn(serve_large_write(request, write->range, std::move(buffer)));
    return;
  }
  PooledBuffer cover = pool_.take(write->range.cover().bytes());
  std::memcpy(cover.data() + write->range.skip(), write->data.data(), write->data.size());
  serving_.spawn(serve_write(request, write->range, std::move(cover)));
}

// ---- serving them

Task<void> Server::serve_metadata(Answer answer) { co_await send(answer.bytes(), {}); }

Task<void> Server::serve_read(Request request) {
  Result<fuse_read_in> in = request.as<fuse_read_in>();
  if (!in || in->size > kWriteBytesMax) {
    co_await finish(request, fail(Code::kInvalidArgument));
    co_return;
  }
  uint64_t size_bytes = device_.size_bytes();
  ByteRange range{in->offset, 0};
  if (range.offset < size_bytes)
    range.length = std::min<uint64_t>(in->size, size_bytes - range.offset);
  if (range.length == 0) {
    co_await finish(request, {});
    co_return;
  }
  PooledBuffer cover = pool_.take(range.cover().bytes());
  Result<void> result = co_await device_.read(range, cover.span());
  if (!result) {
    co_await finish(request, result);
    co_return;
  }
  fuse_out_header header{static_cast<uint32_t>(sizeof header + range.length), 0,
                         request.header.unique};
  co_await send(std::as_bytes(std::span(&header, 1)),
                cover.span().subspan(range.skip(), range.length));
}

Task<void> Server::serve_write(Request request, ByteRange range, PooledBuffer cover) {
  Result<void> result = co_await device_.write(range, cover.span(), WriteFlags::kNone);
  co_await finish_write(request, range, result);
}

Task<void> Server::serve_large_write(Request request, ByteRange range, RequestBuffer buffer) {
  ++buffers_held_;
  MutableBuffer data{buffer.data() + kWriteHeaderBytes, range.length};
  Result<void> result = co_await device_.write(range, data, WriteFlags::kNone);
  co_await finish_write(request, range, result);
  --buffers_held_;
}

Task<void> Server::serve_flush(Request request) {
  Result<void> result = co_await device_.flush();
  co_await finish(request, result);
}

Task<void> Server::serve_fallocate(Request request, FallocateRequest fallocate) {
  ByteRange range = fallocate.range;
  uint64_t size_bytes = device_.size_bytes();
  bool is_inside = range.offset <= size_bytes && range.length <= size_bytes - range.offset;
  if (!is_inside) {
    co_await finish(request, fail(Code::kNoSpace));
    co_return;
  }
  const Pieces pieces = is_taking_over_ ? Pieces::kAtOnce : Pieces::kInTurn;
  Task<Result<void>> operation = fallocate.is_discard
                                     ? device_.discard(range, WriteFlags::kNone, pieces)
                                     : device_.zero(range, WriteFlags::kNone, pieces);
  Result<void> result = co_await std::move(operation);
  co_await finish_change(request, range, result);
}

// ---- answering

Task<void> Server::finish_write(Request request, ByteRange range, Result<void> result) {
  if (!result) {
    co_await finish_change(request, range, result);
    co_return;
  }
  fuse_write_out out{};
  out.size = static_cast<uint32_t>(range.length);
  Answer answer(request, out);
  bool sent = co_await send(answer.bytes(), {});
  if (sent) device_.delivered(range);
}

Task<void> Server::finish_change(Request request, ByteRange range, Result<void> result) {
  bool sent = co_await finish(request, result);
  if (sent) device_.delivered(range);
}

Task<bool> Server::finish(Request request, Result<void> result) {
  if (leave_to_successor(result)) {
    room_.notify_all();
    co_return false;
  }
  Answer answer(request, result ? 0 : frontend::errno_of(result.error()));
  bool sent = co_await send(answer.bytes(), {});
  co_return sent;
}

bool Server::leave_to_successor(const Result<void>& result) const {
  if (result || !is_stopping_) return false;
  return result.error().code == Code::kClosed || result.error().code == Code::kCancelled;
}

Task<bool> Server::send(ConstBuffer header, ConstBuffer data) {
  std::array<iovec, 2> parts{{{const_cast<std::byte*>(header.data()), header.size()},
                              {const_cast<std::byte*>(data.data()), data.size()}}};
  io::UringOperation operation(loop_);
  io_uring_prep_writev(&operation.sqe(), connection_.get(), parts.data(), data.empty() ? 1 : 2, 0);
  int result = co_await operation;
  room_.notify_all();
  if (result >= 0) co_return true;
  // ENOENT: nobody waits for the answer any more. ENODEV: the readers see the end of the connection
  // too.
  if (result != -ENOENT && result != -ENODEV && result != -ECANCELED) {
    LOG_ERROR("FUSE: an answer was refused with errno {}", -result);
    end(Error{Code::kIoError, -result, "cannot write to /dev/fuse"});
  }
  co_return result == -ENOENT;
}

}  // namespace cleat::fuse
