// How much of the pool may be allocated: grows the pool file ahead of need, in zeroed slabs, and
// keeps the reserve.
#pragma once

#include <cstdint>

#include "common/result.h"
#include "common/time.h"
#include "io/sync.h"
#include "io/task.h"

namespace cleat::store {

class PoolCore;

class Space {
 public:
  explicit Space(PoolCore& pool);

  // Extents inside the file or device as it is now.
  uint32_t available_count() const;
  uint64_t capacity_bytes() const;
  uint64_t used_bytes() const;
  uint64_t free_bytes() const { return capacity_bytes() - used_bytes(); }

  // Waits until `count` extents can be allocated. kNoSpace: not by growing nor by what is about to
  // be freed, or not without the reserve.
  io::Task<Result<void>> wait_for(uint32_t count);
  bool has(uint32_t count) const;
  // Begins to grow in the background when little is left.
  void grow_ahead();
  void notify() { changed_.notify_all(); }

 private:
  io::Task<void> grow();
  bool can_grow() const;

  PoolCore& pool_;
  io::WaitQueue changed_;
  bool growing_ = false;
  bool cannot_grow_ = false;  // a device of fixed size
  TimePoint retry_at_{};      // after the filesystem was full
};

}  // namespace cleat::store
