// Names of things, one type each. Zero means "none" for all of them.
#pragma once

#include <cstdint>

#include "common/strong.h"

namespace cleat {

// Random decimals of up to 18 digits (docs/adr/0001-identifiers.md).
using VolumeId = Strong<struct VolumeIdTag, uint64_t>;
using SnapshotId = Strong<struct SnapshotIdTag, uint64_t>;  // shares the number space of volumes
using NodeId = Strong<struct NodeIdTag, uint64_t>;
using PoolId = Strong<struct PoolIdTag, uint64_t>;

// Fencing number of a volume, raised at each attach (R3, R4).
using Epoch = Strong<struct EpochTag, uint64_t>;
// Number of a write inside an epoch; the first is 1.
using Seq = Strong<struct SeqTag, uint64_t>;
// Time stamp of the dirty map: raised by the primary after all members flushed (R8).
using Generation = Strong<struct GenerationTag, uint64_t>;

}  // namespace cleat
