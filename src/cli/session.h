// What a verb works with, and how it ends.
#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "cli/connection.h"

namespace cleat::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// Why a verb did not do it: one line for standard error that says what, why and what to do.
struct Problem {
  int exit_code = kExitFailed;
  std::string code;  // a word for programs: "in use", "usage"; the codes of api/control.proto
  std::string message;
};

template <class T = void>
using Outcome = tl::expected<T, Problem>;

tl::unexpected<Problem> usage_problem(std::string message);
tl::unexpected<Problem> failed(std::string code, std::string message);

// The process as the program sees it; tests make their own.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  std::map<std::string, std::string> environment;
};

struct Session {
  Terminal& terminal;
  const Connection& connection;
  bool json = false;

  std::ostream& out() { return terminal.out; }
};

// A verb with its arguments, ready to run.
using Action = std::function<Outcome<>(Session&)>;

}  // namespace cleat::cli

// As TRY of common/result.h, for Outcome.
#define CLI_TRY(...)                                                                  \
  do {                                                                                \
    auto cli_outcome = (__VA_ARGS__);                                                 \
    if (!cli_outcome)                                                                 \
      return ::tl::unexpected<::cleat::cli::Problem>(std::move(cli_outcome.error())); \
  } while (false)
