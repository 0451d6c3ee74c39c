// The way to a cleatd: address, token, time limit, and one call.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "common/time.h"

namespace cleat::cli {

inline constexpr const char* kDefaultAddress = "/run/cleat/cleatd.sock";
inline constexpr uint16_t kControlPort = 9471;
inline constexpr int kMessageBytesMax = 64 << 20;  // a list of 10,000 volumes has some 5 MB

struct ConnectionOptions {
  std::string address = kDefaultAddress;  // a path (unix socket), HOST:PORT or HOST
  std::string token;                      // empty: none
  Duration timeout = 60s;                 // of each call
  bool timeout_given = false;             // by a person: then it also limits the long verbs
};

struct CallFailure {
  grpc::Status status;
  std::string cleat_code;  // of the trailing metadata; empty: the status was not made by cleatd
  std::string address;
  Duration timeout;
};

// Threading: one thread. Connects at the first call.
class Connection {
 public:
  explicit Connection(ConnectionOptions options);

  // One call: call<Volumes::Stub>(&Volumes::Stub::Create, request). `timeout_min` is for verbs that
  // may take long; a --timeout given by a person goes before it.
  template <class Service, class Request, class Response>
  tl::expected<Response, CallFailure> call(
      grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
      const Request& request, Duration timeout_min = 0s) const {
    grpc::ClientContext context;
    Duration timeout = prepare(context, timeout_min);
    Response response;
    typename Service::Stub stub(channel_);
    grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) return response;
    return tl::unexpected<CallFailure>(failure(context, std::move(status), timeout));
  }

 private:
  Duration prepare(grpc::ClientContext& context, Duration timeout_min) const;
  CallFailure failure(const grpc::ClientContext& context, grpc::Status status,
                      Duration timeout) const;

  ConnectionOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
};

// "/path", "unix:/path" -> "unix:/path"; "host" -> "host:9471"; "::1" -> "[::1]:9471".
std::string grpc_address(const std::string& address);

}  // namespace cleat::cli
