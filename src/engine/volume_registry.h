// Port: the volume's metadata record (etcd), as the primary reads and changes it (R2, R3).
//
// Threading: called on the loop; the answer comes on the loop. A call bounds its own waiting.
#pragma once

#include <string>

#include "common/ids.h"
#include "common/result.h"
#include "core/types.h"
#include "io/task.h"

namespace cleat::engine {

struct VersionedRecord {
  core::VolumeRecord record;
  uint64_t revision = 0;
};

class VolumeRegistry {
 public:
  virtual ~VolumeRegistry() = default;
  // kNotFound, kUnreachable, kTimedOut; kClosed, for good, once this process is to end.
  virtual io::Task<Result<VersionedRecord>> load(VolumeId volume) = 0;
  // Stores `next` if the record still has this revision; gives the new one. kConflict: it has not.
  // After kUnreachable and kTimedOut it may or may not have been stored.
  virtual io::Task<Result<uint64_t>> compare_and_store(uint64_t revision,
                                                       const core::VolumeRecord& next) = 0;
  // The bytes that each replica's catalog keeps of the record (R11).
  virtual std::string encode(const core::VolumeRecord& record) const = 0;
};

}  // namespace cleat::engine
