// The process of this node's etcd member. It outlives a cleatd that was killed, which finds it
// running when it comes back: so a restart of cleatd costs no election of a new leader, which
// takes seconds. An orderly stop of cleatd ends it.
//
// Threading: one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/time.h"
#include "control/failure.h"

namespace cleat::control {

class EtcdProcess {
 public:
  // The running etcd whose `--data-dir` is this directory, as its process sees the path.
  static std::optional<EtcdProcess> find(const std::string& data_dir);
  // kNotFound: no such program. Its output goes to the end of `log`.
  static Outcome<EtcdProcess> start(const std::vector<std::string>& argv, const std::string& log);

  pid_t pid() const { return pid_; }
  // How it ended, in words; nothing while it runs.
  std::optional<std::string> ended();
  // Asks it to end, waits for it at most `grace`, and kills it.
  void stop(Duration grace);

 private:
  EtcdProcess(pid_t pid, bool child, uint64_t started)
      : pid_(pid), child_(child), started_(started) {}

  pid_t pid_;
  bool child_;        // else started by a cleatd that is dead: only the system waits for it
  uint64_t started_;  // tells it from a later process of the same number
};

}  // namespace cleat::control
