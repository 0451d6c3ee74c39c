// Address texts as the kernel wants them: "10.0.0.1:9470", "[::1]:9470",
// "unix:/run/cleat/nbd.sock". Numbers only: names are resolved elsewhere, never on a data thread.
#pragma once

#include <sys/socket.h>

#include <string>

#include "common/result.h"
#include "io/stream.h"

namespace cleat::io {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  bool is_unix() const { return storage.ss_family == AF_UNIX; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// kInvalidArgument.
Result<SocketAddress> parse_address(const Address& address);
// The text that parse_address() reads as this.
Address format_address(const SocketAddress& address);

}  // namespace cleat::io
