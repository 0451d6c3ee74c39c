// A cluster of simulated nodes with one volume, what can happen to it, and the clients that use it.
//
// run_seed() is one run: faults and load for a while, then healing, then the checks: the history of
// every block is linearizable, every replica ends in sync, and all hold the same.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/cluster/cluster_state.h"
#include "sim/cluster/kernel_device.h"
#include "sim/cluster/run.h"

namespace cleat::sim {

class Cluster {
 public:
  static constexpr uint32_t kHosts = 3;
  static constexpr uint64_t kBlocks = 2048;     // of the volume: 8 MiB
  static constexpr uint64_t kBlocksMax = 4096;  // that it grows to
  static constexpr size_t kHotBlocks = 48;      // that clients use
  static constexpr uint32_t kHaMin = 2;
  static constexpr VolumeId kVolume{77};

  explicit Cluster(const RunOptions& options);
  ~Cluster();

  RunResult run();

 private:
  using Change = io::Task<void> (Cluster::*)();
  // Something that is done to the cluster: counted, and named while it lasts.
  class Act {
   public:
    Act(Cluster& cluster, std::string name) : cluster_(cluster), name_(std::move(name)) {
      ++cluster_.fault_counts_[name_];
      cluster_.acts_.insert(name_);
    }
    Act(const Act&) = delete;
    ~Act() { cluster_.acts_.erase(cluster_.acts_.find(name_)); }

   private:
    Cluster& cluster_;
    std::string name_;
  };
  void build();
  void create_replica(HostIndex host, core::VolumeRecord& record);
  void faults_and_load();
  // Runs the loop until `done`; false when that would never be.
  bool drive(const bool& done);
  io::Task<void> start_node(HostIndex host);
  void kill_node(HostIndex host, bool power, bool lose_cache = false);
  void lose_power(HostIndex host);
  void record_changes(const core::VolumeRecord& next);
  void check_losses(const core::VolumeRecord& record);
  io::Task<void> restart_node(HostIndex host, Duration away);
  io::Task<void> bury(std::unique_ptr<Process> process);
  Process* process(HostIndex host) { return nodes_[host].process.get(); }
  HostIndex random_host() { return static_cast<HostIndex>(loop_.random().below(kHosts)); }
  Duration random_time(uint64_t low_ms, uint64_t high_ms);
  // A host where the volume is open, and the volume; else null.
  std::shared_ptr<engine::Volume> open_volume(HostIndex* host = nullptr);
  const core::VolumeRecord& stored_record() { return meta_.find(kVolume)->record; }
  bool has_replica(HostIndex host);

  // faults.cc
  io::Task<void> nemesis();
  io::Task<void> one_fault();
  io::Task<void> one_targeted_fault();
  io::Task<void> changes();
  io::Task<void> one_change();
  void changed(const char* done, const Result<void>& result);
  io::Task<void> fault_kill(bool power);
  io::Task<void> fault_cut();
  void cut_off(HostIndex host, bool from_meta);
  void join_again(HostIndex host);
  io::Task<void> fault_pause();
  io::Task<void> fault_meta();
  io::Task<void> fault_move();
  io::Task<void> fault_power_all(bool lose_cache);
  io::Task<void> fault_disk();
  io::Task<Result<void>> attach_on(HostIndex host, bool take_over);
  io::Task<void> detach_from(HostIndex host);
  io::Task<void> keep_attached();

  // targeted.cc
  io::Task<void> fault_power_after_flush();
  io::Task<void> fault_interrupted_resync();

  // rivals.cc
  io::Task<void> rivals();
  bool calm();
  std::vector<HostIndex> in_sync_hosts();
  io::Task<void> move_in_order(HostIndex to);
  io::Task<void> focus_operation(std::shared_ptr<engine::Volume> volume, bool writes,
                                 std::shared_ptr<int> under_way);
  io::Task<void> use_both(std::shared_ptr<engine::Volume> old, bool old_writes, HostIndex successor,
                          TimePoint until);
  io::Task<void> succeed(HostIndex successor, Duration after, TimePoint give_up_at);
  bool only_read(size_t first, size_t count) const;
  io::Task<void> fault_isolated_primary();
  io::Task<void> fault_two_primaries();

