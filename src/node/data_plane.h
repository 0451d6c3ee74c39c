// Everything of this node that lives on the data loop: pools, replicas, connections to the other
// nodes, open volumes and their devices. Made and ended on a control thread; what is inside is used
// on the loop.
//
// Order of life: open() (pools; other nodes can use the replicas from here on) -> ports are called
// -> close() (volumes detached, pools closed).
#pragma once

#include <memory>
#include <string>

#include "control/control_plane.h"
#include "control/keys.h"
#include "engine/replica_service.h"
#include "io/buffer_pool.h"
#include "io/uring_network.h"
#include "node/attachments.h"
#include "node/blocking_pool.h"
#include "node/etcd_registry.h"
#include "node/fuse_devices.h"
#include "node/loop_thread.h"
#include "node/nbd_devices.h"
#include "node/options.h"
#include "node/pool_set.h"
#include "wire/peer_pool.h"

namespace cleat::node {

class DataPlane {
 public:
  DataPlane(LoopThread& thread, const NodeOptions& options, NodeId self, std::string secret,
            control::ControlPlane& control);
  ~DataPlane();

  control::Outcome<> open();
  void close();
  // Volumes that an earlier process of this node served: their devices wait in the keeper.
  void resume_devices();

  LoopThread& thread() { return thread_; }
  PoolSet& pools() { return pools_; }
  Attachments& attachments() { return attachments_; }
  engine::ReplicaService& replicas() { return replicas_; }
  NodeId self() const { return self_; }

 private:
  io::Task<control::Outcome<>> open_on_loop();
  io::Task<void> close_on_loop();
  io::Task<void> serve_peers();
  io::Task<void> keep_house();
  void resolve(NodeId node);
  io::Task<void> resume_held();
  io::Task<void> resume(FuseDevices::Held device);
  engine::VolumeContext volume_context();
  std::unique_ptr<engine::Member> make_member(const core::ReplicaRecord& replica);

  LoopThread& thread_;
  NodeOptions options_;
  NodeId self_;
  io::BufferPool buffers_;
  io::UringNetwork network_;
  wire::Identity identity_;
  wire::PeerPool peers_;
  engine::ReplicaService replicas_;
  engine::ShareService shares_;
  engine::PeerShareLink link_;
  wire::PeerServer server_;
  PoolSet pools_;
  BlockingPool blocking_;
  control::ControlPlane& control_;
  EtcdRegistry registry_;
  FuseDevices fuse_;
  NbdDevices nbd_;
  Attachments attachments_;
  std::unique_ptr<io::Listener> listener_;
  bool closing_ = false;
  io::TaskGroup group_;
};

}  // namespace cleat::node
