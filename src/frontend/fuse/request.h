// Requests of the kernel as values, from the bytes of one read of /dev/fuse. Pure.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "common/buffer.h"
#include "common/result.h"
#include "frontend/byte_range.h"
#include "frontend/fuse/protocol.h"

namespace cleat::fuse {

struct Request {
  fuse_in_header header{};
  ConstBuffer body;  // what follows the header

  bool is(fuse_opcode opcode) const { return header.opcode == static_cast<uint32_t>(opcode); }
  // The body as one of the kernel's structures. kCorrupt when it is shorter.
  template <class T>
  Result<T> as() const {
    if (body.size() < sizeof(T))
      return fail(Code::kCorrupt, "a FUSE request is shorter than its kind");
    T value;
    std::memcpy(&value, body.data(), sizeof value);
    return value;
  }
  // The body as a name that ends with a zero byte. kCorrupt without one.
  Result<std::string_view> as_name() const;
};

// kCorrupt when header and size disagree.
Result<Request> parse_request(ConstBuffer bytes);

struct WriteRequest {
  frontend::ByteRange range;
  ConstBuffer data;  // in the request's bytes
};
Result<WriteRequest> parse_write(const Request& request);

struct FallocateRequest {
  frontend::ByteRange range;
  bool is_discard = false;  // punch a hole; otherwise zeroes
};
// kUnsupported for a mode that is neither of both.
Result<FallocateRequest> parse_fallocate(const Request& request);

}  // namespace cleat::fuse
