#include "control/status_codes.h"

#include <string>

namespace cleat::control {
namespace {

const StatusRow* find_row(Code code) {
  for (const auto& row : kStatusTable) {
    if (row.code == code) return &row;
  }
  return nullptr;
}

}  // namespace

grpc::StatusCode grpc_code(Code code) {
  const StatusRow* row = find_row(code);
  return row != nullptr ? row->status : grpc::StatusCode::INTERNAL;
}

int http_code(Code code) {
  const StatusRow* row = find_row(code);
  return row != nullptr ? row->http : 500;
}

grpc::Status to_status(const Failure& failure, grpc::ServerContext& context) {
  context.AddTrailingMetadata(kErrorMetadata, std::string{to_string(failure.code)});
  return {grpc_code(failure.code), failure.message};
}

std::optional<Code> code_of_word(std::string_view word) {
  for (const auto& row : kStatusTable) {
    if (to_string(row.code) == word) return row.code;
  }
  return std::nullopt;
}

Failure from_status(const grpc::Status& status, const grpc::ClientContext& context,
                    std::string_view who) {
  const auto& trailers = context.GetServerTrailingMetadata();
  auto word = trailers.find(kErrorMetadata);
  if (word != trailers.end()) {
    auto code = code_of_word({word->second.data(), word->second.size()});
    if (code) return {*code, status.error_message()};
  }
  switch (status.error_code()) {
    case grpc::StatusCode::UNIMPLEMENTED:
      return {Code::kUnsupported,
              fmt::format("{} runs a version of cleatd that can't do this: upgrade it", who)};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {Code::kTimedOut, fmt::format("{} did not answer in time", who)};
    case grpc::StatusCode::CANCELLED: return {Code::kCancelled, "cancelled"};
    default:
      return {Code::kUnreachable,
              fmt::format("{} can't be reached ({})", who, status.error_message())};
  }
}

}  // namespace cleat::control
