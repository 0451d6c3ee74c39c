// CRC-32C (Castagnoli, RFC 3720 appendix B.4), computed by ISA-L.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cleat {

// Checksum of `size` bytes; pass an earlier result as `seed` to go on. crc32c("123456789") =
// 0xe3069283.
uint32_t crc32c(const void* data, size_t size, uint32_t seed = 0);

}  // namespace cleat
