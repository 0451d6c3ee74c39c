// cleat-keeper: holds the FUSE connections and loop devices of attached volumes, so that cleatd may
// die and come back without an I/O error. Started before cleatd, stopped after it.
#include <signal.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "io/file_descriptor.h"
#include "keeper/keeper.h"

namespace {

constexpr char kUsage[] =
    "usage: cleat-keeper [--run-dir DIRECTORY]\n"
    "Holds the devices of attached volumes for cleatd. DIRECTORY is cleatd's run_dir "
    "(/run/cleat).\n"
    "Ends on SIGTERM, and takes every device down then: stop cleatd and unmount volumes first.\n";

// Exit code 2 for wrong usage, -1: go on.
int parse(int argc, char** argv, std::string& run_dir) {
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (argument == "--run-dir" && i + 1 < argc) {
      run_dir = argv[++i];
    } else if (argument.starts_with("--run-dir=")) {
      run_dir = argument.substr(10);
    } else {
      std::fprintf(stderr, "cleat-keeper: unknown argument '%s'\n%s", argv[i], kUsage);
      return 2;
    }
  }
  while (run_dir.size() > 1 && run_dir.back() == '/') run_dir.pop_back();
  if (run_dir.empty() || run_dir.front() != '/') {
    std::fputs("cleat-keeper: the run directory must be an absolute path\n", stderr);
    return 2;
  }
  return -1;
}

cleat::io::FileDescriptor stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return cleat::io::FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC));
}

}  // namespace

int main(int argc, char** argv) {
  std::string run_dir = "/run/cleat";
  int code = parse(argc, argv, run_dir);
  if (code >= 0) return code;
  cleat::io::FileDescriptor stop = stop_signals();
  cleat::keeper::Keeper keeper(run_dir);
  cleat::keeper::Outcome<> started = keeper.start();
  if (!started) {
    std::fprintf(stderr, "cleat-keeper: cannot start: %s\n", started.error().message.c_str());
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  keeper.run(stop.get());
  // Threads that hang in the kernel must not hold up the end.
  std::fflush(nullptr);
  std::_Exit(0);
}
