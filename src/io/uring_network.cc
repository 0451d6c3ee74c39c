#include "io/uring_network.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/check.h"

namespace cleat::io {
namespace {

constexpr int kBacklog = 128;
constexpr int kUserTimeoutMs = 10'000;
constexpr int kKeepAliveIdleSeconds = 5;
constexpr int kKeepAliveIntervalSeconds = 2;
constexpr int kKeepAliveProbes = 3;
constexpr Duration kListenRetryFor = 2s;
constexpr Duration kListenRetryEvery = 50ms;
constexpr Duration kPauseWithoutDescriptors = 100ms;

void set_option(int fd, int level, int name, int value) {
  // Tuning only: a socket without it still works.
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

void tune(int fd, bool is_unix) {
  if (is_unix) return;
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

tl::unexpected<Error> socket_failure(int number) {
  switch (number) {
    case ECANCELED: return fail(Code::kCancelled, "the loop is shutting down", number);
    case ETIMEDOUT: return fail(Code::kTimedOut, "no answer to the connection attempt", number);
    case EADDRINUSE:
      return fail(Code::kBusy, "the address is in use: is another process serving it?", number);
    case EADDRNOTAVAIL:
      return fail(Code::kUnreachable, "this machine does not have that address", number);
    case EACCES:
    case EPERM: return fail(Code::kPermission, "not allowed to use that address", number);
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return fail(Code::kLimit, "no descriptors or memory left: raise RLIMIT_NOFILE", number);
    default: return fail(Code::kUnreachable, "cannot connect", number);
  }
}

Result<FileDescriptor> make_socket(const SocketAddress& address) {
  FileDescriptor fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return socket_failure(errno);
  tune(fd.get(), address.is_unix());
  return fd;
}

const char* path_of(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr_un*>(&address.storage)->sun_path;
}

// True when the file is a socket that nobody accepts on: what a dead process left behind.
bool is_stale_socket(const SocketAddress& address) {
  struct stat status{};
  if (::lstat(path_of(address), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  // Never blocks: a full backlog is EAGAIN.
  FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return false;
  return ::connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED;
}

int bind_once(int fd, const SocketAddress& address) {
  if (::bind(fd, address.get(), address.size) == 0) return 0;
  if (errno != EADDRINUSE || !address.is_unix() || !is_stale_socket(address)) return errno;
  ::unlink(path_of(address));
  return ::bind(fd, address.get(), address.size) == 0 ? 0 : errno;
}

Result<FileDescriptor> listen_once(const SocketAddress& address) {
  TRY_ASSIGN(FileDescriptor fd, make_socket(address));
  if (!address.is_unix()) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  int number = bind_once(fd.get(), address);
  if (number == 0 && ::listen(fd.get(), kBacklog) != 0) number = errno;
  if (number == ENOENT)
    return fail(Code::kNotFound, "the directory of the unix socket is missing", number);
  if (number != 0) return socket_failure(number);
  return fd;
}

}  // namespace

// ---- listener -----------------------------------------------------------------------------------

UringListener::UringListener(EventLoop& loop, FileDescriptor fd, SocketAddress address,
                             bool unlink_at_close)
    : loop_(loop), fd_(std::move(fd)), address_(address), unlink_at_close_(unlink_at_close) {
  SocketAddress bound;
  bound.size = sizeof bound.storage;
  if (::getsockname(fd_.get(), bound.get(), &bound.size) == 0) address_ = bound;
}

UringListener::~UringListener() { close(); }

Task<Result<std::unique_ptr<Stream>>> UringListener::accept() {
  CHECK(accepting_ == nullptr, "one accept() of a listener at a time");
  UringOperation operation(loop_);
  int result = -EINTR;
  while (result == -EINTR || result == -EAGAIN || result == -ECONNABORTED) {
    if (closed_) co_return fail(Code::kClosed, "the listener was closed");
    io_uring_prep_accept(&operation.sqe(), fd_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    accepting_ = &operation;
    result = co_await operation;
    accepting_ = nullptr;
  }
  FileDescriptor fd(result);
  if (closed_) co_return fail(Code::kClosed, "the listener was closed");
  if (result < 0) {
    Error error = socket_failure(-result).value();
    // Whoever accepts in a loop must not spin while there are none.
    if (error.code == Code::kLimit) co_await loop_.sleep(kPauseWithoutDescriptors);
    co_return fail(error);
  }
  tune(fd.get(), address_.is_unix());
  std::unique_ptr<Stream> stream = std::make_unique<UringStream>(loop_, std::move(fd));
  co_return stream;
}

void UringListener::close() {
  if (closed_) return;
  closed_ = true;
  ::shutdown(fd_.get(), SHUT_RDWR);
  if (accepting_ != nullptr) accepting_->cancel();
  if (unlink_at_close_) ::unlink(path_of(address_));
}

// ---- network ------------------------------------------------------------------------------------

Task<Result<std::unique_ptr<Stream>>> UringNetwork::connect(Address to, Duration timeout) {
  CO_TRY_ASSIGN(SocketAddress address, parse_address(to));
  CO_TRY_ASSIGN(FileDescriptor fd, make_socket(address));
  UringOperation operation(loop_);
  io_uring_prep_connect(&operation.sqe(), fd.get(), address.get(), address.size);
  operation.set_timeout(timeout);
  int result = co_await operation;
  if (result == -ECANCELED && !loop_.is_shut_down()) result = -ETIMEDOUT;
  if (result < 0) co_return socket_failure(-result);
  std::unique_ptr<Stream> stream = std::make_unique<UringStream>(loop_, std::move(fd));
  co_return stream;
}

Task<Result<std::unique_ptr<Listener>>> UringNetwork::listen(Address at) {
  Task<Result<std::unique_ptr<UringListener>>> task = listen_at(std::move(at));
  Result<std::unique_ptr<UringListener>> listener = co_await std::move(task);
  if (!listener) co_return fail(listener.error());
  co_return std::unique_ptr<Listener>(std::move(*listener));
}

Task<Result<std::unique_ptr<UringListener>>> UringNetwork::listen_at(Address at) {
  CO_TRY_ASSIGN(SocketAddress address, parse_address(at));
  TimePoint give_up = loop_.now() + kListenRetryFor;
  Result<FileDescriptor> fd = listen_once(address);
  while (!fd && fd.error().code == Code::kBusy && loop_.now() < give_up) {
    co_await loop_.sleep(kListenRetryEvery);
    fd = listen_once(address);
  }
  if (!fd) co_return fail(fd.error());
  co_return std::make_unique<UringListener>(loop_, std::move(*fd), address, address.is_unix());
}

}  // namespace cleat::io
