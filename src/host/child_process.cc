#include "host/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace cleat::host {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr size_t kOutputMax = 64 * 1024;
constexpr Duration kPollPeriod = 20ms;

// Between fork and exec only async-signal-safe calls are allowed.
[[noreturn]] void become(const char* program, char* const* argv, int input, int output,
                         std::optional<pid_t> dies_with) {
  ::setpgid(0, 0);
  if (dies_with) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != *dies_with) ::_exit(127);  // it died before the line above
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::close_range(3, ~0U, 0);
  ::execv(program, argv);
  ::_exit(127);
}

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Outcome<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) == 0) return name;
    return failure(Code::kNotFound, "there is no program {}", name);
  }
  for (const char* directory :
       {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    std::string path = directory + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return failure(Code::kNotFound, "the program `{}` is not installed", name);
}

Outcome<pid_t> start_child(const ChildStart& start) {
  OUTCOME_ASSIGN(std::string program, find_program(start.argv.at(0)));
  std::vector<char*> argv;
  for (const auto& argument : start.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Descriptor input{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  Descriptor log;
  int output = start.output_fd;
  if (output < 0) {
    const char* path = start.log_file.empty() ? "/dev/null" : start.log_file.c_str();
    log.fd = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    output = log.fd;
  }
  if (input.fd < 0 || output < 0) {
    return failure(Code::kIoError, "cannot open the log of {}: {}", program, ::strerror(errno));
  }
  std::optional<pid_t> dies_with;
  if (!start.outlives_us) dies_with = ::getpid();
  pid_t pid = ::fork();
  if (pid == 0) become(program.c_str(), argv.data(), input.fd, output, dies_with);
  if (pid < 0) return failure(Code::kIoError, "cannot start {}: {}", program, ::strerror(errno));
  ::setpgid(pid, pid);  // here too: a signal to the group may come before the child did it
  return pid;
}

std::optional<int> poll_child(pid_t pid) {
  int status = 0;
  pid_t done = 0;
  do {
    done = ::waitpid(pid, &status, WNOHANG);
  } while (done < 0 && errno == EINTR);
  if (done == 0) return std::nullopt;
  return done == pid ? status : 0;
}

void stop_child(pid_t pid, int signal, Duration grace) {
  ::kill(-pid, signal);
  for (auto end = SteadyClock::now() + grace; SteadyClock::now() < end;) {
    if (poll_child(pid)) return;
    std::this_thread::sleep_for(kPollPeriod);
  }
  ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
}

std::string describe_wait_status(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  }
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

Outcome<CommandResult> run_command(const std::vector<std::string>& argv, Duration timeout) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return failure(Code::kIoError, "cannot make a pipe: {}", ::strerror(errno));
  }
  Descriptor reader{ends[0]};
  Descriptor writer{ends[1]};
  OUTCOME_ASSIGN(pid_t pid, start_child({.argv = argv, .log_file = {}, .output_fd = writer.fd}));
  ::close(std::exchange(writer.fd, -1));
  CommandResult result;
  const auto deadline = SteadyClock::now() + timeout;
  std::array<char, 4096> buffer{};
  while (true) {
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
    pollfd wait{reader.fd, POLLIN, 0};
    int ready = left.count() > 0 ? ::poll(&wait, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      stop_child(pid, SIGKILL, 1s);
      return failure(Code::kTimedOut, "`{}` didn't end within {} s and was killed", argv.at(0),
                     std::chrono::duration_cast<std::chrono::seconds>(timeout).count());
    }
    ssize_t got = ::read(reader.fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size_t room = kOutputMax - result.output.size();
    result.output.append(buffer.data(), std::min(room, static_cast<size_t>(got)));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace cleat::host
