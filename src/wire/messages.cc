#include "wire/messages.h"

#include <bit>
#include <cstring>
#include <limits>

#include "common/crc32c.h"

namespace cleat::wire {
namespace {

static_assert(std::endian::native == std::endian::little,
              "fields are copied as they are in memory");

enum Offset : size_t {
  kAtMagic = 0,
  kAtVersion = 4,
  kAtType = 6,
  kAtFlags = 7,
  kAtRequestId = 8,
  kAtVolume = 16,
  kAtEpoch = 24,
  kAtSeq = 32,
  kAtFirstBlock = 40,
  kAtBlockCount = 48,
  kAtStatus = 52,
  kAtMember = 54,
  kAtReserved1 = 55,
  kAtGeneration = 56,
  kAtKnownEverywhere = 64,
  kAtSnapshot = 72,
  kAtPayloadBytes = 80,
  kAtPayloadCrc = 84,
  kAtFence = 88,
  kAtHeaderCrc = 92,
};
static_assert(kAtHeaderCrc + 4 == kHeaderBytes);

template <class T>
void put(HeaderBytes& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <class T>
T get(ConstBuffer bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

Result<std::optional<Code>> decode_status(uint16_t status) {
  if (status == 0) return std::optional<Code>{};
  if (status > static_cast<uint16_t>(Code::kOutOfRange)) {
    return fail(Code::kUnsupported, "frame with an unknown status");
  }
  return std::optional<Code>{static_cast<Code>(status)};
}

Result<void> check_consistent(const Header& header) {
  if (header.payload_bytes > kPayloadBytesMax) {
    return fail(Code::kLimit, "frame with a payload above the limit");
  }
  if (header.range.first > std::numeric_limits<uint64_t>::max() - header.range.count) {
    return fail(Code::kCorrupt, "frame with a block range that overflows");
  }
  if (header.error && !header.is_reply()) {
    return fail(Code::kCorrupt, "request that carries a status");
  }
  if (header.payload_bytes == 0 && header.payload_crc != 0) {
    return fail(Code::kCorrupt, "frame with a checksum of no payload");
  }
  bool is_write = header.type == Type::kWrite || header.type == Type::kShareWrite;
  if (is_write && !header.is_reply() && header.payload_bytes != header.range.bytes()) {
    return fail(Code::kCorrupt, "write whose payload is not as long as its range");
  }
  return {};
}

}  // namespace

std::string_view to_string(Type type) {
  switch (type) {
    case Type::kHeartbeat: return "heartbeat";
    case Type::kFence: return "fence";
    case Type::kWrite: return "write";
    case Type::kZero: return "zero";
    case Type::kRead: return "read";
    case Type::kFlush: return "flush";
    case Type::kFreeze: return "freeze";
    case Type::kDeleteSnapshot: return "delete snapshot";
    case Type::kRestore: return "restore";
    case Type::kResize: return "resize";
    case Type::kDigest: return "digest";
    case Type::kSetGeneration: return "set generation";
    case Type::kDirtyRegions: return "dirty regions";
    case Type::kIntentRegions: return "intent regions";
    case Type::kForgetDirty: return "forget dirty";
    case Type::kClearRecent: return "clear recent";
    case Type::kSetRecord: return "set record";
    case Type::kGetRecord: return "get record";
    case Type::kNextChanged: return "next changed";
    case Type::kCreateReplica: return "create replica";
    case Type::kCloneReplica: return "clone replica";
    case Type::kRemoveReplica: return "remove replica";
    case Type::kListReplicas: return "list replicas";
    case Type::kUsage: return "usage";
    case Type::kDetach: return "detach";
    case Type::kForward: return "forward";
    case Type::kShareJoin: return "share join";
    case Type::kShareRead: return "share read";
    case Type::kShareWrite: return "share write";
    case Type::kShareZero: return "share zero";
    case Type::kShareFlush: return "share flush";
    case Type::kShareConfirm: return "share confirm";
    case Type::kShareLeave: return "share leave";
    case Type::kShareNames: return "share names";
  }
  return "unknown";
}

HeaderBytes encode(const Header& header) {
  HeaderBytes bytes{};
  put(bytes, kAtMagic, kMagic);
  put(bytes, kAtVersion, header.version);
  put(bytes, kAtType, static_cast<uint8_t>(header.type));
  put(bytes, kAtFlags, header.flags);
  put(bytes, kAtRequestId, header.request_id);
  put(bytes, kAtVolume, header.volume.value);
  put(bytes, kAtEpoch, header.epoch.value);
  put(bytes, kAtSeq, header.seq.value);
  put(bytes, kAtFirstBlock, header.range.first);
  put(bytes, kAtBlockCount, header.range.count);
  put(bytes, kAtStatus,
      static_cast<uint16_t>(header.error ? static_cast<uint16_t>(*header.error) : 0));
  put(bytes, kAtMember, header.member);
  put(bytes, kAtGeneration, header.generation.value);
  put(bytes, kAtKnownEverywhere, header.known_everywhere.value);
  put(bytes, kAtSnapshot, header.snapshot.value);
  put(bytes, kAtPayloadBytes, header.payload_bytes);
  put(bytes, kAtPayloadCrc, header.payload_crc);
  put(bytes, kAtFence, header.fence);
  put(bytes, kAtHeaderCrc, crc32c(bytes.data(), kAtHeaderCrc));
  return bytes;
}

Result<Header> decode(ConstBuffer bytes) {
  if (bytes.size() < kHeaderBytes) return fail(Code::kCorrupt, "frame shorter than its header");
  if (get<uint32_t>(bytes, kAtMagic) != kMagic) {
    return fail(Code::kCorrupt, "frame without the magic CLT1");
  }
  if (get<uint32_t>(bytes, kAtHeaderCrc) != crc32c(bytes.data(), kAtHeaderCrc)) {
    return fail(Code::kCorrupt, "frame header fails its checksum");
  }
  Header header;
  header.version = get<uint16_t>(bytes, kAtVersion);
  if (header.version < kVersionMin || header.version > kVersionMax) {
    return fail(Code::kUnsupported, "frame of an unknown protocol version");
  }
  auto type = get<uint8_t>(bytes, kAtType);
  if (type == 0 || type > kTypeLast) return fail(Code::kUnsupported, "frame of an unknown type");
  header.type = static_cast<Type>(type);
  header.flags = get<uint8_t>(bytes, kAtFlags);
  if ((header.flags & ~kFlagsAll) != 0) {
    return fail(Code::kUnsupported, "frame with an unknown flag");
  }
  if (get<uint8_t>(bytes, kAtReserved1) != 0) {
    return fail(Code::kUnsupported, "frame that uses a reserved field");
  }
  header.request_id = get<uint64_t>(bytes, kAtRequestId);
  header.volume = VolumeId(get<uint64_t>(bytes, kAtVolume));
  header.epoch = Epoch(get<uint64_t>(bytes, kAtEpoch));
  header.seq = Seq(get<uint64_t>(bytes, kAtSeq));
  header.range.first = get<uint64_t>(bytes, kAtFirstBlock);
  header.range.count = get<uint32_t>(bytes, kAtBlockCount);
  TRY_ASSIGN(header.error, decode_status(get<uint16_t>(bytes, kAtStatus)));
  header.member = get<uint8_t>(bytes, kAtMember);
  header.generation = Generation(get<uint64_t>(bytes, kAtGeneration));
  header.known_everywhere = Seq(get<uint64_t>(bytes, kAtKnownEverywhere));
  header.snapshot = SnapshotId(get<uint64_t>(bytes, kAtSnapshot));
  header.fence = get<uint32_t>(bytes, kAtFence);
  header.payload_bytes = get<uint32_t>(bytes, kAtPayloadBytes);
  header.payload_crc = get<uint32_t>(bytes, kAtPayloadCrc);
  TRY(check_consistent(header));
  return header;
}

uint32_t payload_crc(std::span<const ConstBuffer> parts) {
  uint32_t crc = 0;
  for (ConstBuffer part : parts) crc = crc32c(part.data(), part.size(), crc);
  return crc;
}

}  // namespace cleat::wire
