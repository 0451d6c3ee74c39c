#include "keeper/job_runner.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <mutex>
#include <thread>
#include <vector>

#include "io/file_descriptor.h"

namespace cleat::keeper {

struct JobRunner::Shared {
  std::mutex mutex;
  std::vector<Completion> done;  // guarded by mutex
  io::FileDescriptor wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
};

JobRunner::JobRunner() : shared_(std::make_shared<Shared>()) {}
JobRunner::~JobRunner() = default;

void JobRunner::run(Job job) {
  std::thread([shared = shared_, job = std::move(job)] {
    Completion completion = job();
    {
      std::lock_guard lock(shared->mutex);
      shared->done.push_back(std::move(completion));
    }
    ::eventfd_write(shared->wake.get(), 1);
  }).detach();
}

int JobRunner::wake_fd() const { return shared_->wake.get(); }

void JobRunner::finish() {
  eventfd_t count = 0;
  ::eventfd_read(shared_->wake.get(), &count);
  std::vector<Completion> done;
  {
    std::lock_guard lock(shared_->mutex);
    done.swap(shared_->done);
  }
  for (const Completion& completion : done) completion();
}

}  // namespace cleat::keeper
