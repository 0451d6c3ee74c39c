#include "wire/handshake.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <string_view>

#include "common/crc32c.h"
#include "wire/codec.h"

namespace cleat::wire {
namespace {

constexpr size_t kHelloBytesMin = 80;  // both names one byte long
constexpr size_t kCrcBytes = 4;
constexpr std::string_view kClientLabel = "cleat wire 1 client";
constexpr std::string_view kServerLabel = "cleat wire 1 server";

ConstBuffer bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// Names end up in logs and messages: nothing but visible ASCII.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}

tl::unexpected<HandshakeFailure> refuse(Code code, const char* what, std::string text) {
  return tl::unexpected<HandshakeFailure>(HandshakeFailure{Error{code, 0, what}, std::move(text)});
}

tl::unexpected<HandshakeFailure> malformed(const char* why) {
  return refuse(
      Code::kCorrupt, "malformed hello",
      fmt::format("what answered is no Cleat node, or bytes were damaged on the way: {}", why));
}

Result<std::string> read_name(Reader& reader) {
  TRY_ASSIGN(uint8_t size, reader.u8());
  TRY_ASSIGN(ConstBuffer bytes, reader.bytes(size));
  std::string name(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!is_name(name)) return fail(Code::kCorrupt, "name in a hello");
  return name;
}

// The fields after the prefix, without the checksum.
Result<Hello> read_fields(ConstBuffer bytes) {
  Reader reader(bytes);
  Hello hello;
  TRY_ASSIGN(uint8_t role, reader.u8());
  TRY_ASSIGN(uint8_t reserved1, reader.u8());
  TRY_ASSIGN(hello.version_min, reader.u16());
  TRY_ASSIGN(hello.version_max, reader.u16());
  TRY_ASSIGN(uint16_t reserved2, reader.u16());
  TRY_ASSIGN(hello.features, reader.u64());
  TRY_ASSIGN(uint64_t node, reader.u64());
  TRY_ASSIGN(uint64_t wanted, reader.u64());
  TRY_ASSIGN(ConstBuffer nonce, reader.bytes(hello.nonce.size()));
  TRY_ASSIGN(hello.cluster, read_name(reader));
  TRY_ASSIGN(hello.name, read_name(reader));
  TRY(reader.finish());
  if (role != static_cast<uint8_t>(Role::kClient) && role != static_cast<uint8_t>(Role::kServer)) {
    return fail(Code::kCorrupt, "role in a hello");
  }
  if (reserved1 != 0 || reserved2 != 0) return fail(Code::kCorrupt, "reserved field of a hello");
  if (node == 0) return fail(Code::kCorrupt, "node id in a hello");
  hello.role = static_cast<Role>(role);
  hello.node = NodeId(node);
  hello.wanted = NodeId(wanted);
  std::copy(nonce.begin(), nonce.end(), hello.nonce.begin());
  return hello;
}

HandshakeResult<uint16_t> common_version(const Hello& ours, const Hello& theirs) {
  uint16_t version = std::min(ours.version_max, theirs.version_max);
  if (version >= ours.version_min && version >= theirs.version_min) return version;
  return refuse(
      Code::kUnsupported, "no common protocol version",
      fmt::format("node {} speaks wire versions {} to {}, this node {} to {}: upgrade the older "
                  "one to a release that speaks a version of both",
                  theirs.name, theirs.version_min, theirs.version_max, ours.version_min,
                  ours.version_max));
}

}  // namespace

Result<Nonce> system_nonce() {
  Nonce nonce;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(nonce.data()), static_cast<int>(nonce.size())) !=
      1) {
    return fail(Code::kIoError, "random numbers of the system");
  }
  return nonce;
}

Result<void> check(const Identity& identity) {
  if (!is_name(identity.cluster)) {
    return fail(Code::kInvalidArgument, "cluster name: 1 to 64 visible ASCII characters");
  }
  if (!is_name(identity.name)) {
    return fail(Code::kInvalidArgument, "node name: 1 to 64 visible ASCII characters");
  }
  if (identity.node == NodeId()) return fail(Code::kInvalidArgument, "node id: must not be 0");
  if (identity.secret.size() < kSecretBytesMin) {
    return fail(Code::kInvalidArgument, "cluster secret: at least 16 bytes");
  }
  if (identity.version_min < kVersionMin || identity.version_max > kVersionMax ||
      identity.version_min > identity.version_max) {
    return fail(Code::kInvalidArgument, "wire versions: outside of what this build speaks");
  }
  return {};
}

