#include "sim/cluster/kernel_device.h"

namespace cleat::sim {

io::Task<void> KernelDevice::serve(std::shared_ptr<engine::SharedDevice> device) {
  device_ = std::move(device);
  exists_ = true;
  changed_.notify_all();
  const uint64_t process = process_;
  while (unsent_ > 0 && process == process_) co_await loop_.yield();
}

void KernelDevice::process_killed() {
  ++process_;
  device_.reset();
}

void KernelDevice::gone() {
  process_killed();
  ++life_;
  exists_ = false;
  changed_.notify_all();
}

io::Task<Result<void>> KernelDevice::run(Request request) {
  const uint64_t life = life_;
  ++under_way_;
  Result<void> result = fail(Code::kClosed, "the device is gone");
  while (life == life_) {
    ++unsent_;
    while (device_ == nullptr && life == life_) co_await changed_.wait();
    --unsent_;
    if (life != life_) break;
    std::shared_ptr<engine::SharedDevice> device = device_;
    const uint64_t process = process_;
    io::Task<Result<void>> sent = request(*device);
    Result<void> answer = co_await std::move(sent);
    if (process != process_) continue;
    result = answer;
    break;
  }
  --under_way_;
  co_return result;
}

io::Task<Result<void>> KernelDevice::read(BlockRange range, MutableBuffer into) {
  return run([=](engine::BlockDevice& device) { return device.read(range, into); });
}

io::Task<Result<void>> KernelDevice::write(BlockRange range, ConstBuffer from,
                                           engine::WriteFlags flags) {
  return run([=](engine::BlockDevice& device) { return device.write(range, from, flags); });
}

io::Task<Result<void>> KernelDevice::zero(BlockRange range, engine::WriteFlags flags) {
  return run([=](engine::BlockDevice& device) { return device.zero(range, flags); });
}

io::Task<Result<void>> KernelDevice::flush() {
  return run([](engine::BlockDevice& device) { return device.flush(); });
}

}  // namespace cleat::sim
