// Ports: byte streams between nodes. One reader and one writer at a time on a stream.
// The simulator's network delays, drops connections and cuts links; io/uring_network.h is the real
// one (TCP with TCP_NODELAY, and unix sockets).
//
// Threading: every method on the owning loop. Ownership: closing is by destruction, after no
// operation is pending; shutdown() ends pending ones.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/buffer.h"
#include "common/result.h"
#include "common/time.h"
#include "io/task.h"

namespace cleat::io {

class Stream {
 public:
  virtual ~Stream() = default;
  // At least 1 byte. kClosed at the end of the stream and after shutdown(); kUnreachable when
  // reset.
  virtual Task<Result<size_t>> read_some(MutableBuffer into) = 0;
  // All of the parts (at most 64), in order. kUnreachable when reset, kClosed after shutdown().
  virtual Task<Result<void>> write_all(std::span<const ConstBuffer> parts) = 0;
  // Ends both directions and every pending operation. May be called any number of times.
  virtual void shutdown() = 0;
};

// "10.0.0.1:9470", "[::1]:9470" or "unix:/run/cleat/nbd.sock".
struct Address {
  std::string text;
  bool operator==(const Address&) const = default;
};

class Listener {
 public:
  virtual ~Listener() = default;
  // kClosed after close().
  virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;
  virtual void close() = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // kUnreachable when refused or no route, kTimedOut.
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Address to, Duration timeout) = 0;
  // kBusy when the address is taken (the real one retries for a moment, since a killed io_uring
  // process keeps its port a little longer).
  virtual Task<Result<std::unique_ptr<Listener>>> listen(Address at) = 0;
};

}  // namespace cleat::io
