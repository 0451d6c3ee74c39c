// The way of a write and of a zero through the store. Internal.
#pragma once

#include "common/buffer.h"
#include "common/result.h"
#include "io/task.h"
#include "store/replica_store.h"

namespace cleat::store {

inline constexpr uint32_t kWriteBlocksMax = 4096;  // 16 MiB in one write()

// Contracts: ReplicaStore::write() and zero().
io::Task<Result<void>> write_blocks(PoolCore& pool, Replica& replica, WriteAt at, ConstBuffer data);
io::Task<Result<void>> zero_blocks(PoolCore& pool, Replica& replica, WriteAt at);

// Before anything of the volume changes: the intent is durable, the write is listed, the regions
// stamped.
io::Task<Result<void>> open_intents(PoolCore& pool, Replica& replica, BlockRange range);
void note_write(PoolCore& pool, Replica& replica, const WriteAt& at);

inline uint32_t extent_of(uint64_t block) {
  return static_cast<uint32_t>(block / kBlocksPerExtent);
}
// The blocks of `range` that lie in the logical extent, as bits.
uint32_t mask_in(BlockRange range, uint32_t logical);

}  // namespace cleat::store
