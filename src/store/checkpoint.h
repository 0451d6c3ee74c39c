// Moves what the journal holds into the extent table and the catalog, so that the ring can go on.
// In the background and beside all other work; writers wait for it only when the ring is full.
#pragma once

#include <cstdint>
#include <vector>

#include "common/buffer.h"
#include "common/result.h"
#include "io/task.h"

namespace cleat::store {

class PoolCore;

class Checkpoint {
 public:
  explicit Checkpoint(PoolCore& pool) : pool_(pool) {}
  // Begins one unless one is under way.
  void request();
  bool running() const { return running_; }
  // One whole checkpoint. Not while running().
  io::Task<Result<void>> run_now();

 private:
  io::Task<void> run();
  io::Task<Result<void>> write_pages(const std::vector<uint32_t>& pages);
  void build_page(uint32_t page, MutableBuffer block) const;

  PoolCore& pool_;
  AlignedBuffer buffer_;
  bool running_ = false;
};

}  // namespace cleat::store
