// The control API (api/control.proto) and the node-to-node API (api/agent.proto) over gRPC: on a
// unix socket that only root may open, and on the node's address with a token.
//
// Threading: gRPC's own threads call the services. start() and stop() by one thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "control/node_directory.h"
#include "control/services.h"

namespace cleat::control {

struct ApiServerOptions {
  std::string socket_path;     // empty: none
  std::string address;         // HOST of the TCP listener; empty: none
  uint16_t port = 9471;        // 0: any free one, see port()
  std::string token;           // never empty with an address
  Duration bind_timeout = 5s;  // a killed cleatd's port stays taken for a moment
};

class Gate;

class ApiServer {
 public:
  ApiServer(Services services, NodeId self, NodeHandle& local, ApiServerOptions options);
  ~ApiServer();

  // kIoError: the socket can't be made or the port is taken.
  Outcome<> start();
  void stop();
  int port() const { return port_; }

 private:
  Outcome<> build();
  Services services_;
  NodeId self_;
  NodeHandle& local_;
  ApiServerOptions options_;
  std::unique_ptr<Gate> gate_;
  std::vector<std::unique_ptr<grpc::Service>> handlers_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

// The token of a cluster: derived from its secret, so that who has the token doesn't have the
// secret.
std::string control_token(std::string_view cluster_secret);
// Takes the same time whatever differs.
bool same_token(std::string_view a, std::string_view b);

}  // namespace cleat::control
