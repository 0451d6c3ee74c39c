// The failures of common/failure.h, under the names that control uses.
#pragma once

#include "common/failure.h"

namespace cleat::control {

using cleat::failure;
using cleat::Failure;
using cleat::failure_from;
using cleat::Outcome;

}  // namespace cleat::control
