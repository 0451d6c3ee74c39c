#include "bench/sketch/targets.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "bench/sketch/sockets.h"

namespace cleat::sketch {
namespace {

struct [[gnu::packed]] NbdRequest {
  uint32_t magic;
  uint16_t flags;
  uint16_t type;
  uint64_t handle;
  uint64_t offset;
  uint32_t bytes;
};
static_assert(sizeof(NbdRequest) == 28);

struct [[gnu::packed]] NbdReply {
  uint32_t magic;
  uint32_t error;
  uint64_t handle;
};
static_assert(sizeof(NbdReply) == 16);

uint16_t nbd_type(Kind kind) {
  if (kind == Kind::kRead) return kNbdRead;
  return kind == Kind::kWrite ? kNbdWrite : kNbdFlush;
}

}  // namespace

FileTarget::FileTarget(Ring& ring, const std::string& path)
    : ring_(ring), fd_(must(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC), path)) {
  struct stat status{};
  must(::fstat(fd_, &status), path);
  size_bytes_ = static_cast<uint64_t>(status.st_size);
  for (unsigned i = 0; i < kDepthMax; ++i) {
    operations_.emplace_back().done = [this, i](int result) {
      must(result, "I/O on the raw file");
      done(i);
    };
  }
}

FileTarget::~FileTarget() { ::close(fd_); }

void FileTarget::start(unsigned slot, Kind kind, uint64_t offset, std::byte* memory,
                       uint32_t bytes) {
  io_uring_sqe* sqe = ring_.entry();
  if (kind == Kind::kRead) {
    io_uring_prep_read(sqe, fd_, memory, bytes, offset);
  } else if (kind == Kind::kWrite) {
    io_uring_prep_write(sqe, fd_, memory, bytes, offset);
  } else {
    io_uring_prep_fsync(sqe, fd_, IORING_FSYNC_DATASYNC);
  }
  Ring::start(sqe, operations_[slot]);
}

NbdTarget::NbdTarget(Ring& ring, const std::string& address, const std::string& export_name) {
  int fd = connect_to(address);
  size_bytes_ = nbd_client_handshake(fd, export_name);
  Connection::Handler handler;
  handler.header_bytes = sizeof(NbdReply);
  handler.begin = [this](const Connection::Header& header) { return begin_reply(header); };
  handler.end = [this] { done(replying_); };
  handler.closed = [] { die("the NBD server closed the connection"); };
  connection_ = std::make_unique<Connection>(ring, fd, std::move(handler));
}

void NbdTarget::start(unsigned slot, Kind kind, uint64_t offset, std::byte* memory,
                      uint32_t bytes) {
  slots_[slot] = {kind, memory, bytes};
  NbdRequest request{
      htobe32(kNbdRequestMagic), 0, htobe16(nbd_type(kind)), slot, htobe64(offset), htobe32(bytes)};
  connection_->send(&request, sizeof request, memory, kind == Kind::kWrite ? bytes : 0);
}

Connection::Handler::Payload NbdTarget::begin_reply(const Connection::Header& header) {
  NbdReply reply;
  std::memcpy(&reply, header.data(), sizeof reply);
  if (be32toh(reply.magic) != kNbdReplyMagic || reply.handle >= kDepthMax) die("not an NBD reply");
  if (reply.error != 0)
    die("the NBD server failed an I/O: error " + std::to_string(be32toh(reply.error)));
  replying_ = static_cast<unsigned>(reply.handle);
  const Slot& slot = slots_[replying_];
  if (slot.kind != Kind::kRead) return {&nothing_, 0};
  return {slot.memory, slot.bytes};
}

}  // namespace cleat::sketch
