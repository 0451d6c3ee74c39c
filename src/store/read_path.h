// The way of a read: which layer each block comes from, and where that lies on the device.
// Internal.
#pragma once

#include "common/buffer.h"
#include "common/result.h"
#include "io/task.h"
#include "store/replica_store.h"

namespace cleat::store {

struct Layer;

// Blocks of the layer as it shows through its parents. The layer stays alive for the call.
io::Task<Result<void>> read_blocks(PoolCore& pool, const Layer& layer, BlockRange range,
                                   MutableBuffer into);

}  // namespace cleat::store
