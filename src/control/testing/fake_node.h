// A node's data plane for tests: the ports on a few maps, with what control relies on. Several of
// them share a metadata store, as nodes do. Replicas hold a value that stands for their data.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "control/node_directory.h"
#include "control/record_codec.h"
#include "control/record_store.h"

namespace cleat::control {

class FakeNode;

struct FakeState {
  struct Replica {
    PoolId pool;
    std::string catalog;
    Epoch epoch;
    uint64_t size_blocks = 0;
  };
  std::recursive_mutex mutex;
  NodeId id;
  std::map<VolumeId, Replica> replicas;
  std::map<PoolId, PoolInfo> pools;
  std::map<VolumeId, AttachedVolume> attached;
  std::set<VolumeId> through;  // of those, devices that reach the volume at another primary
  std::map<VolumeId, uint64_t> device_blocks;
  std::set<VolumeId> healing;
  std::set<VolumeId> attaching;  // an attach is under way
  std::map<VolumeId, std::vector<ResyncInfo>> resyncs;
  std::map<std::string, std::map<std::string, bool>> mounts;  // device -> path -> read-only
  std::vector<std::string> mount_options;                     // of the last mount
  std::string growth_refused;                                 // why no mounted file system grows
  std::map<VolumeId, uint64_t> holds;
  bool holds_expire = false;                     // before they are released
  std::function<void(VolumeId)> before_change;   // of the record, by a VolumePort call
  bool down = false;                             // every call fails with kUnreachable
  std::function<void()> before_attach;           // runs once, as the next attach() begins
  std::function<void()> after_attach;            // runs once, as the next attach() has succeeded
  std::function<void()> before_mount;            // runs once, as the next mount() begins
  bool attach_answer_lost = false;               // of the next attach() that succeeds
  bool farewell_lost = false;                    // a primary does not hear that a device here goes
  std::function<bool(NodeId, VolumeId)> serves;  // whether that node is up, and primary
  std::function<void()> after_detach;            // runs once, as the next detach() ends
  Code create_fails{};                           // the next create() of a replica fails with it
  Code volume_call_fails{};                      // the next VolumePort call
};

class FakeNode final : public NodeHandle {
 public:
  FakeNode(NodeId id, RecordStore& records);
  ~FakeNode() override;
  NodePorts ports() override;
  MountPort& mounts() override;
  FakeState& state();

  // Ends a resync: every replica of the record that is not in sync becomes so.
  void finish_resync(VolumeId volume);

 private:
  struct Ports;
  FakeState state_;
  std::unique_ptr<Ports> ports_;
};

}  // namespace cleat::control
