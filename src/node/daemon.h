// cleatd: one process from start to stop.
#pragma once

#include <functional>

#include "control/failure.h"
#include "node/options.h"

namespace cleat::node {

// Runs until SIGTERM or SIGINT; the failure says why it could not start. SIGHUP: calls `reload`, on
// the same thread.
control::Outcome<> run_daemon(const NodeOptions& options, const std::function<void()>& reload);

}  // namespace cleat::node
