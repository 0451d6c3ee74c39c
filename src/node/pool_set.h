// The pools of this node: opened at start from data_dir/pools.toml, made and deleted later.
//
// Threading: the loop (opening a disk blocks it for a moment). Ownership: owns the pools; every
// replica in them is known to the ReplicaService.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/failure.h"
#include "control/node_types.h"
#include "engine/replica_service.h"
#include "io/event_loop.h"
#include "io/task_group.h"
#include "store/pool.h"

namespace cleat::node {

struct PoolSetOptions {
  std::string data_dir;
  std::string run_dir;
  std::string cluster;
  NodeId node;
  std::function<uint64_t()> random;
};

class PoolSet {
 public:
  PoolSet(io::EventLoop& loop, engine::ReplicaService& service, PoolSetOptions options);
  ~PoolSet();

  // Opens every remembered pool. One that can't be opened is listed with its problem; its replicas
  // are simply not there.
  io::Task<control::Outcome<>> open_all();
  io::Task<void> close_all();
  // Housekeeping of every open pool; about once a second.
  io::Task<void> tick();

  io::Task<control::Outcome<control::PoolInfo>> create(PoolId id, control::PoolCreate options);
  io::Task<control::Outcome<>> remove(PoolId id);
  std::vector<control::PoolInfo> list() const;

  io::Task<control::Outcome<>> create_replica(core::VolumeRecord record, core::MemberIndex member,
                                              std::string catalog);
  io::Task<control::Outcome<>> remove_replica(VolumeId volume, PoolId pool);
  io::Task<control::Outcome<>> set_spec(VolumeId volume, std::string spec);
  std::vector<control::LocalReplica> replicas() const;
  // Of these volumes, or of all when none is named. Other work goes on between two replicas.
  io::Task<std::vector<control::ReplicaUsage>> usage(std::vector<VolumeId> volumes);

 private:
  struct Entry {
    PoolId id;
    std::string path;
    std::string pool_class;
    std::string problem;
    std::unique_ptr<store::Pool> pool;  // null when it could not be opened
  };

  io::Task<control::Outcome<>> open(Entry& entry);
  io::Task<control::Outcome<>> erase(const Entry& entry);
  control::Outcome<> load();
  control::Outcome<> save() const;
  Entry* find(PoolId id);
  control::PoolInfo info(const Entry& entry) const;
  store::PoolIdentity identity(PoolId pool) const;
  std::string list_path() const { return options_.data_dir + "/pools.toml"; }

  io::EventLoop& loop_;
  engine::ReplicaService& service_;
  PoolSetOptions options_;
  std::vector<std::unique_ptr<Entry>> entries_;
  store::Pool* ticking_ = nullptr;
};

}  // namespace cleat::node
