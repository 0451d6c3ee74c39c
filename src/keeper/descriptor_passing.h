// Packets with at most one descriptor beside them, over a unix socket.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>

#include "io/file_descriptor.h"

namespace cleat::keeper {

// A msghdr for one packet and one descriptor; stays where it is (it points into itself).
class Packet {
 public:
  // To receive `size` bytes into `data`, or to send them, with `fd` when it is not -1.
  Packet(void* data, size_t size, int fd = -1);
  Packet(const Packet&) = delete;

  msghdr& header() { return header_; }
  // The descriptor that came with a received packet, if any. Others are closed.
  io::FileDescriptor take_descriptor();

 private:
  iovec part_;
  msghdr header_{};
  alignas(cmsghdr) std::byte control_[CMSG_SPACE(4 * sizeof(int))];
};

}  // namespace cleat::keeper
