// A network of simulated nodes. A stream is a connection of TCP: bytes arrive in order or not at
// all; a cut link delays them until it is healed; a killed process resets its connections; a node
// that lost power says nothing until it is up again, and then resets.
//
// Threading: none. Lifetime: the fabric outlives every network, listener and stream on it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "io/stream.h"
#include "io/sync.h"
#include "sim/simulated_loop.h"

namespace cleat::sim {

using HostIndex = uint32_t;

struct NetworkFaults {
  Duration latency_min = 30us;
  Duration latency_max = 300us;
  double slow_chance = 0.001;  // of a message to take much longer
  Duration slow_max = 50ms;
  Duration retransmission_max = 4s;  // after a cut
};

class Connection;
class SimulatedListener;

class NetworkFabric {
 public:
  NetworkFabric(SimulatedLoop& loop, uint32_t hosts);
  ~NetworkFabric();

  void cut(HostIndex a, HostIndex b);
  void heal(HostIndex a, HostIndex b);
  bool is_cut(HostIndex a, HostIndex b) const;
  // The process of a host ends: peers see a reset (killed) or silence (power).
  void end_process(HostIndex host, bool power_lost);
  void start_process(HostIndex host);

  NetworkFaults& faults() { return faults_; }
  SimulatedLoop& loop() { return loop_; }
  Duration latency();
  Duration retransmission();

 private:
  friend class SimulatedNetwork;
  friend class SimulatedListener;
  friend class Connection;
  struct Host {
    uint64_t incarnation = 0;
    bool up = false;
  };

  SimulatedLoop& loop_;
  std::vector<Host> hosts_;
  std::set<std::pair<HostIndex, HostIndex>> cuts_;
  NetworkFaults faults_;
  io::WaitQueue changed_;  // a link or a host
  absl::flat_hash_map<std::string, SimulatedListener*> listeners_;
  std::vector<std::weak_ptr<Connection>> connections_;
};

// The network as one process sees it.
class SimulatedNetwork final : public io::Network {
 public:
  SimulatedNetwork(NetworkFabric& fabric, HostIndex host, io::Executor& executor)
      : fabric_(fabric),
        host_(host),
        executor_(executor),
        incarnation_(fabric.hosts_[host].incarnation) {}
  io::Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address to, Duration timeout) override;
  io::Task<Result<std::unique_ptr<io::Listener>>> listen(io::Address at) override;
  // "host:N" is where host N listens.
  static io::Address address_of(HostIndex host);

 private:
  NetworkFabric& fabric_;
  HostIndex host_;
  io::Executor& executor_;
  uint64_t incarnation_;  // of the process: one that is dead reaches nobody
};

}  // namespace cleat::sim