std::vector<std::byte> encode_hello(const Hello& hello) {
  std::vector<std::byte> bytes(kHelloBytesMax);
  Writer writer(bytes);
  auto size = static_cast<uint16_t>(kHelloBytesMin - 2 + hello.cluster.size() + hello.name.size());
  writer.u32(kHelloMagic);
  writer.u16(kHelloFormat);
  writer.u16(size);
  writer.u8(static_cast<uint8_t>(hello.role));
  writer.u8(0);
  writer.u16(hello.version_min);
  writer.u16(hello.version_max);
  writer.u16(0);
  writer.u64(hello.features);
  writer.u64(hello.node.value);
  writer.u64(hello.wanted.value);
  writer.bytes(hello.nonce);
  for (const std::string* name : {&hello.cluster, &hello.name}) {
    writer.u8(static_cast<uint8_t>(name->size()));
    writer.bytes(bytes_of(*name));
  }
  writer.u32(crc32c(bytes.data(), writer.size()));
  bytes.resize(writer.size());
  return bytes;
}

HandshakeResult<size_t> hello_size(ConstBuffer prefix) {
  Reader reader(prefix);
  auto magic = reader.u32();
  auto format = reader.u16();
  auto size = reader.u16();
  if (!size) return malformed("too few bytes");
  if (*magic != kHelloMagic) return malformed("it does not begin with CLTH");
  if (*format != kHelloFormat) {
    return refuse(
        Code::kUnsupported, "unknown format of hello",
        fmt::format("the other side greets in format {}, this node knows format {}: upgrade the "
                    "older one",
                    *format, kHelloFormat));
  }
  if (*size < kHelloBytesMin || *size > kHelloBytesMax)
    return malformed("its length is out of bounds");
  return size_t{*size};
}

HandshakeResult<Hello> decode_hello(ConstBuffer bytes) {
  auto size = hello_size(bytes);
  if (!size) return tl::unexpected<HandshakeFailure>(size.error());
  if (*size != bytes.size()) return malformed("its length is not what it says");
  ConstBuffer checked = bytes.first(bytes.size() - kCrcBytes);
  Reader reader(bytes.last(kCrcBytes));
  if (*reader.u32() != crc32c(checked.data(), checked.size()))
    return malformed("its checksum is wrong");
  Result<Hello> hello = read_fields(checked.subspan(kHelloPrefixBytes));
  if (!hello) return malformed(hello.error().what);
  return *hello;
}

HandshakeResult<Session> negotiate(const Hello& ours, const Hello& theirs) {
  if (theirs.role == ours.role) return malformed("both sides claim the same role");
  if (theirs.cluster != ours.cluster) {
    return refuse(
        Code::kPermission, "peer of another cluster",
        fmt::format("node {} belongs to cluster \"{}\", this node to cluster \"{}\": correct the "
                    "address, or give both the same cluster name",
                    theirs.name, theirs.cluster, ours.cluster));
  }
  if (theirs.node == ours.node) {
    return refuse(
        Code::kPermission, "peer with our own node id",
        fmt::format("{} and this node {} both have node id {}: an address points to this node "
                    "itself, or a node's data directory was copied",
                    theirs.name, ours.name, ours.node.value));
  }
  if (ours.wanted != NodeId() && theirs.node != ours.wanted) {
    return refuse(
        Code::kPermission, "another node answered",
        fmt::format("expected node {} but node {} ({}) answered: correct the address of node {}",
                    ours.wanted.value, theirs.node.value, theirs.name, ours.wanted.value));
  }
  if (theirs.wanted != NodeId() && ours.node != theirs.wanted) {
    return refuse(
        Code::kPermission, "peer looks for another node",
        fmt::format("node {} expected node {} but this is node {} ({}): correct the address it "
                    "has of node {}",
                    theirs.name, theirs.wanted.value, ours.node.value, ours.name,
                    theirs.wanted.value));
  }
  auto version = common_version(ours, theirs);
  if (!version) return tl::unexpected<HandshakeFailure>(version.error());
  return Session{*version, ours.features & theirs.features, theirs.node, theirs.name};
}

Result<Mac> proof_mac(const std::string& secret, Role role, ConstBuffer client_hello,
                      ConstBuffer server_hello) {
  std::vector<std::byte> text;
  for (ConstBuffer part : {bytes_of(role == Role::kClient ? kClientLabel : kServerLabel),
                           client_hello, server_hello}) {
    text.insert(text.end(), part.begin(), part.end());
  }
  Mac mac;
  unsigned int size = 0;
  const unsigned char* done = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                                   reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                                   reinterpret_cast<unsigned char*>(mac.data()), &size);
  if (done == nullptr || size != mac.size()) return fail(Code::kIoError, "HMAC-SHA256 of OpenSSL");
  return mac;
}

}  // namespace cleat::wire
