#include "cli/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace cleat::cli {

std::string grpc_address(const std::string& address) {
  if (address.empty()) return grpc_address(kDefaultAddress);
  if (address.front() == '/') return "unix:" + address;
  if (address.compare(0, 5, "unix:") == 0) return address;
  auto colons = std::count(address.begin(), address.end(), ':');
  if (address.front() == '[' && address.back() != ']') return address;
  if (address.front() == '[') return fmt::format("{}:{}", address, kControlPort);
  if (colons == 0) return fmt::format("{}:{}", address, kControlPort);
  if (colons > 1) return fmt::format("[{}]:{}", address, kControlPort);
  return address;
}

Connection::Connection(ConnectionOptions options) : options_(std::move(options)) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  // A proxy of the environment must not get to see a token or a request.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  channel_ = grpc::CreateCustomChannel(grpc_address(options_.address),
                                       grpc::InsecureChannelCredentials(), arguments);
}

Duration Connection::prepare(grpc::ClientContext& context, Duration timeout_min) const {
  Duration timeout = options_.timeout;
  if (!options_.timeout_given) timeout = std::max(timeout, timeout_min);
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::microseconds>(timeout));
  if (!options_.token.empty()) context.AddMetadata("authorization", "Bearer " + options_.token);
  return timeout;
}

CallFailure Connection::failure(const grpc::ClientContext& context, grpc::Status status,
                                Duration timeout) const {
  CallFailure failure{std::move(status), "", options_.address, timeout};
  const auto& metadata = context.GetServerTrailingMetadata();
  if (auto found = metadata.find("cleat-error"); found != metadata.end()) {
    failure.cleat_code = std::string(found->second.data(), found->second.size());
  }
  return failure;
}

}  // namespace cleat::cli
