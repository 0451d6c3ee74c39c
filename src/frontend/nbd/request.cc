#include "frontend/nbd/request.h"

#include "frontend/nbd/bytes.h"

namespace cleat::nbd {

Result<Request> parse_request(std::span<const std::byte, kRequestBytes> bytes) {
  if (load_u32(bytes.data()) != kRequestMagic) {
    return fail(Code::kCorrupt, "the client sent something that is no NBD request");
  }
  Request request;
  request.flags = load_u16(bytes.data() + 4);
  request.command = load_u16(bytes.data() + 6);
  request.cookie = load_u64(bytes.data() + 8);
  request.range.offset = load_u64(bytes.data() + 16);
  request.range.length = load_u32(bytes.data() + 24);
  if (request.payload_bytes() > kPayloadBytesMax) {
    return fail(Code::kLimit, "the client sent a write of more than 32 MiB");
  }
  return request;
}

namespace {

bool is_inside(const frontend::ByteRange& range, uint64_t size_bytes) {
  return range.offset <= size_bytes && range.length <= size_bytes - range.offset;
}

uint32_t judge_change(const Request& request, const ExportLimits& limits, uint16_t flags_known) {
  if ((request.flags & ~flags_known) != 0) return kErrorInvalid;
  if (limits.is_read_only) return kErrorPermission;
  // "The server SHOULD return ENOSPC for a write beyond the end of the export."
  return is_inside(request.range, limits.size_bytes) ? kErrorNone : kErrorNoSpace;
}

}  // namespace

uint32_t judge_request(const Request& request, const ExportLimits& limits) {
  switch (static_cast<Command>(request.command)) {
    case Command::kRead:
      if ((request.flags & ~kCommandFua) != 0) return kErrorInvalid;
      if (request.range.length > kPayloadBytesMax) return kErrorOverflow;
      return is_inside(request.range, limits.size_bytes) ? kErrorNone : kErrorInvalid;
    case Command::kWrite:
    case Command::kTrim: return judge_change(request, limits, kCommandFua);
    case Command::kWriteZeroes: return judge_change(request, limits, kCommandFua | kCommandNoHole);
    case Command::kFlush: return (request.flags & ~kCommandFua) == 0 ? kErrorNone : kErrorInvalid;
    case Command::kDisconnect: return kErrorNone;
  }
  return kErrorInvalid;
}

std::array<std::byte, kSimpleReplyBytes> encode_reply(uint64_t cookie, uint32_t error) {
  std::array<std::byte, kSimpleReplyBytes> bytes;
  store(bytes.data(), kSimpleReplyMagic);
  store(bytes.data() + 4, error);
  store(bytes.data() + 8, cookie);
  return bytes;
}

}  // namespace cleat::nbd
