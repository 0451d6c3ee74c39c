// Bytes as one read of /dev/fuse: the kernel is trusted, a kernel of another version may surprise.
// Every request that is answered is answered with a header that says its own length.
#include <cstring>

#include "common/check.h"
#include "frontend/fuse/metadata.h"
#include "frontend/fuse/request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cleat;
  Result<fuse::Request> request =
      fuse::parse_request({reinterpret_cast<const std::byte*>(data), size});
  if (!request) return 0;
  Result<fuse::WriteRequest> write = fuse::parse_write(*request);
  if (write) CHECK(write->data.size() == write->range.length, "a write has the data it says");
  static_cast<void>(fuse::parse_fallocate(*request));
  static_cast<void>(fuse::is_silent(*request));
  fuse::Answer answer = fuse::answer_metadata(*request, uint64_t{1} << 30);
  fuse_out_header header{};
  CHECK(answer.bytes().size() >= sizeof header, "an answer has a header");
  std::memcpy(&header, answer.bytes().data(), sizeof header);
  CHECK(header.len == answer.bytes().size(), "an answer is as long as it says");
  CHECK(header.unique == request->header.unique, "an answer names its request");
  CHECK(header.error <= 0, "errors are negative errno values");
  return 0;
}
