#include "bench/sketch/sockets.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "bench/sketch/ring.h"

namespace cleat::sketch {
namespace {

constexpr uint64_t kNbdMagic = 0x4e42444d41474943;     // "NBDMAGIC"
constexpr uint64_t kOptionMagic = 0x49484156454f5054;  // "IHAVEOPT"
constexpr uint64_t kOptionReplyMagic = 0x3e889045565a9;
constexpr uint16_t kFixedNewstyle = 1;
constexpr uint16_t kNoZeroes = 2;
constexpr uint32_t kOptionExportName = 1;
constexpr uint32_t kOptionAbort = 2;
constexpr uint32_t kOptionInfo = 6;
constexpr uint32_t kOptionGo = 7;
constexpr uint32_t kReplyAck = 1;
constexpr uint32_t kReplyInfo = 3;
constexpr uint32_t kReplyUnsupported = 0x80000001;
constexpr uint16_t kInfoExport = 0;
constexpr uint16_t kInfoBlockSize = 3;
constexpr uint16_t kTransmissionFlags = 1 | 4 | 256;  // has flags, flush, many connections
constexpr uint32_t kOptionBytesMax = 64 * 1024;
constexpr int kConnectTries = 500;

struct SocketName {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketName parse(const std::string& address) {
  SocketName name;
  if (address.starts_with("unix:")) {
    sockaddr_un unix_name{};
    unix_name.sun_family = AF_UNIX;
    std::string path = address.substr(5);
    if (path.size() >= sizeof unix_name.sun_path) die("path of the socket is too long: " + path);
    std::memcpy(unix_name.sun_path, path.data(), path.size());
    std::memcpy(&name.storage, &unix_name, sizeof unix_name);
    name.size = sizeof unix_name;
    return name;
  }
  size_t colon = address.rfind(':');
  sockaddr_in ip{};
  ip.sin_family = AF_INET;
  if (colon == address.npos ||
      ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &ip.sin_addr) != 1) {
    die("not an address such as 127.0.0.1:9470 or unix:/path: " + address);
  }
  ip.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
  std::memcpy(&name.storage, &ip, sizeof ip);
  name.size = sizeof ip;
  return name;
}

void set_no_delay(int fd) {
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof on);  // refused by unix sockets, which need none
}

template <class T>
void append(std::vector<std::byte>& out, T big_endian) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&big_endian);
  out.insert(out.end(), bytes, bytes + sizeof big_endian);
}

void append_text(std::vector<std::byte>& out, std::string_view text) {
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  out.insert(out.end(), bytes, bytes + text.size());
}

void reply_to_option(int fd, uint32_t option, uint32_t type, const std::vector<std::byte>& data) {
  std::vector<std::byte> out;
  append(out, htobe64(kOptionReplyMagic));
  append(out, htobe32(option));
  append(out, htobe32(type));
  append(out, htobe32(static_cast<uint32_t>(data.size())));
  out.insert(out.end(), data.begin(), data.end());
  write_fully(fd, out.data(), out.size());
}

void reply_with_export(int fd, uint32_t option, uint64_t export_bytes) {
  std::vector<std::byte> info;
  append(info, htobe16(kInfoExport));
  append(info, htobe64(export_bytes));
  append(info, htobe16(kTransmissionFlags));
  reply_to_option(fd, option, kReplyInfo, info);
  std::vector<std::byte> sizes;
  append(sizes, htobe16(kInfoBlockSize));
  for (uint32_t bytes : {4096u, 4096u, kRequestBytesMax}) append(sizes, htobe32(bytes));
  reply_to_option(fd, option, kReplyInfo, sizes);
  reply_to_option(fd, option, kReplyAck, {});
}

void send_old_export(int fd, uint64_t export_bytes, bool no_zeroes) {
  std::vector<std::byte> out;
  append(out, htobe64(export_bytes));
  append(out, htobe16(kTransmissionFlags));
  if (!no_zeroes) out.resize(out.size() + 124);
  write_fully(fd, out.data(), out.size());
}

}  // namespace

