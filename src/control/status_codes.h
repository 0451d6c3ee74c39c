// The one table between our error codes and gRPC's status codes (api/control.proto has it for
// clients).
#pragma once

#include <grpcpp/grpcpp.h>

#include <array>
#include <optional>
#include <string_view>

#include "control/failure.h"

namespace cleat::control {

struct StatusRow {
  Code code;
  grpc::StatusCode status;
  int http;  // for the JSON interface
};

inline constexpr std::array kStatusTable = {
    StatusRow{Code::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT, 400},
    StatusRow{Code::kNotFound, grpc::StatusCode::NOT_FOUND, 404},
    StatusRow{Code::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS, 409},
    StatusRow{Code::kBusy, grpc::StatusCode::FAILED_PRECONDITION, 409},
    StatusRow{Code::kStaleEpoch, grpc::StatusCode::FAILED_PRECONDITION, 409},
    StatusRow{Code::kNoSpace, grpc::StatusCode::RESOURCE_EXHAUSTED, 507},
    StatusRow{Code::kIoError, grpc::StatusCode::INTERNAL, 500},
    StatusRow{Code::kCorrupt, grpc::StatusCode::DATA_LOSS, 500},
    StatusRow{Code::kUnsupported, grpc::StatusCode::UNIMPLEMENTED, 501},
    StatusRow{Code::kUnreachable, grpc::StatusCode::UNAVAILABLE, 503},
    StatusRow{Code::kTimedOut, grpc::StatusCode::DEADLINE_EXCEEDED, 504},
    StatusRow{Code::kConflict, grpc::StatusCode::ABORTED, 409},
    StatusRow{Code::kNotInSync, grpc::StatusCode::FAILED_PRECONDITION, 409},
    StatusRow{Code::kPermission, grpc::StatusCode::UNAUTHENTICATED, 401},
    StatusRow{Code::kLimit, grpc::StatusCode::RESOURCE_EXHAUSTED, 429},
    StatusRow{Code::kCancelled, grpc::StatusCode::CANCELLED, 499},
    StatusRow{Code::kClosed, grpc::StatusCode::UNAVAILABLE, 503},
    StatusRow{Code::kOutOfRange, grpc::StatusCode::INVALID_ARGUMENT, 400},
};

inline constexpr const char* kErrorMetadata = "cleat-error";
inline constexpr const char* kTokenMetadata = "authorization";

// INTERNAL and 500 for a code that is not in the table.
grpc::StatusCode grpc_code(Code code);
int http_code(Code code);
// The status, with the code's word in the trailing metadata.
grpc::Status to_status(const Failure& failure, grpc::ServerContext& context);
// The failure a call to `who` gave: what the other cleatd said, or that it can't be reached.
Failure from_status(const grpc::Status& status, const grpc::ClientContext& context,
                    std::string_view who);
std::optional<Code> code_of_word(std::string_view word);

}  // namespace cleat::control
