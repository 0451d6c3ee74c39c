// cleatd: one process from start to stop.
#pragma once

#include "control/failure.h"
#include "node/options.h"

namespace cleat::node {

// Runs until SIGTERM or SIGINT; the failure says why it could not start.
control::Outcome<> run_daemon(const NodeOptions& options);

}  // namespace cleat::node
