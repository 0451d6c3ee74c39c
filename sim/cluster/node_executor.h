// The loop of one simulated process: it can be paused (SIGSTOP) and its clock drifts.
//
// Threading: none. Lifetime: outlives everything that runs on it.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "sim/simulated_loop.h"

namespace cleat::sim {

class NodeExecutor final : public io::Executor {
 public:
  // drift_ppm: parts per million by which this clock is fast (or slow, when negative).
  NodeExecutor(SimulatedLoop& loop, int64_t drift_ppm) : loop_(loop), drift_ppm_(drift_ppm) {}

  TimePoint now() const override { return TimePoint(stretch(loop_.now().time_since_epoch())); }
  void post(std::coroutine_handle<> handle) override;
  void arm(io::Timer& timer) override;
  void cancel(io::Timer& timer) override;

  // Nothing runs until resume(); time goes on.
  void pause() { paused_ = true; }
  void resume();
  bool paused() const { return paused_; }

 private:
  struct Armed {
    io::Timer* timer;
    bool cancelled = false;
  };
  static io::Task<void> fire(NodeExecutor& executor, std::shared_ptr<Armed> armed, TimePoint at);
  Duration stretch(Duration time) const { return time + time / 1'000'000 * drift_ppm_; }
  Duration shrink(Duration time) const { return time - time / 1'000'000 * drift_ppm_; }

  SimulatedLoop& loop_;
  int64_t drift_ppm_;
  bool paused_ = false;
  std::vector<std::coroutine_handle<>> held_;
  std::map<io::Timer*, std::shared_ptr<Armed>> armed_;
};

}  // namespace cleat::sim