int listen_at(const std::string& address) {
  SocketName name = parse(address);
  if (name.storage.ss_family == AF_UNIX) ::unlink(address.c_str() + 5);
  int fd = must(::socket(name.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  must(::bind(fd, name.get(), name.size), "bind " + address);
  must(::listen(fd, 16), "listen " + address);
  return fd;
}

int connect_to(const std::string& address) {
  SocketName name = parse(address);
  for (int i = 0;; ++i) {
    int fd = must(::socket(name.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    set_no_delay(fd);
    if (::connect(fd, name.get(), name.size) == 0) return fd;
    if (i == kConnectTries) must(-1, "connect " + address);
    ::close(fd);
    ::usleep(10'000);
  }
}

int accept_from(int listener) {
  int fd = must(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept");
  set_no_delay(fd);
  return fd;
}

void write_fully(int fd, const void* data, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  while (size > 0) {
    ssize_t written = ::send(fd, bytes, size, MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // the reader of this socket sees its end
    bytes += written;
    size -= static_cast<size_t>(written);
  }
}

bool read_fully(int fd, void* data, size_t size) {
  auto* bytes = static_cast<std::byte*>(data);
  while (size > 0) {
    ssize_t got = ::read(fd, bytes, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool nbd_serve_handshake(int fd, uint64_t export_bytes) {
  std::vector<std::byte> hello;
  append(hello, htobe64(kNbdMagic));
  append(hello, htobe64(kOptionMagic));
  append(hello, htobe16(kFixedNewstyle | kNoZeroes));
  write_fully(fd, hello.data(), hello.size());
  uint32_t client_flags = 0;
  if (!read_fully(fd, &client_flags, sizeof client_flags)) return false;
  bool no_zeroes = (be32toh(client_flags) & kNoZeroes) != 0;
  for (;;) {
    struct [[gnu::packed]] {
      uint64_t magic;
      uint32_t option;
      uint32_t bytes;
    } request;
    if (!read_fully(fd, &request, sizeof request)) return false;
    uint32_t option = be32toh(request.option);
    uint32_t bytes = be32toh(request.bytes);
    if (be64toh(request.magic) != kOptionMagic || bytes > kOptionBytesMax) return false;
    std::vector<std::byte> data(bytes);
    if (!read_fully(fd, data.data(), data.size())) return false;
    if (option == kOptionAbort) return false;
    if (option == kOptionExportName) {
      send_old_export(fd, export_bytes, no_zeroes);
      return true;
    }
    if (option == kOptionGo || option == kOptionInfo) {
      reply_with_export(fd, option, export_bytes);
      if (option == kOptionGo) return true;
    } else {
      reply_to_option(fd, option, kReplyUnsupported, {});
    }
  }
}

uint64_t nbd_client_handshake(int fd, const std::string& export_name) {
  struct [[gnu::packed]] {
    uint64_t magic;
    uint64_t option_magic;
    uint16_t flags;
  } hello;
  if (!read_fully(fd, &hello, sizeof hello) || be64toh(hello.magic) != kNbdMagic)
    die("not an NBD server");
  std::vector<std::byte> out;
  append(out, htobe32(uint32_t{kFixedNewstyle | kNoZeroes}));
  append(out, htobe64(kOptionMagic));
  append(out, htobe32(kOptionGo));
  append(out, htobe32(static_cast<uint32_t>(4 + export_name.size() + 2)));
  append(out, htobe32(static_cast<uint32_t>(export_name.size())));
  append_text(out, export_name);
  append(out, htobe16(0));
  write_fully(fd, out.data(), out.size());
  uint64_t export_bytes = 0;
  for (;;) {
    struct [[gnu::packed]] {
      uint64_t magic;
      uint32_t option;
      uint32_t type;
      uint32_t bytes;
    } reply;
    if (!read_fully(fd, &reply, sizeof reply) || be32toh(reply.bytes) > kOptionBytesMax) {
      die("the NBD server ended the handshake");
    }
    std::vector<std::byte> data(be32toh(reply.bytes));
    if (!read_fully(fd, data.data(), data.size())) die("the NBD server ended the handshake");
    uint32_t type = be32toh(reply.type);
    if (type == kReplyAck) return export_bytes;
    if (type != kReplyInfo) die("the NBD server refuses the export " + export_name);
    uint16_t kind = 0;
    if (data.size() >= 10) std::memcpy(&kind, data.data(), 2);
    if (data.size() >= 12 && be16toh(kind) == kInfoExport) {
      std::memcpy(&export_bytes, data.data() + 2, 8);
      export_bytes = be64toh(export_bytes);
    }
  }
}

}  // namespace cleat::sketch
