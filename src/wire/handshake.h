// What two peers tell and prove to each other before the first frame: who they are, which protocol
// versions and features they speak, and that both know the cluster's secret. docs/protocol.md has
// the bytes.
//
// client: Hello ->        <- Hello :server        client: Proof ->        <- Proof :server (its
// verdict)
//
// A proof is HMAC-SHA256(secret, role || client's Hello || server's Hello): it covers both nonces
// and every field, so nothing of it can be replayed, reflected or changed on the way.
//
// Threading: the functions of bytes are pure; the two tasks run on the stream's loop.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/result.h"
#include "io/executor.h"
#include "io/stream.h"
#include "wire/messages.h"

namespace cleat::wire {

inline constexpr uint32_t kHelloMagic = 0x48544c43;  // "CLTH"
inline constexpr uint32_t kProofMagic = 0x50544c43;  // "CLTP"
inline constexpr uint16_t kHelloFormat = 1;
inline constexpr size_t kHelloPrefixBytes = 8;
inline constexpr size_t kHelloBytesMax = 256;
inline constexpr size_t kProofBytes = 40;
inline constexpr size_t kNameBytesMax = 64;  // of a cluster or a node
inline constexpr size_t kSecretBytesMin = 16;
inline constexpr Duration kHandshakeTimeout = 5s;

// What a node can beyond its frame version; features are bits of Hello.
inline constexpr uint64_t kFeatureShare = 1;  // the messages kShareJoin to kShareNames
inline constexpr uint64_t kFeaturesAll = kFeatureShare;

enum class Role : uint8_t { kClient = 1, kServer = 2 };

using Nonce = std::array<std::byte, 32>;
using Mac = std::array<std::byte, 32>;
using NonceSource = std::function<Result<Nonce>()>;

// Nonces from the system's generator (OpenSSL). kIoError when it fails. A simulation brings its
// own.
Result<Nonce> system_nonce();

// This node, as it presents itself.
struct Identity {
  std::string cluster;
  NodeId node;
  std::string name;    // of the node, for messages to people
  std::string secret;  // at least kSecretBytesMin bytes
  uint64_t features = kFeaturesAll;
  uint16_t version_min = kVersionMin;
  uint16_t version_max = kVersionMax;
  NonceSource nonce = system_nonce;
};

// kInvalidArgument for an empty or long name, no node id, a short secret or an empty range of
// versions.
Result<void> check(const Identity& identity);

struct Hello {
  Role role = Role::kClient;
  uint16_t version_min = 0;
  uint16_t version_max = 0;
  uint64_t features = 0;
  NodeId node;
  NodeId wanted;  // client: the node it means to reach; none: any
  Nonce nonce{};
  std::string cluster;
  std::string name;
};

// What both sides agreed on.
struct Session {
  uint16_t version = 0;   // the highest that both speak
  uint64_t features = 0;  // those that both have
  NodeId peer;
  std::string peer_name;
};

// `text` is for people: what failed, why, what to do.
struct HandshakeFailure {
  Error error{Code::kIoError};
  std::string text;
};
template <class T>
using HandshakeResult = tl::expected<T, HandshakeFailure>;

std::vector<std::byte> encode_hello(const Hello& hello);
// The length of a whole Hello by its first 8 bytes.
HandshakeResult<size_t> hello_size(ConstBuffer prefix);
HandshakeResult<Hello> decode_hello(ConstBuffer bytes);
// Compares what both said. kPermission for another cluster, another node than the wanted one, or
// ourselves; kUnsupported when no version is spoken by both.
HandshakeResult<Session> negotiate(const Hello& ours, const Hello& theirs);
Result<Mac> proof_mac(const std::string& secret, Role role, ConstBuffer client_hello,
                      ConstBuffer server_hello);

// Both give up after `timeout` (kTimedOut) and shut the stream down on any failure.
io::Task<HandshakeResult<Session>> handshake_as_client(io::Executor& executor, io::Stream& stream,
                                                       const Identity& identity, NodeId wanted,
                                                       Duration timeout);
io::Task<HandshakeResult<Session>> handshake_as_server(io::Executor& executor, io::Stream& stream,
                                                       const Identity& identity, Duration timeout);

}  // namespace cleat::wire
