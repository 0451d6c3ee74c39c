// Opening a pool: superblock, catalog, extent table, journal, scratch; then the layers' indexes and
// the allocators from what these say. Internal.
//
// Nothing is changed on the device before everything has been read and understood. Then: flush
// (what a dead process wrote is durable before anything says that it is valid), one batch with
// every slot that the newest batch or the scratch log left in doubt, and the superblock of the new
// open.
#pragma once

#include <memory>

#include "common/result.h"
#include "io/task.h"
#include "store/pool_core.h"

namespace cleat::store {

struct FoundSuperblock {
  Superblock superblock;
  uint64_t damaged = 0;  // copies
};

// kCorrupt: both damaged. kUnsupported: a valid one of another version.
io::Task<Result<FoundSuperblock>> find_superblock(io::Disk& disk);

// Fills an empty core. After it the pool takes operations.
io::Task<Result<void>> recover(PoolCore& pool, uint64_t superblocks_damaged);

}  // namespace cleat::store
