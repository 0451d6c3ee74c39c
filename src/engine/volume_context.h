// What a volume is opened with.
#pragma once

#include "engine/members.h"
#include "engine/volume_registry.h"
#include "io/buffer_pool.h"
#include "io/executor.h"

namespace cleat::engine {

struct VolumeContext {
  io::Executor& executor;
  io::BufferPool& buffers;
  VolumeRegistry& registry;
  NodeId self;
  MemberFactory make_member;
  // How long an operation may wait for a member to come back before it fails with kTimedOut (R10).
  Duration wait_max = std::chrono::minutes(5);
  uint64_t resync_bytes_per_second_max = 0;  // 0: no limit
};

struct AttachRequest {
  bool take_over = false;        // another node is recorded as primary: fence it (R3)
  bool earlier_process = false;  // an earlier process of this node was the primary, and has ended
};

}  // namespace cleat::engine
