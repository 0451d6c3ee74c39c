// The metadata of a volume as the rules see it. Its stored form is api/meta.proto.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/units.h"

namespace cleat::core {

inline constexpr uint32_t kSharersMax = 16;
inline constexpr uint32_t kReplicasMax = 4;  // HA level 3, and one more while a replica moves

// A replica keeps its index in the record for life; an index is not used again while a record of it
// exists.
using MemberIndex = uint8_t;
inline constexpr MemberIndex kNoMember = 0xff;

enum class ReplicaState : uint8_t {
  kInSync = 1,  // has every acknowledged write
  kStale = 2,   // left the in-sync set; resync brings it back (R8)
  kNew = 3,     // never was in sync: rebuild copies everything
};

struct ReplicaRecord {
  MemberIndex index = kNoMember;
  NodeId node;
  PoolId pool;
  ReplicaState state = ReplicaState::kNew;
  // Stale: the generation in force when it left; regions at or above it may differ (R8). New: 0.
  Generation left_at;
  // Its dirty map tells of every change at or above this: when it was let in it knew no older ones.
  Generation complete_from{};

  bool operator==(const ReplicaRecord&) const = default;
};

struct SnapshotRecord {
  SnapshotId id;
  std::string name;
  uint64_t created_unix_ms = 0;
  uint64_t size_blocks = 0;
  // Current when it was frozen: what a replica that left at or below holds under this id, from an
  // attempt that failed, is another state.
  Generation taken_at{};

  bool operator==(const SnapshotRecord&) const = default;
};

// What one etcd key holds, changed only by compare-and-set on its revision.
struct VolumeRecord {
  VolumeId id;
  uint64_t size_blocks = 0;
  Epoch epoch;            // of the newest attach; 0: never attached
  NodeId primary;         // the node it is attached on; none: detached
  bool clean = true;      // the last detach was orderly: all flushed, all equal
  Epoch opened;           // the newest attach that got as far as serving I/O
  Generation generation;  // members in sync are equal but for what is dirty at or above it
  std::vector<ReplicaRecord> replicas;
  std::vector<SnapshotRecord> snapshots;  // oldest first: the layers below the top
  // Nodes that have a device of a shared volume, the primary too; none: it is not attached so.
  std::vector<NodeId> sharers;
  SnapshotId restoring;  // the top is being made this one: who attaches finishes it
  // A clone's base: a snapshot of another volume; none for a volume of its own.
  VolumeId parent_volume;
  SnapshotId parent_snapshot;

  bool operator==(const VolumeRecord&) const = default;

  bool has_sharer(NodeId node) const {
    return std::find(sharers.begin(), sharers.end(), node) != sharers.end();
  }
  const ReplicaRecord* find(MemberIndex index) const {
    for (const auto& replica : replicas) {
      if (replica.index == index) return &replica;
    }
    return nullptr;
  }
  ReplicaRecord* find(MemberIndex index) {
    return const_cast<ReplicaRecord*>(std::as_const(*this).find(index));
  }
};

// A write that a replica holds, as it reports it at a takeover (R7).
struct RecentWrite {
  Seq seq;
  BlockRange range;
  bool operator==(const RecentWrite&) const = default;
};

}  // namespace cleat::core
