#include "control/grpc_channel.h"

#include <chrono>

namespace cleat::control {
namespace {
constexpr int kReconnectMs = 100;
constexpr int kReconnectMsMax = 1000;
constexpr int kConnectTimeoutMs = 1500;
constexpr int kKeepaliveMs = 10'000;  // etcd closes connections that ask more often than every 5 s
constexpr int kKeepaliveTimeoutMs = 3'000;
}  // namespace

std::shared_ptr<grpc::Channel> make_channel(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // a listing of 10,000 volumes is some MB
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMsMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
}

bool connect_now(grpc::Channel& channel, Duration limit) {
  const auto deadline = std::chrono::system_clock::now() +
                        std::chrono::duration_cast<std::chrono::microseconds>(limit);
  bool tried = false;
  while (true) {
    grpc_connectivity_state state = channel.GetState(true);
    if (state == GRPC_CHANNEL_READY) return true;
    if (state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (state == GRPC_CHANNEL_CONNECTING) tried = true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE && tried) return false;
    if (!channel.WaitForStateChange(state, deadline)) return false;
  }
}

}  // namespace cleat::control
