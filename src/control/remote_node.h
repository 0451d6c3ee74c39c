// The ports of another node, over gRPC to its cleatd (api/agent.proto).
//
// Threading: any thread. Each call has a deadline by its kind; a node that can't be reached is
// kUnreachable with its name in the message.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/time.h"
#include "control/node_directory.h"

namespace cleat::control {

struct RemoteNodeOptions {
  NodeId node;
  std::string name;      // for messages
  std::string endpoint;  // address:9471
  std::string token;
  Duration quick = 3s;                         // questions
  Duration change = 60s;                       // attach, snapshot, create ...
  Duration long_work = std::chrono::hours{6};  // check, deleting a large replica
};

std::shared_ptr<NodeHandle> make_remote_node(RemoteNodeOptions options);

}  // namespace cleat::control
