#include "csi/capacity.h"

#include <algorithm>

namespace cleat::csi {

Outcome<SizeRange> parse_range(const spec::CapacityRange& range) {
  if (range.required_bytes() < 0 || range.limit_bytes() < 0) {
    return failure(Code::kInvalidArgument, "the capacity range is negative");
  }
  SizeRange out{static_cast<uint64_t>(range.required_bytes()),
                static_cast<uint64_t>(range.limit_bytes())};
  if (out.limit != 0 && out.limit < out.required) {
    return failure(Code::kInvalidArgument, "the capacity limit {} is below the required {}",
                   out.limit, out.required);
  }
  return out;
}

Outcome<uint64_t> choose_size(const SizeRange& range, uint64_t least) {
  uint64_t wanted = range.required;
  if (wanted == 0) wanted = range.limit == 0 ? kSizeDefault : std::min(kSizeDefault, range.limit);
  wanted = std::max(wanted, least);
  if (wanted > kSizeMax) {
    return failure(Code::kOutOfRange, "{} is more than a volume can have: at most {}",
                   format_size(wanted), format_size(kSizeMax));
  }
  uint64_t size = (wanted + kBlockSize - 1) / kBlockSize * kBlockSize;
  // Without a required size the limit alone says how far down it may go.
  if (range.limit != 0 && size > range.limit && range.required == 0 && least <= range.limit) {
    size = range.limit / kBlockSize * kBlockSize;
  }
  if (range.limit != 0 && size > range.limit) {
    return failure(Code::kOutOfRange,
                   "the least size that is possible, {} bytes, is above the "
                   "limit {}",
                   size, range.limit);
  }
  return size;
}

}  // namespace cleat::csi
