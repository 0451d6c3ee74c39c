#include "frontend/fuse/request.h"

#include <linux/falloc.h>

namespace cleat::fuse {

Result<Request> parse_request(ConstBuffer bytes) {
  Request request;
  if (bytes.size() < sizeof request.header) {
    return fail(Code::kCorrupt, "a FUSE request is shorter than its header");
  }
  std::memcpy(&request.header, bytes.data(), sizeof request.header);
  if (request.header.len != bytes.size()) {
    return fail(Code::kCorrupt, "a FUSE request is not as long as it says");
  }
  request.body = bytes.subspan(sizeof request.header);
  return request;
}

Result<std::string_view> Request::as_name() const {
  std::string_view text(reinterpret_cast<const char*>(body.data()), body.size());
  size_t end = text.find('\0');
  if (end == std::string_view::npos)
    return fail(Code::kCorrupt, "a name in a FUSE request has no end");
  return text.substr(0, end);
}

Result<WriteRequest> parse_write(const Request& request) {
  TRY_ASSIGN(fuse_write_in in, request.as<fuse_write_in>());
  ConstBuffer data = request.body.subspan(sizeof in);
  if (data.size() != in.size || in.size > kWriteBytesMax) {
    return fail(Code::kCorrupt, "a FUSE write has another length than it says");
  }
  return WriteRequest{{in.offset, in.size}, data};
}

Result<FallocateRequest> parse_fallocate(const Request& request) {
  TRY_ASSIGN(fuse_fallocate_in in, request.as<fuse_fallocate_in>());
  uint32_t kind = in.mode & ~uint32_t{FALLOC_FL_KEEP_SIZE};
  bool is_punch = kind == FALLOC_FL_PUNCH_HOLE;
  if (!is_punch && kind != FALLOC_FL_ZERO_RANGE) {
    return fail(Code::kUnsupported, "only holes and zeroes can be allocated");
  }
  return FallocateRequest{{in.offset, in.length}, is_punch};
}

}  // namespace cleat::fuse
