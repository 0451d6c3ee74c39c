// How much space a volume takes, and where two states of it differ. Internal.
#pragma once

#include <optional>

#include "store/replica_store.h"

namespace cleat::store {

struct Layer;

// Contracts: ReplicaStore::usage() and next_changed().
Usage usage_of(const PoolCore& pool, const Replica& replica);
BlockRange next_changed_blocks(const PoolCore& pool, const Layer& view, const Layer* base,
                               uint64_t size_blocks, uint64_t from, uint32_t count_max);

}  // namespace cleat::store
