#include "cli/errors.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/option_value.h"

namespace cleat::cli {
namespace {

// The code of a status that carries none: the first of its row in api/control.proto.
std::string code_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE: return "invalid argument";
    case grpc::StatusCode::NOT_FOUND: return "not found";
    case grpc::StatusCode::ALREADY_EXISTS: return "already exists";
    case grpc::StatusCode::FAILED_PRECONDITION: return "in use";
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return "limit reached";
    case grpc::StatusCode::UNAVAILABLE: return "unreachable";
    case grpc::StatusCode::DEADLINE_EXCEEDED: return "timed out";
    case grpc::StatusCode::ABORTED: return "conflict";
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED: return "permission denied";
    case grpc::StatusCode::UNIMPLEMENTED: return "unsupported";
    case grpc::StatusCode::DATA_LOSS: return "corrupt";
    case grpc::StatusCode::CANCELLED: return "cancelled";
    default: return "I/O error";
  }
}

// gRPC's words for a failed connection, without its own wrapping.
std::string connection_reason(const std::string& message) {
  std::string reason = message;
  for (std::string_view wrapping : {"last error: ", "UNKNOWN: ", "UNAVAILABLE: "}) {
    size_t at = reason.find(wrapping);
    if (at != std::string::npos) reason = reason.substr(at + wrapping.size());
  }
  size_t colon = reason.rfind(": ");
  return colon == std::string::npos ? reason : reason.substr(colon + 2);
}

std::string sentence_of_transport(const CallFailure& failure) {
  const std::string& address = failure.address;
  switch (failure.status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return fmt::format(
          "cannot reach cleatd at {}: {}: start cleatd there, or name another node with --address",
          address, connection_reason(failure.status.error_message()));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return fmt::format(
          "no answer from cleatd at {} within {}: it may still be done: look with cleat status, or "
          "wait longer with --timeout",
          address, format_duration(failure.timeout));
    case grpc::StatusCode::UNIMPLEMENTED:
      return fmt::format(
          "cleatd at {} does not know this call: it is of an older version: upgrade that node",
          address);
    default:
      return fmt::format("call to cleatd at {} failed: {}: look at its log", address,
                         failure.status.error_message());
  }
}

}  // namespace

tl::unexpected<Problem> usage_problem(std::string message) {
  return tl::unexpected<Problem>(Problem{kExitUsage, "usage", std::move(message)});
}

tl::unexpected<Problem> failed(std::string code, std::string message) {
  return tl::unexpected<Problem>(Problem{kExitFailed, std::move(code), std::move(message)});
}

std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

Problem problem_from(const CallFailure& failure) {
  Problem problem;
  bool ours = !failure.cleat_code.empty();
  problem.code = ours ? failure.cleat_code : code_of(failure.status.error_code());
  problem.message = ours ? failure.status.error_message() : sentence_of_transport(failure);
  if (problem.message.empty()) problem.message = problem.code;
  return problem;
}

}  // namespace cleat::cli
