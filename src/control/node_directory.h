// Port: the ports of any node of the cluster, this one's or, over gRPC, another's.
#pragma once

#include <memory>

#include "control/mount_port.h"
#include "control/node_port.h"

namespace cleat::control {

// The ports of one node. Alive as long as somebody holds it.
class NodeHandle {
 public:
  virtual ~NodeHandle() = default;
  virtual NodePorts ports() = 0;
  virtual MountPort& mounts() = 0;
};

class NodeDirectory {
 public:
  virtual ~NodeDirectory() = default;
  // kNotFound: no such node. Does not connect: an unreachable node shows at the first call.
  virtual Outcome<std::shared_ptr<NodeHandle>> node(NodeId id) = 0;
};

}  // namespace cleat::control
