// The other side of remote_node: serves this node's ports to other cleatds (api/agent.proto).
//
// Threading: any gRPC thread.
#pragma once

#include "api/agent.grpc.pb.h"
#include "control/node_directory.h"

namespace cleat::control {

class AgentServer final : public cleat::agent::v1::Agent::Service {
 public:
  // `local` serves; it must outlive the server.
  AgentServer(NodeId self, NodeHandle& local) : self_(self), local_(local) {}
  grpc::Status Do(grpc::ServerContext* context, const cleat::agent::v1::NodeRequest* request,
                  cleat::agent::v1::NodeResponse* response) override;

 private:
  NodeId self_;
  NodeHandle& local_;
};

}  // namespace cleat::control
