#include "node/loop_thread.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "common/log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace cleat::node {
namespace {

// This thread serves block devices: it must not wait for memory whose reclaim waits for it.
void mark_io_flusher() {
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) {
    LOG_WARN(
        "prctl(PR_SET_IO_FLUSHER): {}: under memory pressure a device may hang (needs "
        "CAP_SYS_RESOURCE)",
        strerrordesc_np(errno));
  }
}

}  // namespace

Result<std::unique_ptr<LoopThread>> LoopThread::start() {
  TRY_ASSIGN(std::unique_ptr<io::EventLoop> loop, io::EventLoop::create());
  std::unique_ptr<LoopThread> started(new LoopThread(std::move(loop)));
  io::EventLoop* running = started->loop_.get();
  started->thread_ = std::thread([running] {
    pthread_setname_np(pthread_self(), "cleat-data");
    mark_io_flusher();
    running->run();
    running->shutdown();
  });
  return started;
}

LoopThread::~LoopThread() {
  loop_->stop();
  thread_.join();
}

void LoopThread::call(std::function<io::Task<void>()> make) {
  std::promise<void> promise;
  std::future<void> future = promise.get_future();
  loop_->post_from_any_thread([this, &make, &promise] { calls_.spawn(run_void(make, promise)); });
  future.get();
}

io::Task<void> LoopThread::run_void(std::function<io::Task<void>()>& make,
                                    std::promise<void>& promise) {
  io::Task<void> task = make();
  co_await std::move(task);
  promise.set_value();
}

}  // namespace cleat::node
