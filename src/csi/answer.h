// From what a class of ours answers to what gRPC wants.
#pragma once

#include <grpcpp/grpcpp.h>

#include <type_traits>

#include "common/log.h"
#include "csi/errors.h"

namespace cleat::csi {

template <class Response, class T>
grpc::Status answer(const char* call, Outcome<T> result, Response* response) {
  if (!result) {
    // What is tried again, or asked for in vain, is no news.
    const Code code = result.error().code;
    if (code == Code::kConflict || code == Code::kNotFound) {
      LOG_DEBUG("{}: {}", call, result.error().message);
    } else {
      LOG_WARN("{}: {}", call, result.error().message);
    }
    return to_status(result.error());
  }
  if constexpr (!std::is_void_v<T>) response->Swap(&*result);
  return grpc::Status::OK;
}

}  // namespace cleat::csi
