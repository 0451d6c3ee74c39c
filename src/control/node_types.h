// What control and its node's data plane tell each other. Plain values; sizes are bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/ids.h"
#include "core/types.h"

namespace cleat::control {

enum class Frontend : uint8_t { kFuse = 1, kNbd = 2 };

struct AttachOptions {
  Frontend frontend = Frontend::kFuse;
  std::string volume_name;  // of the device link /dev/cleat/<name> and the NBD export
  // Another node is recorded as primary and control found it gone, or a person forced it (R3, R5).
  bool take_over = false;
  // The volume may have devices on several nodes (spec.shared, ADR 9). FUSE only.
  bool shared = false;
  // With shared: it stays open where it is, and the device made here reaches it there.
  bool through_primary = false;
};

struct AttachedVolume {
  VolumeId volume;
  Frontend frontend = Frontend::kFuse;
  std::string device;  // /dev/cleat/NAME; empty for NBD
  std::string uri;     // nbd+unix:///NAME?socket=...; empty for FUSE
};

struct PoolInfo {
  PoolId pool;
  std::string path;
  std::string pool_class;  // ssd, hdd, nvme: free words of the cluster's owner
  uint64_t capacity_bytes = 0;
  uint64_t used_bytes = 0;
  uint64_t free_bytes = 0;
  bool failed = false;  // a device error: read-only until reopened
  std::string problem;  // in words; empty when healthy
};

struct PoolCreate {
  std::string path;  // a file (made when missing) or a block device
  uint64_t size_bytes = 0;
  std::string pool_class;
  bool overwrite = false;  // format over an old pool
};

struct UsageInfo {
  uint64_t used_bytes = 0;
  uint64_t shared_bytes = 0;
  uint64_t snapshot_bytes = 0;
  uint64_t reclaimable_bytes = 0;
};

// One replica in a pool of this node, as its catalog has it (R11).
struct LocalReplica {
  VolumeId volume;
  PoolId pool;
  uint64_t size_blocks = 0;
  Epoch epoch;
  std::string catalog;  // the bytes of R11 (record_codec.h); empty when none were stored yet
};

struct ReplicaUsage {
  VolumeId volume;
  PoolId pool;
  uint64_t size_blocks = 0;
  UsageInfo usage;
};

struct ResyncInfo {
  core::MemberIndex member = core::kNoMember;
  NodeId node;
  bool rebuild = false;  // copies everything
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
  uint64_t bytes_per_second = 0;
  uint64_t seconds_left = 0;
};

// A volume that is open here. What isn't known is left empty.
struct VolumeRuntime {
  bool open = false;  // with a frontend or without one (healing)
  bool attached = false;
  std::string device;
  std::string uri;
  Epoch epoch;
  std::vector<core::MemberIndex> in_sync;
  std::vector<core::MemberIndex> unreachable;
  std::vector<ResyncInfo> resyncs;
  std::string stalled;  // why I/O waits now, in words; empty when it doesn't
};

struct VolumeStats {
  uint64_t reads = 0, read_bytes = 0, read_ns = 0;
  uint64_t writes = 0, written_bytes = 0, write_ns = 0;
  uint64_t flushes = 0, flush_ns = 0;
  uint64_t discards = 0, discarded_bytes = 0;
  uint64_t in_flight = 0;
  uint64_t read_repairs = 0, io_errors = 0;
};

// Digest of one replica read alone.
struct ReplicaDigest {
  core::MemberIndex member = core::kNoMember;
  NodeId node;
  core::ReplicaState state = core::ReplicaState::kNew;
  std::string digest;   // hexadecimal; empty when it could not be read
  std::string problem;  // why it could not be read
};

struct CheckResult {
  bool equal = false;  // every in-sync replica was read and all digests are the same
  uint64_t compared_bytes = 0;
  std::vector<ReplicaDigest> replicas;
  std::vector<core::SnapshotRecord> snapshots;  // that were compared too
};

}  // namespace cleat::control
