// After the faults: everything is healed, and then all must be well.
#include <fmt/format.h>

#include "sim/cluster/cluster.h"

namespace cleat::sim {
namespace {

constexpr Duration kHealMax = std::chrono::seconds(300);

}  // namespace

io::Task<void> Cluster::heal_and_check(bool& done) {
  std::string unhealed = co_await heal_and_open();
  if (!unhealed.empty()) wrong(std::move(unhealed));
  note("the end: processes stop");
  for (HostIndex host = 0; host < kHosts; ++host) co_await process(host)->unwind();
  done = true;
}

io::Task<std::string> Cluster::heal_and_open() {
  note("healing");
  for (HostIndex a = 0; a < kHosts; ++a) {
    for (HostIndex b = 0; b < a; ++b) fabric_.heal(a, b);
    meta_.set_reachable(a, true);
    if (process(a) && process(a)->executor().paused()) process(a)->executor().resume();
  }
  co_await group_.close();  // clients end, faults under way heal, nodes come back
  for (HostIndex host = 0; host < kHosts; ++host) co_await start_node(host);

  TimePoint give_up_at = loop_.now() + kHealMax;
  for (;;) {
    if (loop_.now() >= give_up_at) co_return "the volume could not be opened after healing";
    for (HostIndex host = 0; host < kHosts; ++host) {
      if (process(host)->volume() == nullptr) continue;
      auto detached = co_await process(host)->detach();
      (void)detached;
    }
    auto host = static_cast<HostIndex>(loop_.random().below(kHosts));
    auto attached = co_await attach_on(host, true);
    if (!attached) {
      co_await loop_.sleep(200ms);
      continue;
    }
    engine::Volume& volume = *process(host)->volume();
    auto healed = co_await volume.healed(kHealMax);
    if (!healed) co_return fmt::format("replicas stay behind: {}", to_string(healed.error()));
    auto report = co_await volume.check();
    if (!report) co_return fmt::format("check: {}", to_string(report.error()));
    if (!report->equal) co_return "replicas differ after healing";
    if (report->replicas.size() < 2) co_return "a replica is missing after healing";
    std::string wrong_read = co_await final_reads(volume);
    auto detached = co_await process(host)->detach();
    if (!detached) co_return fmt::format("last detach: {}", to_string(detached.error()));
    co_return wrong_read;
  }
}

io::Task<std::string> Cluster::final_reads(engine::Volume& volume) {
  for (size_t hot = 0; hot < kHotBlocks; ++hot) {
    uint64_t before = result_.acknowledged;
    co_await do_read(volume, hot, 1);
    if (result_.acknowledged == before)
      co_return fmt::format("block {} can't be read", block_of(hot));
  }
  co_return std::string{};
}

}  // namespace cleat::sim
