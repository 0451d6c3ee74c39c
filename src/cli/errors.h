// From what a call ended with to the line a person reads.
#pragma once

#include <string>

#include "cli/session.h"

namespace cleat::cli {

// cleatd's own sentence, or a sentence of ours for what went wrong on the way to it.
Problem problem_from(const CallFailure& failure);

// A single line: line breaks and control characters of a message become spaces.
std::string one_line(std::string text);

// Session::connection.call() with the failure as a Problem.
template <class Service, class Request, class Response>
Outcome<Response> call(const Session& session,
                       grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                       const Request& request, Duration timeout_min = 0s) {
  auto done = session.connection.template call<Service>(method, request, timeout_min);
  if (!done) return tl::unexpected<Problem>(problem_from(done.error()));
  return std::move(*done);
}

}  // namespace cleat::cli
