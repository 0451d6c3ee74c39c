// One run of the simulator: what it is told, what a seed decides, what comes of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/time.h"
#include "sim/cluster/planted_bug.h"

namespace cleat::sim {

struct RunOptions {
  uint64_t seed = 1;
  PlantedBug bug = PlantedBug::kNone;
  bool shared = false;            // whatever the seed says (ADR 9)
  bool trace = false;             // print what happens
  bool trace_operations = false;  // print each answer that a client gets, too
  Duration duration = 20s;        // of faults, in virtual time
};

struct RunResult {
  std::string failure;  // empty: all checks hold
  uint64_t steps = 0;
  uint64_t operations = 0;
  uint64_t acknowledged = 0;
  uint64_t attaches = 0;
  std::map<std::string, int> counts;  // what happened how often
  bool hung = false;                  // it did not end by itself
};

// A run takes about a hundredth of this; one that takes more hangs.
inline constexpr uint64_t kStepsMax = 30'000'000;
// Virtual time that healing, the last checks and the end of all processes may take together.
inline constexpr Duration kHealingMax = std::chrono::minutes(20);

RunResult run_seed(const RunOptions& options);

// What a seed decides once: runs with few kinds of faults reach deeper than those with all.
struct RunShape {
  bool power_loss = false;
  bool restores = false;
  bool replica_changes = false;
  bool growth = false;
  bool disk_errors = false;
  bool snapshots = false;
  bool targeted = false;    // faults in certain orders
  bool shared = false;      // clients on every host (ADR 9)
  bool rivals = false;      // two primaries, with nothing else meanwhile
  uint64_t room_bytes = 0;  // of a pool; few: it is full now and then
  Duration wait_max{};      // of the volume (R10)
  explicit RunShape(const RunOptions& options);
};

}  // namespace cleat::sim
