#include "sim/cluster/kernel_device.h"

namespace cleat::sim {

// One request given to one process.
struct KernelDevice::Attempt {
  std::shared_ptr<engine::SharedDevice> device;
  uint64_t process = 0;
  std::optional<Result<void>> answer;
};

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
  changed_.notify_all();
}

void KernelDevice::gone() {
  ++life_;
  exists_ = false;
  process_killed();
}

io::Task<void> KernelDevice::send(const Request& request, BlockRange changes,
                                  std::shared_ptr<Attempt> attempt) {
  io::Task<Result<void>> sent = request(*attempt->device);
  Result<void> answer = co_await std::move(sent);
  if (confirms_early_ && changes.count > 0) attempt->device->delivered(changes);
  // The answer's way to the kernel: a process may be killed before it is there.
  if (changes.count > 0) ++answering_;
  if (loop_.random().chance(0.1)) co_await loop_.sleep(1ms);
  if (changes.count > 0) --answering_;
  if (attempt->process == process_ && changes.count > 0) attempt->device->delivered(changes);
  attempt->answer = answer;
  changed_.notify_all();
}

io::Task<Result<void>> KernelDevice::run(Request request, BlockRange changes) {
  const uint64_t life = life_;
  ++under_way_;
  io::TaskGroup attempts;  // also those of killed processes, which have the caller's memory
  Result<void> result = fail(Code::kClosed, "the device is gone");
  while (life == life_) {
    ++unsent_;
    while (device_ == nullptr && life == life_) co_await changed_.wait();
    --unsent_;
    if (life != life_) break;
    auto attempt = std::make_shared<Attempt>(Attempt{device_, process_, {}});
    attempts.spawn(send(request, changes, attempt));
    while (!attempt->answer && attempt->process == process_) co_await changed_.wait();
    if (attempt->process != process_) continue;
    result = *attempt->answer;
    break;
  }
  co_await attempts.close();
  --under_way_;
  co_return result;
}

io::Task<Result<void>> KernelDevice::read(BlockRange range, MutableBuffer into) {
  return run([=](engine::BlockDevice& device) { return device.read(range, into); }, {});
}

io::Task<Result<void>> KernelDevice::write(BlockRange range, ConstBuffer from,
                                           engine::WriteFlags flags) {
  return run([=](engine::BlockDevice& device) { return device.write(range, from, flags); }, range);
}

io::Task<Result<void>> KernelDevice::zero(BlockRange range, engine::WriteFlags flags) {
  return run([=](engine::BlockDevice& device) { return device.zero(range, flags); }, range);
}

io::Task<Result<void>> KernelDevice::flush() {
  return run([](engine::BlockDevice& device) { return device.flush(); }, {});
}

}  // namespace cleat::sim
