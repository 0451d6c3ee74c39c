// Requests and replies of the transmission phase, as bytes and as values. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "common/result.h"
#include "frontend/byte_range.h"
#include "frontend/nbd/protocol.h"

namespace cleat::nbd {

struct Request {
  uint16_t flags = 0;
  uint16_t command = 0;  // a Command, or a number that is none
  uint64_t cookie = 0;
  frontend::ByteRange range;

  bool is(Command other) const { return command == static_cast<uint16_t>(other); }
  bool is_fua() const { return (flags & kCommandFua) != 0; }
  // Bytes that follow the request in the stream, whether it is valid or not.
  uint64_t payload_bytes() const { return is(Command::kWrite) ? range.length : 0; }
};

// kCorrupt when this is no request: the stream is lost then.
Result<Request> parse_request(std::span<const std::byte, kRequestBytes> bytes);

struct ExportLimits {
  uint64_t size_bytes = 0;
  bool is_read_only = false;
};

// kErrorNone, or the error that the client gets without the device being asked.
uint32_t judge_request(const Request& request, const ExportLimits& limits);

std::array<std::byte, kSimpleReplyBytes> encode_reply(uint64_t cookie, uint32_t error);

}  // namespace cleat::nbd
