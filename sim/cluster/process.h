// One simulated cleatd: everything that cleatd has on its data loop, over simulated ports.
//
// A killed process is not destroyed at once: its disk, network, metadata and scratch are cut off,
// so that nothing it still does has any effect, and it unwinds by itself.
#pragma once

#include <memory>

#include "engine/replica_service.h"
#include "engine/share_link.h"
#include "engine/shared_device.h"
#include "engine/volume.h"
#include "sim/cluster/node_executor.h"
#include "sim/cluster/planted_bug.h"
#include "sim/cluster/simulated_network.h"
#include "sim/cluster/simulated_registry.h"
#include "sim/simulated_disk.h"
#include "sim/simulated_scratch.h"
#include "store/pool.h"
#include "wire/peer_pool.h"

namespace cleat::sim {

struct ProcessContext {
  SimulatedLoop& loop;
  NetworkFabric& fabric;
  MetaState& meta;
  PlantedBug bug = PlantedBug::kNone;
  uint32_t hosts = 3;
  uint64_t room_bytes = 181 * kMiB;  // of the pool, before writes that need space are refused
  Duration wait_max = 60s;           // of the volume (R10)
  bool shared = false;               // the volume has sharers (ADR 9)
};

inline constexpr uint64_t kPoolBytes = 256 * kMiB;
inline constexpr uint64_t kPoolCapacity = 245 * kMiB;  // of that, in extents

NodeId node_of(HostIndex host);
PoolId pool_of(HostIndex host);

class Process {
 public:
  Process(ProcessContext context, HostIndex host, std::shared_ptr<Medium> medium,
          std::vector<std::byte> scratch);
  ~Process();

  // Opens the pool and serves the other nodes.
  io::Task<Result<void>> start();
  io::Task<Result<void>> attach(VolumeId volume, engine::AttachRequest request);
  io::Task<Result<void>> detach();
  // The device of this host, if the volume is shared. kNew: the primary has admitted it.
  using Begin = engine::SharedDevice::Begin;
  io::Task<Result<std::shared_ptr<engine::SharedDevice>>> share(VolumeId volume, Begin begin);
  io::Task<void> leave_share();
  bool started() const { return listener_ != nullptr; }
  engine::Volume* volume() { return volume_.get(); }
  // Held by clients of the volume, so that it is not destroyed under them.
  std::shared_ptr<engine::Volume> shared_volume() { return volume_; }

  // From now on nothing that happens inside has an effect. What its scratch held.
  std::vector<std::byte> cut();
  bool is_cut() const { return cut_; }
  bool busy = false;       // the cluster makes or ends the device of a shared volume
  bool attaching = false;  // the cluster moves the volume to or from here now
  uint32_t readers = 0;    // checks that read the stores of this process
  // Ends what still runs, after cut() or in order.
  io::Task<void> unwind();

  NodeExecutor& executor() { return executor_; }
  store::Pool* pool() { return pool_.get(); }
  engine::ReplicaService& service() { return service_; }
  SimulatedDisk& disk() { return *disk_; }
  HostIndex host() const { return host_; }

 private:
  io::Task<void> serve();
  void end_sharing();
  io::Task<void> sharing_ended();
  io::Task<void> tick();
  std::unique_ptr<engine::Member> make_member(const core::ReplicaRecord& replica);
  wire::RequestHandler& handler();

  ProcessContext context_;
  HostIndex host_;
  NodeExecutor executor_;
  io::BufferPool buffers_;
  SimulatedNetwork network_;
  SimulatedRegistry registry_;
  wire::PeerPool peers_;
  engine::ReplicaService service_;
  EpochBlindness blindness_;
  EpochBlindHandler epoch_blind_;
  engine::ShareService shares_;
  engine::PeerShareLink peer_link_;
  std::unique_ptr<engine::ShareLink> link_;
  wire::PeerServer server_;
  std::shared_ptr<Medium> medium_;
  std::unique_ptr<SimulatedDisk> owned_disk_;
  SimulatedDisk* disk_;
  std::unique_ptr<SimulatedScratch> owned_scratch_;
  SimulatedScratch* scratch_;
  std::unique_ptr<store::Pool> pool_;
  std::unique_ptr<io::Listener> listener_;
  std::shared_ptr<engine::Volume> volume_;
  std::unique_ptr<engine::SharedVolume> shared_;
  std::shared_ptr<engine::SharedDevice> sharer_;
  io::TaskGroup group_;
  bool cut_ = false;
  bool stopping_ = false;
};

}  // namespace cleat::sim
