#include "bench/sketch/servers.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "bench/sketch/connection.h"
#include "bench/sketch/sockets.h"

namespace cleat::sketch {
namespace {

// Between the two processes, in the byte order of the machine.
struct Forward {
  uint64_t id;
  uint64_t offset;
  uint32_t bytes;
  uint32_t is_flush;
};
struct Ack {
  uint64_t id;
  uint64_t error;
};

struct [[gnu::packed]] NbdRequest {
  uint32_t magic;
  uint16_t flags;
  uint16_t type;
  uint64_t handle;
  uint64_t offset;
  uint32_t bytes;
};
struct [[gnu::packed]] NbdReply {
  uint32_t magic;
  uint32_t error;
  uint64_t handle;
};

int open_file(const std::string& path, uint64_t& bytes) {
  int fd = must(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC), path);
  struct stat status{};
  must(::fstat(fd, &status), path);
  bytes = static_cast<uint64_t>(status.st_size);
  return fd;
}

// One request in flight, with memory of its own that grows to the largest it carried.
struct Request {
  uint64_t handle = 0;
  uint64_t offset = 0;
  uint32_t bytes = 0;
  uint16_t type = 0;
  unsigned waiting_for = 0;
  bool failed = false;
  std::byte* memory = nullptr;
  uint32_t memory_bytes = 0;
  Operation disk;
  std::function<void()> sent;
  unsigned index = 0;

  std::byte* reserve(uint32_t size) {
    if (size > memory_bytes) {
      std::free(memory);
      memory = aligned_memory(size);
      memory_bytes = size;
    }
    return memory;
  }
};

// Requests by number; the free ones are reused.
class RequestTable {
 public:
  explicit RequestTable(std::function<void(Request&)> prepare) : prepare_(std::move(prepare)) {}
  Request& take() {
    if (free_.empty()) {
      Request& request = requests_.emplace_back();
      request.index = static_cast<unsigned>(requests_.size() - 1);
      request.reserve(4096);
      prepare_(request);
      return request;
    }
    unsigned index = free_.back();
    free_.pop_back();
    return requests_[index];
  }
  void give_back(Request& request) { free_.push_back(request.index); }
  Request& at(uint64_t index) { return requests_.at(index); }

 private:
  std::function<void(Request&)> prepare_;
  std::deque<Request> requests_;
  std::vector<unsigned> free_;
};

void start_disk(Ring& ring, int fd, Request& request) {
  io_uring_sqe* sqe = ring.entry();
  if (request.type == kNbdRead) {
    io_uring_prep_read(sqe, fd, request.memory, request.bytes, request.offset);
  } else if (request.type == kNbdWrite) {
    io_uring_prep_write(sqe, fd, request.memory, request.bytes, request.offset);
  } else {
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
  }
  Ring::start(sqe, request.disk);
}

bool disk_failed(const Request& request, int result) {
  return result < 0 ||
         (request.type != kNbdFlush && static_cast<uint32_t>(result) != request.bytes);
}

// The second process.
class Peer {
 public:
  Peer(int connection, const std::string& file)
      : file_(open_file(file, file_bytes_)), requests_([this](Request& request) {
          request.disk.done = [this, &request](int result) {
            Ack ack{request.handle, disk_failed(request, result) ? 1u : 0u};
            connection_->send(&ack, sizeof ack, nullptr, 0);
            requests_.give_back(request);
          };
        }) {
    Connection::Handler handler;
    handler.header_bytes = sizeof(Forward);
    handler.begin = [this](const Connection::Header& header) { return begin(header); };
    handler.end = [this] { start_disk(ring_, file_, *receiving_); };
    handler.closed = [] { ::_exit(0); };
    connection_ = std::make_unique<Connection>(ring_, connection, std::move(handler));
  }
  [[noreturn]] void run() {
    for (;;) ring_.turn();
  }

 private:
  Connection::Handler::Payload begin(const Connection::Header& header) {
    Forward forward;
    std::memcpy(&forward, header.data(), sizeof forward);
    if (forward.bytes > kRequestBytesMax) return {nullptr, 0};
    receiving_ = &requests_.take();
    receiving_->handle = forward.id;
    receiving_->offset = forward.offset;
    receiving_->bytes = forward.bytes;
    receiving_->type = forward.is_flush != 0 ? kNbdFlush : kNbdWrite;
    return {receiving_->reserve(forward.bytes), forward.bytes};
  }

