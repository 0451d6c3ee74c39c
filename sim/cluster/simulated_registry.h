// The volume's metadata: one linearizable map for the cluster (what etcd is), and each node's way
// to it, which can be cut, be slow, and lose answers of changes that were made.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "engine/volume_registry.h"
#include "sim/cluster/simulated_network.h"

namespace cleat::sim {

class MetaState {
 public:
  explicit MetaState(uint32_t hosts) : reachable_(hosts, true) {}

  void put(core::VolumeRecord record) {
    VolumeId id = record.id;
    if (observer) observer(record);
    records_[id] = engine::VersionedRecord{std::move(record), ++revision_};
  }
  // Told of each change before it holds.
  std::function<void(const core::VolumeRecord&)> observer;
  const engine::VersionedRecord* find(VolumeId id) const {
    auto found = records_.find(id);
    return found == records_.end() ? nullptr : &found->second;
  }
  void set_reachable(HostIndex host, bool reachable) { reachable_[host] = reachable; }
  bool reachable(HostIndex host) const { return reachable_[host]; }
  double lost_answer_chance = 0.02;

 private:
  std::map<VolumeId, engine::VersionedRecord> records_;
  std::vector<bool> reachable_;
  uint64_t revision_ = 0;
};

class SimulatedRegistry final : public engine::VolumeRegistry {
 public:
  SimulatedRegistry(MetaState& state, SimulatedLoop& loop, HostIndex host)
      : state_(state), loop_(loop), host_(host) {}

  io::Task<Result<engine::VersionedRecord>> load(VolumeId volume) override;
  io::Task<Result<uint64_t>> compare_and_store(uint64_t revision,
                                               const core::VolumeRecord& next) override;
  std::string encode(const core::VolumeRecord& record) const override {
    return std::to_string(record.epoch.value);
  }
  // The process died: nothing of it reaches the metadata any more.
  void end_process() { ended_ = true; }
  // A planted bug: changes of members are reported as stored and are not.
  bool lies_about_removals = false;

 private:
  io::Task<Result<void>> pass();

  MetaState& state_;
  SimulatedLoop& loop_;
  HostIndex host_;
  bool ended_ = false;
};

}  // namespace cleat::sim
