// `cleat status`: what there is, and in words what is not as it should be.
#pragma once

#include <ostream>

#include "cli/format.h"

namespace cleat::cli {

void print_status(std::ostream& out, const api::StatusResponse& status);

}  // namespace cleat::cli
