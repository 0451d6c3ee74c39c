// The one table between our failures and the status codes of CSI, and the way back from what cleatd
// answered.
#pragma once

#include <grpcpp/grpcpp.h>

#include <array>
#include <string>

#include "common/failure.h"

namespace cleat::csi {

struct StatusRow {
  Code code;
  grpc::StatusCode status;
};

// The specification reads NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION (in use), OUT_OF_RANGE (of
// the capacity), RESOURCE_EXHAUSTED and ABORTED (try again) in ways of its own: these rows are
// they.
inline constexpr std::array kStatusTable = {
    StatusRow{Code::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
    StatusRow{Code::kNotFound, grpc::StatusCode::NOT_FOUND},
    StatusRow{Code::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS},
    StatusRow{Code::kBusy, grpc::StatusCode::FAILED_PRECONDITION},
    StatusRow{Code::kStaleEpoch, grpc::StatusCode::FAILED_PRECONDITION},
    StatusRow{Code::kNoSpace, grpc::StatusCode::RESOURCE_EXHAUSTED},
    StatusRow{Code::kIoError, grpc::StatusCode::INTERNAL},
    StatusRow{Code::kCorrupt, grpc::StatusCode::DATA_LOSS},
    StatusRow{Code::kUnsupported, grpc::StatusCode::UNIMPLEMENTED},
    StatusRow{Code::kUnreachable, grpc::StatusCode::UNAVAILABLE},
    StatusRow{Code::kTimedOut, grpc::StatusCode::DEADLINE_EXCEEDED},
    StatusRow{Code::kConflict, grpc::StatusCode::ABORTED},
    StatusRow{Code::kNotInSync, grpc::StatusCode::FAILED_PRECONDITION},
    StatusRow{Code::kPermission, grpc::StatusCode::PERMISSION_DENIED},
    StatusRow{Code::kLimit, grpc::StatusCode::RESOURCE_EXHAUSTED},
    StatusRow{Code::kCancelled, grpc::StatusCode::CANCELLED},
    StatusRow{Code::kClosed, grpc::StatusCode::UNAVAILABLE},
    StatusRow{Code::kOutOfRange, grpc::StatusCode::OUT_OF_RANGE},
};

grpc::Status to_status(const Failure& failure);
// cleatd's own sentence, or one about the way to it.
Failure failure_of_call(const grpc::Status& status, const grpc::ClientContext& context,
                        const std::string& address);

}  // namespace cleat::csi
