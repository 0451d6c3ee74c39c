// cleat-memory-device: a volume without replicas, kept in a mapped file, served by the real
// frontends. For tests and measurements of the frontends alone; killed and started again, it goes
// on where it was.
//
// SIGTERM: end, and leave the FUSE device to the next process. SIGINT: take the device down, then
// end.
// SIGUSR1: grow the volume to --grown-size.
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "common/log.h"
#include "common/options.h"
#include "frontend/testing/fuse_service.h"
#include "frontend/testing/mapped_file.h"
#include "frontend/testing/memory_device.h"
#include "frontend/testing/nbd_service.h"
#include "io/event_loop.h"

namespace cleat::frontend {
namespace {

struct Settings {
  std::string memory;
  uint64_t size_bytes = 256 * kMiB;
  uint64_t grown_bytes = 4096;
  std::string volume = "memory";
  uint64_t volume_id = 1;
  std::vector<std::string> nbd;
  uint32_t nbd_block_bytes = 4096;
  std::string run_dir;
  Duration latency{};
};

void declare(OptionSet& set, Settings& settings) {
  set.add(&settings.memory,
          {.name = "memory", .help = "File that holds the volume's blocks.", .required = true});
  set.add_size(&settings.size_bytes, {.name = "size", .help = "Size of the volume.", .min = 4096});
  set.add_size(&settings.grown_bytes,
               {.name = "grown-size", .help = "Size of the volume after SIGUSR1.", .min = 4096});
  set.add(&settings.volume, {.name = "volume", .help = "Name of the volume."});
  set.add(&settings.volume_id, {.name = "volume-id", .help = "Number of the volume.", .min = 1});
  set.add(&settings.nbd, {.name = "nbd", .help = "Addresses to serve NBD at."});
  set.add(&settings.nbd_block_bytes, {.name = "nbd-block",
                                      .help = "Block size that NBD clients are told.",
                                      .min = 1,
                                      .max = 4096});
  set.add(&settings.run_dir,
          {.name = "run-dir", .help = "Serve FUSE with the keeper of this directory."});
  set.add(&settings.latency, {.name = "latency", .help = "Longest random delay of an operation."});
}

// Signals as something to wait for.
class Signals {
 public:
  Signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (int signal : {SIGTERM, SIGINT, SIGUSR1}) ::sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  }
  ~Signals() { ::close(fd_); }
  io::Task<int> next(io::EventLoop& loop) {
    signalfd_siginfo info{};
    io::UringOperation operation(loop);
    io_uring_prep_read(&operation.sqe(), fd_, &info, sizeof info, 0);
    int result = co_await operation;
    co_return result == sizeof info ? static_cast<int>(info.ssi_signo) : SIGTERM;
  }

 private:
  int fd_;
};

void say(const std::string& text) {
  std::puts(text.c_str());
  std::fflush(stdout);
}

void say_failure(const Error& error, const FuseService& fuse) {
  std::fprintf(stderr, "cleat-memory-device: %s %s\n", to_string(error).c_str(),
               fuse.message().c_str());
}

io::Task<void> serve_signals(io::EventLoop& loop, const Settings& settings, Signals& signals,
                             MemoryDevice& device, FuseService& fuse) {
  for (;;) {
    int signal = co_await signals.next(loop);
    if (signal == SIGTERM || settings.run_dir.empty()) co_return;
    if (signal == SIGUSR1) device.set_size(settings.grown_bytes);
    io::Task<Result<void>> action = signal == SIGUSR1 ? fuse.resize() : fuse.detach();
    Result<void> result = co_await std::move(action);
    if (result) {
      say(signal == SIGUSR1 ? "resized" : "detached");
    } else {
      say_failure(result.error(), fuse);
    }
    if (signal == SIGINT && result) co_return;
  }
}

io::Task<Result<void>> serve(io::EventLoop& loop, const Settings& settings, Signals& signals,
                             MutableBuffer memory) {
  io::BufferPool pool;
  MemoryDevice device(loop, memory);
  device.set_size(settings.size_bytes);
  if (settings.latency > Duration::zero()) device.set_latency(settings.latency, 1);
  AlignedDevice aligned(loop, pool, device);
  nbd::ExportOptions export_options{.minimum_block_bytes = settings.nbd_block_bytes};
  NbdService nbd(loop, pool, aligned, settings.volume, export_options);
  FuseService fuse(loop, pool, aligned);
  Result<void> result = co_await nbd.listen(settings.nbd);
  if (result && !settings.run_dir.empty()) {
    VolumeId volume(settings.volume_id);
    Result<std::string> path = co_await fuse.attach(settings.run_dir, volume, settings.volume);
    if (path) {
      say("device " + *path);
    } else {
      say_failure(path.error(), fuse);
      result = fail(path.error());
    }
  }
  if (result) {
    say("ready");
    co_await serve_signals(loop, settings, signals, device, fuse);
  }
  co_await fuse.close();
  co_await nbd.close();
  co_return result;
}

Result<void> run(const Settings& settings) {
  Signals signals;
  // Resident from the start: see frontend/fuse/request_buffers.h.
  static_cast<void>(::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
  uint64_t bytes = std::max(settings.size_bytes, settings.grown_bytes);
  TRY_ASSIGN(MappedFile file, MappedFile::open(settings.memory, bytes));
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
    std::fprintf(stderr, "cleat-memory-device: %s\n%s", applied.error().c_str(),
                 options.help().c_str());
    return 2;
  }
  cleat::Result<void> result = cleat::frontend::run(settings);
  if (!result) {
    std::fprintf(stderr, "cleat-memory-device: %s\n", cleat::to_string(result.error()).c_str());
    return 1;
  }
  return 0;
}
