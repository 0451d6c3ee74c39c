#include "keeper/outcome.h"

#include <cstring>

namespace cleat::keeper {

tl::unexpected<Failure> failure(int error, std::string what) {
  return tl::unexpected<Failure>(Failure{error, std::move(what) + ": " + ::strerrordesc_np(error)});
}

}  // namespace cleat::keeper
