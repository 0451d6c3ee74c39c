#include "common/crc32c.h"

#include <isa-l/crc.h>

namespace cleat {

uint32_t crc32c(const void* data, size_t size, uint32_t seed) {
  auto* bytes = const_cast<unsigned char*>(static_cast<const unsigned char*>(data));
  return ~crc32_iscsi(bytes, static_cast<int>(size), ~seed);
}

}  // namespace cleat
