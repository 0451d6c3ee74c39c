// The kernel of a host, as far as the device of a shared volume is concerned: it keeps every
// request until a process has answered it, and sends it to the next process when one was killed.
//
// Threading: the simulator's loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "engine/shared_device.h"
#include "io/task_group.h"
#include "sim/cluster/planted_bug.h"
#include "sim/simulated_loop.h"

namespace cleat::sim {

class KernelDevice final : public engine::BlockDevice {
 public:
  KernelDevice(SimulatedLoop& loop, PlantedBug bug)
      : loop_(loop), confirms_early_(bug == PlantedBug::kConfirmEarly), changed_(loop) {}

  // A process serves it from now on, also what one before had no answer to; returns when it has
  // got all of that.
  io::Task<void> serve(std::shared_ptr<engine::SharedDevice> device);
  // The process was killed: its answers count no more.
  void process_killed();
  // The host lost its power, or the device was taken down: requests are never answered.
  void gone();

  // The device exists, whether or not a process serves it now.
  bool exists() const { return exists_; }
  const std::shared_ptr<engine::SharedDevice>& served_by() const { return device_; }
  bool idle() const { return under_way_ == 0; }
  // A change was carried out, and its answer is on the way here.
  bool answering() const { return answering_ > 0; }

  uint64_t size_bytes() const override { return device_ ? device_->size_bytes() : 0; }
  io::Task<Result<void>> read(BlockRange range, MutableBuffer into) override;
  io::Task<Result<void>> write(BlockRange range, ConstBuffer from,
                               engine::WriteFlags flags) override;
  io::Task<Result<void>> zero(BlockRange range, engine::WriteFlags flags) override;
  io::Task<Result<void>> flush() override;

 private:
  using Request = std::function<io::Task<Result<void>>(engine::BlockDevice&)>;
  struct Attempt;
  io::Task<Result<void>> run(Request request, BlockRange changes);
  io::Task<void> send(const Request& request, BlockRange changes, std::shared_ptr<Attempt> attempt);

  SimulatedLoop& loop_;
  const bool confirms_early_;
  io::WaitQueue changed_;
  std::shared_ptr<engine::SharedDevice> device_;
  uint64_t process_ = 0;
  uint64_t life_ = 0;  // of the device itself
  bool exists_ = false;
  uint32_t under_way_ = 0;
  uint32_t unsent_ = 0;
  uint32_t answering_ = 0;
};

}  // namespace cleat::sim
