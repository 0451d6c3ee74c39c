// Work that may block for as long as cleatd is away, each piece on a thread of its own; what
// follows from it runs on the keeper's one thread.
//
// Threading: run() and finish() on the owning thread. A job may outlive the runner (a thread that
// hangs in the kernel can't be ended): it then has nobody to tell.
#pragma once

#include <functional>
#include <memory>

namespace cleat::keeper {

class JobRunner {
 public:
  using Completion = std::function<void()>;
  using Job = std::function<Completion()>;

  JobRunner();
  ~JobRunner();

  // Runs `job` on a new thread, and what it answers in a later finish().
  void run(Job job);
  // Readable while there is something to finish.
  int wake_fd() const;
  void finish();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace cleat::keeper
