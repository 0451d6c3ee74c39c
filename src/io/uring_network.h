// Network over TCP and unix sockets, by io_uring. See io/stream.h for the contracts.
//
// TCP: no delay, keep-alive, and a user timeout: a peer that does not acknowledge data for 10 s is
// gone even if nobody above asked. A process that is only stopped still acknowledges: slow is not
// dead. A unix socket's stale file is replaced when nobody answers on it.
//
// Threading: the loop's thread. Ownership: borrows the loop, which outlives all that is made here.
#pragma once

#include <memory>

#include "io/event_loop.h"
#include "io/file_descriptor.h"
#include "io/socket_address.h"
#include "io/stream.h"

namespace cleat::io {

class UringStream final : public Stream {
 public:
  static constexpr size_t kPartsMax = 64;

  // Takes a connected stream socket in blocking mode (io_uring then waits for it by itself).
  UringStream(EventLoop& loop, FileDescriptor fd) : loop_(loop), fd_(std::move(fd)) {}

  Task<Result<size_t>> read_some(MutableBuffer into) override;
  Task<Result<void>> write_all(std::span<const ConstBuffer> parts) override;
  void shutdown() override;

 private:
  Result<void> failure(int negative_errno) const;
  Task<Result<void>> write_one(ConstBuffer part);
  Task<Result<void>> write_parts(std::span<const ConstBuffer> parts);

  EventLoop& loop_;
  FileDescriptor fd_;
  bool shut_down_ = false;
  bool poll_first_ = false;  // the last read emptied the socket, so the next will have to wait
};

class UringListener final : public Listener {
 public:
  UringListener(EventLoop& loop, FileDescriptor fd, SocketAddress address, bool unlink_at_close);
  ~UringListener() override;

  // kLimit, after a pause, when there are no descriptors left.
  Task<Result<std::unique_ptr<Stream>>> accept() override;
  // Removes the file of a unix socket.
  void close() override;

  // With the port that the kernel chose, where port 0 was asked for.
  Address address() const { return format_address(address_); }

 private:
  EventLoop& loop_;
  FileDescriptor fd_;
  SocketAddress address_;
  bool unlink_at_close_;
  bool closed_ = false;
  UringOperation* accepting_ = nullptr;
};

class UringNetwork final : public Network {
 public:
  explicit UringNetwork(EventLoop& loop) : loop_(loop) {}

  // Also kInvalidArgument for a text that is no address, kPermission, kLimit.
  Task<Result<std::unique_ptr<Stream>>> connect(Address to, Duration timeout) override;
  Task<Result<std::unique_ptr<Listener>>> listen(Address at) override;
  // The same, as the concrete type.
  Task<Result<std::unique_ptr<UringListener>>> listen_at(Address at);

 private:
  EventLoop& loop_;
};

}  // namespace cleat::io
