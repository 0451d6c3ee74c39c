#include "csi/errors.h"

#include <algorithm>

namespace cleat::csi {

grpc::Status to_status(const Failure& failure) {
  auto row = std::find_if(kStatusTable.begin(), kStatusTable.end(),
                          [&](const StatusRow& each) { return each.code == failure.code; });
  const auto code = row == kStatusTable.end() ? grpc::StatusCode::INTERNAL : row->status;
  return {code, failure.message};
}

Failure failure_of_call(const grpc::Status& status, const grpc::ClientContext& context,
                        const std::string& address) {
  const auto& trailers = context.GetServerTrailingMetadata();
  if (auto word = trailers.find("cleat-error"); word != trailers.end()) {
    const std::string_view text(word->second.data(), word->second.size());
    for (const StatusRow& row : kStatusTable) {
      if (to_string(row.code) == text) return {row.code, status.error_message()};
    }
  }
  switch (status.error_code()) {
    case grpc::StatusCode::UNIMPLEMENTED:
      return {Code::kUnsupported,
              fmt::format("cleatd at {} doesn't know this call: upgrade that node", address)};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {Code::kTimedOut, fmt::format("cleatd at {} did not answer in time", address)};
    default:
      return {Code::kUnreachable, fmt::format("cannot reach cleatd at {}: {}: see that it runs",
                                              address, status.error_message())};
  }
}

}  // namespace cleat::csi
