// How control connects: no proxy, quick retries, no limit on what it receives.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "common/time.h"

namespace cleat::control {

std::shared_ptr<grpc::Channel> make_channel(const std::string& endpoint);

// Connects, or finds out that it can't, within `limit`. To be called before each call on a channel
// that may be down: gRPC's synchronous calls fail at once while the channel waits to reconnect, and
// nothing else drives its connection attempt on.
bool connect_now(grpc::Channel& channel, Duration limit);

}  // namespace cleat::control
