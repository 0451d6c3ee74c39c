// How an operation outside the data path fails: a code for programs, and a sentence for people that
// says what failed, why, and what to do. Unlike cleat::Error it allocates.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "common/result.h"

namespace cleat {

struct Failure {
  Code code = Code::kInvalidArgument;
  std::string message;
};

template <class T = void>
using Outcome = tl::expected<T, Failure>;

template <class... Args>
tl::unexpected<Failure> failure(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Failure>(Failure{code, fmt::format(format, std::forward<Args>(args)...)});
}

// A data path error with the sentence that says what was being done: "cannot read X: I/O error".
inline tl::unexpected<Failure> failure_from(const Error& error, std::string_view doing) {
  return tl::unexpected<Failure>(
      Failure{error.code, fmt::format("{}: {}", doing, to_string(error))});
}

}  // namespace cleat

// As TRY and TRY_ASSIGN of common/result.h, for Outcome.
#define OUTCOME_TRY(...)                                                            \
  do {                                                                              \
    auto outcome_result = (__VA_ARGS__);                                            \
    if (!outcome_result)                                                            \
      return ::tl::unexpected<::cleat::Failure>(std::move(outcome_result.error())); \
  } while (false)
#define OUTCOME_ASSIGN(declaration, ...)                            \
  auto CLEAT_CONCAT(outcome_value_, __LINE__) = (__VA_ARGS__);      \
  if (!CLEAT_CONCAT(outcome_value_, __LINE__))                      \
    return ::tl::unexpected<::cleat::Failure>(                      \
        std::move(CLEAT_CONCAT(outcome_value_, __LINE__).error())); \
  declaration = std::move(*CLEAT_CONCAT(outcome_value_, __LINE__))
