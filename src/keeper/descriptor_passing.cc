#include "keeper/descriptor_passing.h"

#include <cstring>

namespace cleat::keeper {

Packet::Packet(void* data, size_t size, int fd) : part_{data, size} {
  header_.msg_iov = &part_;
  header_.msg_iovlen = 1;
  header_.msg_control = control_;
  header_.msg_controllen = sizeof control_;
  std::memset(control_, 0, sizeof control_);
  if (fd < 0) return;
  header_.msg_controllen = CMSG_SPACE(sizeof fd);
  cmsghdr* control = CMSG_FIRSTHDR(&header_);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
}

io::FileDescriptor Packet::take_descriptor() {
  io::FileDescriptor first;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header_); control != nullptr;
       control = CMSG_NXTHDR(&header_, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
      io::FileDescriptor owned(fd);
      if (!first.valid()) first = std::move(owned);
    }
  }
  return first;
}

}  // namespace cleat::keeper
