// What the simulated cluster remembers of its hosts and snapshots.
#pragma once

#include <memory>
#include <vector>

#include "sim/cluster/history.h"
#include "sim/cluster/process.h"

namespace cleat::sim {

struct Node {
  std::shared_ptr<Medium> medium;
  std::vector<std::byte> scratch;
  std::unique_ptr<Process> process;  // null: down
};
struct TakenSnapshot {
  SnapshotId id;
  std::vector<Value> values;  // of the hot blocks, as first read
};

struct AskedSnapshot {
  TimePoint begun;
  size_t segments;
};

}  // namespace cleat::sim
