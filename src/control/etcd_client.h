// Connections to the endpoints of one etcd cluster, with failover: a call goes to the endpoint that
// answered last, and on to the next when it can't be reached or has no quorum.
//
// Threading: any thread. A failed call says which endpoints were tried and what each answered.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/time.h"
#include "control/failure.h"

namespace cleat::control {

struct EtcdOptions {
  std::vector<std::string> endpoints;  // host:port or http://host:port
  Duration attempt_timeout = 2s;       // one endpoint, one try
  Duration call_timeout = 5s;          // all tries together
};

class EtcdClient {
 public:
  // kInvalidArgument: no endpoints, one that isn't host:port, or https (no TLS yet). Connects
  // lazily.
  static Outcome<std::unique_ptr<EtcdClient>> create(EtcdOptions options);

  using Call =
      std::function<grpc::Status(const std::shared_ptr<grpc::Channel>&, grpc::ClientContext&)>;
  // `doing` completes "cannot ... in etcd". `attempts`, if given, gets the number of tries: after
  // more than one the first may have had its effect.
  Outcome<> call(const char* doing, const Call& call, int* attempts = nullptr);

  // For streams: the endpoint in use, and the word that it failed.
  struct Endpoint {
    size_t index;
    std::shared_ptr<grpc::Channel> channel;
  };
  Endpoint current() const;
  void failed(size_t index);
  const EtcdOptions& options() const { return options_; }

 private:
  explicit EtcdClient(EtcdOptions options);
  EtcdOptions options_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::atomic<size_t> current_{0};
};

// "10.0.0.1:2379" of "http://10.0.0.1:2379/". kInvalidArgument.
Outcome<std::string> parse_etcd_endpoint(std::string_view text);
// Comma separated.
Outcome<std::vector<std::string>> parse_etcd_endpoints(std::string_view text);
// What a gRPC status from `endpoint` means to us, and in words.
Failure etcd_failure(const grpc::Status& status, const std::string& endpoint);

}  // namespace cleat::control
