// cleat-csi on its socket: the services of api/csi.proto that the mode asks for.
//
// Threading: gRPC's own threads call the services, one more watches for lost nodes, and another
// keeps the lease for that; start() and stop() by one thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "csi/cleatd.h"
#include "csi/in_flight.h"
#include "csi/node_context.h"
#include "csi/options.h"

namespace cleat::csi {

class Server {
 public:
  // Borrows the ports.
  Server(const CsiOptions& options, std::string token, MountPort& mounts,
         FileSystemPort& file_systems);
  ~Server();

  // Takes the socket over from a predecessor that was killed. kIoError.
  Outcome<> start();
  // Calls under way may end within the time.
  void stop(Duration grace);

 private:
  void watch_nodes(const std::stop_token& stopped);
  CsiOptions options_;
  Cleatd cleatd_;
  Cleatd quick_;  // for Probe, which must not wait
  InFlight controller_calls_;
  InFlight node_calls_;
  NodeContext node_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  std::jthread node_watch_;
};

// The path of a socket: of "unix:///path", "unix:/path" or "/path". kInvalidArgument for others.
Outcome<std::string> socket_path(const std::string& endpoint);

}  // namespace cleat::csi
