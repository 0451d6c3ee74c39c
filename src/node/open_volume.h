// A volume that this node is the primary of, and, when it is a shared one, what serves its sharers.
//
// Threading: the loop. Lifetime: detach() or stop() must have returned before it dies.
#pragma once

#include <memory>

#include "engine/share_service.h"
#include "engine/volume.h"
#include "io/task_group.h"

namespace cleat::node {

class OpenVolume {
 public:
  OpenVolume(std::unique_ptr<engine::Volume> volume, io::Executor& executor,
             engine::ShareService& shares);
  ~OpenVolume();

  engine::Volume& volume() { return *volume_; }
  // From now on its sharers are served. Any number of times.
  void share();
  // Null when it is not shared.
  engine::SharedVolume* shared() { return shared_.get(); }

  io::Task<Result<void>> detach();
  io::Task<void> stop();
  // What sharers wait for, or ask for later, fails with kClosed: the first part of both.
  void end_sharing();

 private:
  io::Task<void> sharing_ended();

  std::unique_ptr<engine::Volume> volume_;
  io::Executor& executor_;
  engine::ShareService& shares_;
  std::unique_ptr<engine::SharedVolume> shared_;
  io::TaskGroup group_;
};

}  // namespace cleat::node
