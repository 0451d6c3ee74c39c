// The frame between nodes: one fixed header of 96 bytes, little-endian, then payload_bytes of
// payload. docs/protocol.md is the byte-exact description and says which fields each type uses.
//
// Threading: pure functions. Bytes from the wire never abort: every field is checked by decode().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/buffer.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/units.h"

namespace cleat::wire {

inline constexpr uint32_t kMagic = 0x31544c43;  // "CLT1"
inline constexpr size_t kHeaderBytes = 96;
inline constexpr uint16_t kVersionMin = 1;  // what this build speaks
inline constexpr uint16_t kVersionMax = 1;
inline constexpr uint32_t kPayloadBytesMax = 4 * kMiB;

// Numbers are for ever: a type that goes out of use keeps its number.
enum class Type : uint8_t {
  kHeartbeat = 1,  // lease and known_everywhere of one volume
  kFence = 2,      // store the epoch, answer with what the replica knows
  kWrite = 3,
  kZero = 4,
  kRead = 5,
  kFlush = 6,
  kFreeze = 7,  // snapshot
  kDeleteSnapshot = 8,
  kRestore = 9,
  kResize = 10,
  kDigest = 11,
  kSetGeneration = 12,
  kDirtyRegions = 13,
  kIntentRegions = 14,
  kForgetDirty = 15,
  kClearRecent = 16,
  kSetRecord = 17,
  kGetRecord = 18,
  kNextChanged = 19,
  kCreateReplica = 20,
  kCloneReplica = 21,
  kRemoveReplica = 22,
  kListReplicas = 23,
  kUsage = 24,
  kDetach = 25,
  kForward = 26,  // a control request for the node that has the volume attached
  // From a sharer of a shared volume to its primary (ADR 9).
  kShareJoin = 27,
  kShareRead = 28,
  kShareWrite = 29,
  kShareZero = 30,
  kShareFlush = 31,
  kShareConfirm = 32,  // answers that arrived; a heartbeat when it names none
  kShareLeave = 33,
  kShareNames = 34,  // the second step of a join: changes without an answer
};
inline constexpr uint8_t kTypeLast = 34;
inline bool is_share(Type type) { return type >= Type::kShareJoin && type <= Type::kShareNames; }

// "write", "next changed"; "unknown" for a number that is no type.
std::string_view to_string(Type type);

inline constexpr uint8_t kReply = 1;
inline constexpr uint8_t kFua = 2;   // write and zero: durable when answered
inline constexpr uint8_t kMore = 4;  // replies with lists: the list goes on
inline constexpr uint8_t kNew = 8;   // share join and names: the sharer is to be admitted
inline constexpr uint8_t kFlagsAll = kReply | kFua | kMore | kNew;

// A field that a type does not use is zero.
struct Header {
  uint16_t version = kVersionMax;  // set by the connection: the negotiated one
  Type type = Type::kHeartbeat;
  uint8_t flags = 0;
  uint64_t request_id = 0;  // set by the connection; a reply carries its request's
  VolumeId volume;
  Epoch epoch;
  Seq seq;
  BlockRange range;
  std::optional<Code> error;  // replies only; none: ok
  uint8_t member = 0;
  Generation generation;
  Seq known_everywhere;
  SnapshotId snapshot;
  uint32_t fence = 0;          // which fence of the epoch this is, or follows (R4)
  uint32_t payload_bytes = 0;  // this and payload_crc are set by the connection
  uint32_t payload_crc = 0;    // crc32c; 0 when there is no payload

  bool is_reply() const { return (flags & kReply) != 0; }
  bool has(uint8_t flag) const { return (flags & flag) != 0; }
  // What the other side said about the request; the text names only that it came from there.
  Result<void> status() const {
    if (error) return fail(*error, "answer of the peer");
    return {};
  }
  bool operator==(const Header&) const = default;
};

using HeaderBytes = std::array<std::byte, kHeaderBytes>;

HeaderBytes encode(const Header& header);

// Checks in this order: length and magic (kCorrupt), header_crc (kCorrupt), version between
// kVersionMin and kVersionMax, type, flags, reserved bytes, error code (kUnsupported), the payload
// limit (kLimit), and what contradicts itself: a range beyond 2^64, an error in a request, a write
// whose payload is not its range, an empty payload with a checksum (kCorrupt). Reads the first 96
// bytes of `bytes`.
Result<Header> decode(ConstBuffer bytes);

// crc32c over the parts in order.
uint32_t payload_crc(std::span<const ConstBuffer> parts);

}  // namespace cleat::wire