  // changes.cc
  io::Task<void> kill_soon();
  io::Task<void> change_snapshot();
  io::Task<void> take_snapshot(engine::Volume& volume);
  io::Task<void> delete_snapshot(engine::Volume& volume);
  io::Task<void> change_restore();
  io::Task<void> change_size();
  io::Task<void> change_replicas();
  io::Task<void> add_replica(engine::Volume& volume);
  io::Task<void> remove_replica(engine::Volume& volume);

  // clients.cc
  io::Task<void> client(uint64_t number);
  std::shared_ptr<engine::Volume> random_volume(Random& random);
  io::Task<void> one_operation(engine::BlockDevice& volume, Random& random, bool reads_only);
  io::Task<void> do_write(engine::BlockDevice& volume, size_t first, size_t count, bool fua);
  io::Task<void> do_zero(engine::BlockDevice& volume, size_t first, size_t count);
  io::Task<void> do_read(engine::BlockDevice& volume, size_t first, size_t count);
  io::Task<void> do_flush(engine::BlockDevice& volume);
  size_t one_range(size_t first, size_t count) const;
  void note_operation(const char* what, size_t hot, Value value);
  uint64_t block_of(size_t hot) const { return hot_blocks_[hot]; }

  // sharers.cc
  io::Task<void> keep_shared(HostIndex host);
  io::Task<void> share_on(HostIndex host, Process& here, KernelDevice& kernel);
  io::Task<void> end_share(Process& here);
  io::Task<void> fault_killed_sharer();
  KernelDevice* shared_device(Random& random);

  // checks.cc
  io::Task<void> heal_and_check(bool& done);
  io::Task<void> heal_faults();
  io::Task<std::string> heal_and_open();
  io::Task<void> deletions_done();
  io::Task<std::string> check_open(engine::Volume& volume, HostIndex host);
  std::string describe_pools();
  io::Task<std::string> final_operations(engine::Volume& volume);
  // What one host's replica holds of the hot blocks, read from its store alone.
  io::Task<Result<std::vector<Value>>> read_replica(HostIndex host, SnapshotId view);
  // Every replica in sync holds the same, byte by byte, in the top and in each snapshot.
  io::Task<std::string> compare_replicas();
  io::Task<std::string> compare_snapshot(TakenSnapshot& snapshot);
  io::Task<Result<uint64_t>> digest_replica(HostIndex host);

  void note(std::string text);
  void wrong(std::string text);

  RunOptions options_;
  RunShape shape_;
  SimulatedLoop loop_;
  NetworkFabric fabric_;
  MetaState meta_;
  std::array<Node, kHosts> nodes_;
  std::array<std::unique_ptr<KernelDevice>, kHosts> kernels_;
  VolumeHistory history_;
  std::vector<uint64_t> hot_blocks_;
  std::vector<TakenSnapshot> snapshots_;
  std::string failure_;
  RunResult result_;
  std::map<std::string, int> fault_counts_;
  std::multiset<std::string> acts_;            // under way
  std::set<const engine::BlockDevice*> dead_;  // of killed processes: nobody hears their answers
  bool load_stopped_ = false;
  bool healed_ = false;           // and no fault is under way
  std::vector<Change> changing_;  // under way
  bool held_ = false;             // clients pause, for a restore
  bool quiet_ = false;            // no other faults, for rivals()
  size_t focus_first_ = 0;
  bool focus_is_read_ = false;
  uint32_t operations_inside_ = 0;
  uint32_t disks_failing_ = 0;
  core::MemberIndex next_index_ = 8;
  // Which hosts lost what no flush had covered and are in sync all the same, and since when.
  std::array<std::optional<TimePoint>, kHosts> lost_;
  bool all_lost_ = false;
  TimePoint raised_at_{};         // the newest epoch
  const char* stage_ = "faults";  // of the run, for the report of one that does not end
  TimePoint deadline_ = TimePoint::max();
  uint64_t next_snapshot_ = 1000;
  std::optional<AskedSnapshot> asked_;  // with no answer yet, or an error
  io::TaskGroup group_;
  std::vector<std::unique_ptr<Process>> graves_;
};

}  // namespace cleat::sim
