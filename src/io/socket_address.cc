#include "io/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace cleat::io {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

Result<SocketAddress> parse_unix(std::string_view path) {
  sockaddr_un unix_address{};
  unix_address.sun_family = AF_UNIX;
  if (path.empty())
    return fail(Code::kInvalidArgument, "unix: needs a path, such as unix:/run/x.sock");
  if (path.size() >= sizeof unix_address.sun_path || path.find('\0') != path.npos) {
    return fail(Code::kInvalidArgument, "the path of a unix socket has at most 107 bytes");
  }
  std::memcpy(unix_address.sun_path, path.data(), path.size());
  SocketAddress result;
  std::memcpy(&result.storage, &unix_address, sizeof unix_address);
  result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return result;
}

Result<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return fail(Code::kInvalidArgument, "the port is a number from 0 to 65535");
  }
  return port;
}

Result<SocketAddress> parse_ipv6(std::string_view host, uint16_t port) {
  sockaddr_in6 ip{};
  ip.sin6_family = AF_INET6;
  ip.sin6_port = htons(port);
  if (::inet_pton(AF_INET6, std::string(host).c_str(), &ip.sin6_addr) != 1) {
    return fail(Code::kInvalidArgument, "not an IPv6 address in brackets, such as [::1]:9470");
  }
  SocketAddress result;
  std::memcpy(&result.storage, &ip, sizeof ip);
  result.size = sizeof ip;
  return result;
}

Result<SocketAddress> parse_ipv4(std::string_view host, uint16_t port) {
  sockaddr_in ip{};
  ip.sin_family = AF_INET;
  ip.sin_port = htons(port);
  if (::inet_pton(AF_INET, std::string(host).c_str(), &ip.sin_addr) != 1) {
    return fail(Code::kInvalidArgument, "not an IP address with a port, such as 10.0.0.1:9470");
  }
  SocketAddress result;
  std::memcpy(&result.storage, &ip, sizeof ip);
  result.size = sizeof ip;
  return result;
}

}  // namespace

Result<SocketAddress> parse_address(const Address& address) {
  std::string_view text = address.text;
  if (text.starts_with(kUnixPrefix)) return parse_unix(text.substr(kUnixPrefix.size()));
  size_t colon = text.rfind(':');
  if (colon == text.npos) {
    return fail(Code::kInvalidArgument, "not an IP address with a port, such as 10.0.0.1:9470");
  }
  std::string_view host = text.substr(0, colon);
  TRY_ASSIGN(uint16_t port, parse_port(text.substr(colon + 1)));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    return parse_ipv6(host.substr(1, host.size() - 2), port);
  }
  return parse_ipv4(host, port);
}

Address format_address(const SocketAddress& address) {
  char host[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in ip;
    std::memcpy(&ip, &address.storage, sizeof ip);
    ::inet_ntop(AF_INET, &ip.sin_addr, host, sizeof host);
    return {std::string(host) + ":" + std::to_string(ntohs(ip.sin_port))};
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 ip;
    std::memcpy(&ip, &address.storage, sizeof ip);
    ::inet_ntop(AF_INET6, &ip.sin6_addr, host, sizeof host);
    return {"[" + std::string(host) + "]:" + std::to_string(ntohs(ip.sin6_port))};
  }
  sockaddr_un unix_address;
  std::memcpy(&unix_address, &address.storage, sizeof unix_address);
  return {std::string(kUnixPrefix) + unix_address.sun_path};
}

}  // namespace cleat::io
