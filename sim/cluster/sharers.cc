// The volume as a shared one (ADR 9): clients on every host use the device there.
#include <fmt/format.h>

#include "sim/cluster/cluster.h"

namespace cleat::sim {

// Every host has the device; now and then one takes it down, or makes it anew.
io::Task<void> Cluster::keep_shared(HostIndex host) {
  KernelDevice& kernel = *kernels_[host];
  while (!load_stopped_) {
    Duration pause = random_time(50, 250);
    co_await loop_.sleep(pause);
    Process* here = process(host);
    if (here == nullptr || !here->started() || here->busy) continue;
    here->busy = true;
    co_await share_on(host, *here, kernel);
    here->busy = false;
  }
}

io::Task<void> Cluster::share_on(HostIndex host, Process& here, KernelDevice& kernel) {
  std::shared_ptr<engine::SharedDevice> serving = kernel.served_by();
  const bool expelled = serving && serving->ended();
  const bool taken_down = serving && kernel.idle() && loop_.random().chance(0.01);
  if (expelled || taken_down) {
    note(fmt::format("host {}: {}", host, expelled ? "expelled" : "leaves"));
    ++fault_counts_[expelled ? "expelled" : "leave"];
    kernel.gone();
    co_await here.leave_share();
    co_return;
  }
  if (serving) co_return;
  using Begin = engine::SharedDevice::Begin;
  const bool resumes = kernel.exists();
  auto device = co_await here.share(kVolume, resumes ? Begin::kResumed : Begin::kNew);
  if (!device || here.is_cut()) co_return;
  note(fmt::format("host {}: shares{}", host, resumes ? " again" : ""));
  ++fault_counts_[resumes ? "resume" : "share"];
  co_await kernel.serve(*device);
  if (!here.is_cut()) (*device)->resent();
}

// The device is taken down: what its kernel got no answer to holds nobody up.
io::Task<void> Cluster::end_share(Process& here) {
  while (here.busy) co_await loop_.sleep(10ms);
  here.busy = true;
  co_await here.leave_share();
  here.busy = false;
}

// A sharer's process ends with a request under way, and the next one is there at once.
io::Task<void> Cluster::fault_killed_sharer() {
  HostIndex host = random_host();
  HostIndex primary = kHosts;
  if (process(host) == nullptr || open_volume(&primary) == nullptr || primary == host) co_return;
  Act act(*this, "killed sharer");
  TimePoint give_up_at = loop_.now() + 100ms;
  const bool answered = loop_.random().chance(0.5);
  KernelDevice& kernel = *kernels_[host];
  while (!(answered ? kernel.answering() : !kernel.idle()) && loop_.now() < give_up_at) {
    co_await loop_.sleep(20us);
  }
  Duration into = std::chrono::microseconds(static_cast<int64_t>(loop_.random().below(600)));
  co_await loop_.sleep(into);
  kill_node(host, false);
  Duration away = random_time(1, 50);
  co_await restart_node(host, away);
}

// A host that has the device, also one whose process is dead just now; null when there is none.
KernelDevice* Cluster::shared_device(Random& random) {
  std::vector<KernelDevice*> devices;
  for (const auto& kernel : kernels_) {
    if (kernel->exists() && kernel->size_bytes() > 0) devices.push_back(kernel.get());
  }
  return devices.empty() ? nullptr : devices[random.below(devices.size())];
}

}  // namespace cleat::sim
