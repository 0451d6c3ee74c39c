// Commands run around a snapshot, once for each of its volumes: to flush or to quiet what writes to
// them.
//
// A command runs by `sh -c` with what is known of its volume in the environment: CLEAT_VOLUME
// (name), CLEAT_VOLUME_ID, CLEAT_NODE (where it is attached; unset when it is not), and each label
// as CLEAT_LABEL_KEY, in upper case, with _ for what is no letter or digit.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "api/control.pb.h"
#include "cli/session.h"

namespace CLI {
class App;
}

namespace cleat::cli {

namespace api = ::cleat::control::v1;

struct Hooks {
  std::string before, after;  // empty: none
  uint64_t timeout_s = 60;    // of one command, which is then killed
};

void add_hook_options(CLI::App* verb, Hooks& hooks);

// `before` for each volume, the work, `after` for each volume. When a `before` fails there is no
// work. `after` runs for every volume whose `before` was started, whatever failed since, also when
// the program is told to end meanwhile (SIGINT, SIGTERM, SIGHUP): nothing stays quieted. It ends
// with the first failure of work, `before` and `after`, in that order.
Outcome<> with_hooks(const Hooks& hooks, const std::vector<api::Volume>& volumes,
                     const std::function<Outcome<>()>& work);

// NAME=VALUE, as above.
std::vector<std::string> hook_environment(const api::Volume& volume);

}  // namespace cleat::cli
