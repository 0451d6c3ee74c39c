// How the keeper's own operations fail: an errno value and a sentence for people.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace cleat::keeper {

struct Failure {
  int error = 0;
  std::string message;
};

template <class T = void>
using Outcome = tl::expected<T, Failure>;

// "attach /dev/loop3: Device or resource busy"
tl::unexpected<Failure> failure(int error, std::string what);

}  // namespace cleat::keeper
