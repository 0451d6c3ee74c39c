// The gRPC services of api/csi.proto: from a call to the class that does it, and from its failure
// to a status. Threading: gRPC's own threads. Ownership: the services borrow what they are made
// with.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "csi/cleatd.h"
#include "csi/in_flight.h"
#include "csi/node_context.h"
#include "csi/options.h"

namespace cleat::csi {

std::unique_ptr<grpc::Service> make_identity(const Cleatd& quick, const CsiOptions& options);
std::unique_ptr<grpc::Service> make_controller(const Cleatd& cleatd, InFlight& in_flight,
                                               const CsiOptions& options);
std::unique_ptr<grpc::Service> make_group_controller(const Cleatd& cleatd, InFlight& in_flight);
std::unique_ptr<grpc::Service> make_node(const NodeContext& context);

}  // namespace cleat::csi
