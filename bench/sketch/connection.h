// Frames over one socket: a header of fixed size, then perhaps a payload. Received payloads land in
// aligned memory, ready for direct I/O; what one turn sends goes out in one system call.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "bench/sketch/ring.h"

namespace cleat::sketch {

class Connection {
 public:
  static constexpr size_t kHeaderMax = 32;
  using Header = std::array<std::byte, kHeaderMax>;

  struct Handler {
    size_t header_bytes;
    // Looks at a header: where its payload goes and how long it is (0: none). Null ends the
    // connection.
    struct Payload {
      std::byte* memory;
      size_t bytes;
    };
    std::function<Payload(const Header&)> begin;
    std::function<void()> end;  // the frame that began last is complete
    std::function<void()> closed;
  };

  // Takes the connected socket.
  Connection(Ring& ring, int fd, Handler handler);
  Connection(const Connection&) = delete;

  // Queues a frame. `payload` stays valid until `sent` is called, when given.
  void send(const void* header, size_t header_bytes, const std::byte* payload, size_t payload_bytes,
            std::function<void()>* sent = nullptr);
  // Starts to send what is queued, unless a send is in flight.
  void flush();

 private:
  struct Frame {
    Header header;
    size_t header_bytes;
    const std::byte* payload;
    size_t payload_bytes;
    std::function<void()>* sent;
  };

  void receive();
  void received(int result);
  void parse();
  bool begin_frame(const std::byte* header);
  void send_more();
  void sent(int result);
  void close();

  Ring& ring_;
  int fd_;
  Handler handler_;
  bool closed_ = false;

  Operation receive_;
  std::vector<std::byte> in_ = std::vector<std::byte>(256 * 1024);
  size_t in_begin_ = 0;
  size_t in_end_ = 0;
  bool in_frame_ = false;
  std::byte* payload_ = nullptr;
  size_t payload_missing_ = 0;
  bool poll_first_ = true;

  Operation send_;
  std::vector<Frame> queued_;
  std::vector<Frame> sending_;
  std::vector<iovec> vectors_;
  size_t vector_first_ = 0;
  msghdr message_{};
};

}  // namespace cleat::sketch
