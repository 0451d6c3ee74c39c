// The program: command line in, exit code out.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"

namespace cleat::cli {

// Parses, runs the chosen verb, prints what it has to say. `arguments` come without the program's
// name. Answers kExitDone, kExitFailed or kExitUsage; throws nothing.
int run(const std::vector<std::string>& arguments, Terminal& terminal);

}  // namespace cleat::cli
