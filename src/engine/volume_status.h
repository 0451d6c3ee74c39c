// What a volume tells about itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/time.h"
#include "core/member_set.h"

namespace cleat::engine {

struct VolumeCounters {
  uint64_t reads = 0, read_bytes = 0, read_ns = 0;
  uint64_t writes = 0, written_bytes = 0, write_ns = 0;
  uint64_t flushes = 0, flush_ns = 0;
  uint64_t discards = 0, discarded_bytes = 0;
  uint64_t read_repairs = 0;
  uint64_t io_errors = 0;
};

struct ResyncProgress {
  core::MemberIndex member = core::kNoMember;  // none: no resync runs
  bool rebuild = false;
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
  uint64_t copied_bytes = 0;  // of those, what differed and went over
  TimePoint started;
};

struct VolumeStatus {
  core::MemberSet in_sync;
  core::MemberSet unreachable;  // failed, and not in sync or not yet removed
  ResyncProgress resync;
  TimePoint now;
  uint32_t in_flight = 0;
  std::string stalled;  // why I/O waits, in words; empty when it does not
};

struct ReplicaDigest {
  core::MemberIndex member = core::kNoMember;
  uint64_t digest = 0;
  std::string problem;  // why it could not be read; empty when it was
};

struct CheckReport {
  bool equal = false;  // every in-sync replica was read, and all digests are the same
  uint64_t compared_bytes = 0;
  std::vector<ReplicaDigest> replicas;
};

}  // namespace cleat::engine
