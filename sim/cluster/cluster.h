// A cluster of simulated nodes with one volume, what can happen to it, and the clients that use it.
//
// run_seed() is one run: faults and load for a while, then healing, then the checks: the history of
// every block is linearizable, every replica ends in sync, and all hold the same.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/cluster/history.h"
#include "sim/cluster/process.h"

namespace cleat::sim {

struct RunOptions {
  uint64_t seed = 1;
  PlantedBug bug = PlantedBug::kNone;
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
  std::string faults;  // what happened how often
  bool hung = false;   // it did not end by itself
};

// A run takes about a hundredth of this; one that takes more hangs.
inline constexpr uint64_t kStepsMax = 30'000'000;

RunResult run_seed(const RunOptions& options);

class Cluster {
 public:
  static constexpr uint32_t kHosts = 3;
  static constexpr uint64_t kBlocks = 2048;  // of the volume: 8 MiB
  static constexpr size_t kHotBlocks = 48;   // that clients use
  static constexpr VolumeId kVolume{77};

  explicit Cluster(const RunOptions& options);
  ~Cluster();

  RunResult run();

 private:
  struct Node {
    std::shared_ptr<Medium> medium;
    std::vector<std::byte> scratch;
    std::unique_ptr<Process> process;  // null: down
  };

  void build();
  void faults_and_load();
  // Runs the loop until `done`; false when that would never be.
  bool drive(const bool& done);
  io::Task<void> heal_and_check(bool& done);
  io::Task<void> start_node(HostIndex host);
  void kill_node(HostIndex host, bool power);
  io::Task<void> bury(std::unique_ptr<Process> process);
  Process* process(HostIndex host) { return nodes_[host].process.get(); }

  // faults.cc
  io::Task<void> nemesis();
  io::Task<void> one_fault();
  io::Task<void> fault_kill(bool power);
  io::Task<void> fault_cut();
  io::Task<void> fault_pause();
  io::Task<void> fault_meta();
  io::Task<void> fault_move();
  io::Task<void> fault_snapshot();
  io::Task<void> fault_power_all();
  io::Task<Result<void>> attach_on(HostIndex host, bool take_over);
  io::Task<void> keep_attached();

  // clients.cc
  io::Task<void> client(uint64_t number);
  io::Task<void> one_operation(engine::Volume& volume, Random& random);
  io::Task<void> do_write(engine::Volume& volume, size_t first, size_t count, bool fua);
  io::Task<void> do_read(engine::Volume& volume, size_t first, size_t count);
  io::Task<void> do_flush(engine::Volume& volume);
  void note_operation(const char* what, size_t hot, Value value, const engine::Volume& volume);
  uint64_t block_of(size_t hot) const { return hot_blocks_[hot]; }

  // checks.cc
  io::Task<std::string> heal_and_open();
  io::Task<std::string> final_reads(engine::Volume& volume);

  void note(std::string text);
  void wrong(std::string text);

  RunOptions options_;
  SimulatedLoop loop_;
  NetworkFabric fabric_;
  MetaState meta_;
  std::array<Node, kHosts> nodes_;
  VolumeHistory history_;
  std::vector<uint64_t> hot_blocks_;
  std::vector<SnapshotId> snapshots_;
  std::string failure_;
  RunResult result_;
  std::map<std::string, int> fault_counts_;
  bool load_stopped_ = false;
  bool with_power_loss_;
  uint64_t next_snapshot_ = 1000;
  io::TaskGroup group_;
  std::vector<std::unique_ptr<Process>> graves_;
};

}  // namespace cleat::sim