  Ring ring_;
  uint64_t file_bytes_ = 0;
  int file_;
  RequestTable requests_;
  Request* receiving_ = nullptr;
  std::unique_ptr<Connection> connection_;
};

// The first process, for one NBD connection after another.
class Primary {
 public:
  Primary(int listener, const std::string& file, const std::string& peer)
      : listener_(listener),
        file_(open_file(file, file_bytes_)),
        requests_([this](Request& request) {
          request.disk.done = [this, &request](int result) {
            finish_part(request, disk_failed(request, result));
          };
          request.sent = [this, &request] { requests_.give_back(request); };
        }) {
    Connection::Handler handler;
    handler.header_bytes = sizeof(Ack);
    handler.begin = [this](const Connection::Header& header) {
      std::memcpy(&ack_, header.data(), sizeof ack_);
      return Connection::Handler::Payload{&nothing_, 0};
    };
    handler.end = [this] { finish_part(requests_.at(ack_.id), ack_.error != 0); };
    handler.closed = [] { die("the second process went away"); };
    peer_ = std::make_unique<Connection>(ring_, connect_to(peer), std::move(handler));
    accept_.done = [this](int result) { accepted(must(result, "accept")); };
    start_accept();
  }
  [[noreturn]] void run() {
    for (;;) ring_.turn();
  }

 private:
  struct Client {
    std::unique_ptr<Connection> connection;
    Request* receiving = nullptr;
    bool open = true;
  };

  void start_accept() {
    io_uring_sqe* sqe = ring_.entry();
    io_uring_prep_accept(sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    Ring::start(sqe, accept_);
  }

  void accepted(int fd) {
    start_accept();
    if (!nbd_serve_handshake(fd, file_bytes_)) {
      ::close(fd);
      return;
    }
    Client& client = clients_.emplace_back();  // never removed: a sketch serves few
    Connection::Handler handler;
    handler.header_bytes = sizeof(NbdRequest);
    handler.begin = [this, &client](const Connection::Header& header) {
      return begin(client, header);
    };
    handler.end = [this, &client] { start(client, *client.receiving); };
    handler.closed = [&client] { client.open = false; };
    client.connection = std::make_unique<Connection>(ring_, fd, std::move(handler));
  }

  Connection::Handler::Payload begin(Client& client, const Connection::Header& header) {
    NbdRequest wire;
    std::memcpy(&wire, header.data(), sizeof wire);
    uint32_t bytes = be32toh(wire.bytes);
    uint16_t type = be16toh(wire.type);
    if (be32toh(wire.magic) != kNbdRequestMagic || bytes > kRequestBytesMax || type > kNbdFlush ||
        type == kNbdDisconnect) {
      return {nullptr, 0};
    }
    Request& request = requests_.take();
    client.receiving = &request;
    request.handle = wire.handle;
    request.offset = be64toh(wire.offset);
    request.bytes = bytes;
    request.type = type;
    request.failed = false;
    return {request.reserve(bytes), type == kNbdWrite ? bytes : 0};
  }

  void start(Client& client, Request& request) {
    if (owners_.size() <= request.index) owners_.resize(request.index + 1);
    owners_[request.index] = &client;
    request.waiting_for = request.type == kNbdRead ? 1 : 2;
    start_disk(ring_, file_, request);
    if (request.type == kNbdRead) return;
    bool is_flush = request.type == kNbdFlush;
    Forward forward{request.index, request.offset, is_flush ? 0 : request.bytes,
                    is_flush ? 1u : 0u};
    peer_->send(&forward, sizeof forward, request.memory, forward.bytes);
  }

  void finish_part(Request& request, bool failed) {
    request.failed |= failed;
    if (--request.waiting_for > 0) return;
    Client& client = *owners_[request.index];
    if (!client.open) return requests_.give_back(request);
    NbdReply reply{htobe32(kNbdReplyMagic), htobe32(request.failed ? EIO : 0u), request.handle};
    uint32_t bytes = request.type == kNbdRead && !request.failed ? request.bytes : 0;
    client.connection->send(&reply, sizeof reply, request.memory, bytes, &request.sent);
  }

  Ring ring_;
  int listener_;
  uint64_t file_bytes_ = 0;
  int file_;
  RequestTable requests_;
  std::vector<Client*> owners_;  // by request
  std::deque<Client> clients_;
  Operation accept_;
  Ack ack_{};
  std::byte nothing_{};
  std::unique_ptr<Connection> peer_;
};

}  // namespace

void run_peer(const std::string& listen, const std::string& file) {
  int listener = listen_at(listen);
  int connection = accept_from(listener);
  ::close(listener);
  Peer(connection, file).run();
}

void run_primary(const std::string& listen, const std::string& file, const std::string& peer) {
  Primary(listen_at(listen), file, peer).run();
}

}  // namespace cleat::sketch
