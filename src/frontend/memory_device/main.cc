// cleat-memory-device: a volume without replicas, kept in a mapped file, served by the real frontends.
// For tests and measurements of the frontends alone; killed and started again, it goes on where it was.
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "common/log.h"
#include "common/options.h"
#include "frontend/testing/mapped_file.h"
#include "frontend/testing/memory_device.h"
#include "frontend/testing/nbd_service.h"
#include "io/event_loop.h"

namespace cleat::frontend {
namespace {

struct Settings {
  std::string memory;
  uint64_t size_bytes = 256 * kMiB;
  std::string volume = "memory";
  std::vector<std::string> nbd;
  Duration latency{};
};

void declare(OptionSet& set, Settings& settings) {
  set.add(&settings.memory,
          {.name = "memory", .help = "File that holds the volume's blocks.", .required = true});
  set.add_size(&settings.size_bytes, {.name = "size", .help = "Size of the volume.", .min = 4096});
  set.add(&settings.volume, {.name = "volume", .help = "Name of the volume."});
  set.add(&settings.nbd, {.name = "nbd", .help = "Addresses to serve NBD at."});
  set.add(&settings.latency, {.name = "latency", .help = "Longest random delay of an operation."});
}

// SIGTERM and SIGINT as something to wait for.
class Signals {
 public:
  Signals() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGTERM);
    ::sigaddset(&set, SIGINT);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  }
  ~Signals() { ::close(fd_); }
  io::Task<void> wait(io::EventLoop& loop) {
    signalfd_siginfo info{};
    io::UringOperation operation(loop);
    io_uring_prep_read(&operation.sqe(), fd_, &info, sizeof info, 0);
    static_cast<void>(co_await operation);
  }

 private:
  int fd_;
};

io::Task<Result<void>> serve(io::EventLoop& loop, Settings settings, Signals& signals,
                             MutableBuffer memory) {
  io::BufferPool pool;
  MemoryDevice device(loop, memory);
  if (settings.latency > Duration::zero()) device.set_latency(settings.latency, 1);
  AlignedDevice aligned(loop, pool, device);
  NbdService nbd(loop, pool, aligned, settings.volume);
  CO_TRY(co_await nbd.listen(settings.nbd));
  std::puts("ready");
  std::fflush(stdout);
  co_await signals.wait(loop);
  co_await nbd.close();
  co_return Result<void>{};
}

Result<void> run(const Settings& settings) {
  Signals signals;
  TRY_ASSIGN(MappedFile file, MappedFile::open(settings.memory, settings.size_bytes));
  TRY_ASSIGN(std::unique_ptr<io::EventLoop> loop, io::EventLoop::create());
  return io::run_to_end(*loop, serve(*loop, settings, signals, file.memory()));
}

}  // namespace
}  // namespace cleat::frontend

int main(int argc, char** argv) {
  cleat::frontend::Settings settings;
  cleat::OptionSet options;
  cleat::frontend::declare(options, settings);
  cleat::OptionSources sources;
  sources.arguments.assign(argv + 1, argv + argc);
  auto applied = options.apply(sources);
  if (!applied) {
    std::fprintf(stderr, "cleat-memory-device: %s\n%s", applied.error().c_str(), options.help().c_str());
    return 2;
  }
  cleat::Result<void> result = cleat::frontend::run(settings);
  if (!result) {
    std::fprintf(stderr, "cleat-memory-device: %s\n", cleat::to_string(result.error()).c_str());
    return 1;
  }
  return 0;
}
