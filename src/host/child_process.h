// A child process in its own process group that dies with this process (PDEATHSIG) unless it is
// told to outlive it, and a way to run one to its end. For etcd, mkfs, fsck and mount; nothing of
// ours is inherited but the three standard streams.
//
// Threading: any thread, but the death signal is tied to the thread that starts the child: a child
// dies when that thread ends.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/failure.h"
#include "common/time.h"

namespace cleat::host {

struct ChildStart {
  std::vector<std::string> argv;  // argv[0] is looked for in PATH and the sbin directories
  std::string log_file;           // both output streams are appended to it; empty: /dev/null
  int output_fd = -1;             // instead of log_file
  bool outlives_us = false;
};

// kNotFound: no such program, with its name in the message.
Outcome<pid_t> start_child(const ChildStart& start);
// Full path of a program. kNotFound.
Outcome<std::string> find_program(const std::string& name);
// The wait status when it has ended.
std::optional<int> poll_child(pid_t pid);
// To its whole group; then waits for it at most `grace` and kills it.
void stop_child(pid_t pid, int signal, Duration grace);
// "exit code 1", "signal 9 (Killed)".
std::string describe_wait_status(int status);

struct CommandResult {
  int exit_code = 0;   // 128 + signal when killed
  std::string output;  // both streams, at most 64 KiB
};
// kTimedOut: it was killed. A non-zero exit code is not a Failure here.
Outcome<CommandResult> run_command(const std::vector<std::string>& argv, Duration timeout);

}  // namespace cleat::host
