#include "bench/sketch/load.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "bench/sketch/sockets.h"

namespace cleat::sketch {
namespace {

volatile sig_atomic_t g_ended = 0;

constexpr uint64_t kFillBytes = 1u << 20;
constexpr size_t kRoundTripBytes = 4096;
constexpr uint32_t kBlockBytes = 4096;
constexpr uint64_t kSeedStep = 0xbf58476d1ce4e5b9;

// Keeps `depth` I/Os going and notes how long each took.
class Generator {
 public:
  Generator(Target& target, const Workload& workload, double seconds)
      : target_(target), workload_(workload), slots_(workload.depth) {
    uint64_t bytes = workload.range_bytes == 0
                         ? target.size_bytes()
                         : std::min(workload.range_bytes, target.size_bytes());
    blocks_ = bytes / workload.bytes;
    random_ += workload.seed * kSeedStep;
    if (blocks_ < workload.depth) die("the file is too small for " + workload.name);
    latencies_ns_.reserve(1u << 20);
    start_ns_ = now_ns();
    last_done_ns_ = start_ns_;
    stop_ns_ = start_ns_ + static_cast<uint64_t>(seconds * 1e9);
    for (Slot& slot : slots_) slot.memory = aligned_memory(workload.bytes);
  }
  ~Generator() {
    for (Slot& slot : slots_) std::free(slot.memory);
  }

  void run(Ring& ring) {
    target_.done = [this](unsigned slot) { step_done(slot); };
    for (unsigned i = 0; i < slots_.size() && !all_started(); ++i) start(i);
    while (running_ > 0) ring.turn();
    end_ns_ = now_ns();
  }

  Figures figures() {
    Figures result;
    result.operations = latencies_ns_.size();
    result.seconds = static_cast<double>(end_ns_ - start_ns_) / 1e9;
    result.gaps = std::move(gaps_);
    std::sort(latencies_ns_.begin(), latencies_ns_.end());
    if (!latencies_ns_.empty()) {
      result.p50_us = static_cast<double>(latencies_ns_[latencies_ns_.size() / 2]) / 1e3;
      result.p99_us = static_cast<double>(latencies_ns_[latencies_ns_.size() * 99 / 100]) / 1e3;
      result.max_us = static_cast<double>(latencies_ns_.back()) / 1e3;
    }
    return result;
  }

 private:
  struct Slot {
    std::byte* memory = nullptr;
    uint64_t started_ns = 0;
    bool flushing = false;
  };

  void start(unsigned index) {
    Slot& slot = slots_[index];
    ++running_;
    ++started_;
    slot.started_ns = now_ns();
    slot.flushing = false;
    uint64_t block = workload_.sequential ? next_block_++ % blocks_ : next_random() % blocks_;
    if (workload_.kind == Kind::kWrite) stamp(slot.memory);
    target_.start(index, workload_.kind, block * workload_.bytes, slot.memory, workload_.bytes);
  }

  // No block is written twice with the same bytes, or a resync would find nothing to copy.
  void stamp(std::byte* memory) {
    for (uint32_t at = 0; at < workload_.bytes; at += kBlockBytes) {
      uint64_t number = (workload_.seed << 40) + ++stamps_;
      std::memcpy(memory + at, &number, sizeof number);
    }
  }

  void step_done(unsigned index) {
    Slot& slot = slots_[index];
    if (workload_.flush_after_each && !slot.flushing) {
      slot.flushing = true;
      target_.start(index, Kind::kFlush, 0, nullptr, 0);
      return;
    }
    --running_;
    uint64_t now = now_ns();
    latencies_ns_.push_back(now - slot.started_ns);
    note_gap(now);
    if (now < stop_ns_ && !all_started() && !g_ended) start(index);
  }

  bool all_started() const {
    return workload_.operations_max != 0 && started_ >= workload_.operations_max;
  }

  void note_gap(uint64_t now) {
    double ms = static_cast<double>(now - last_done_ns_) / 1e6;
    if (ms >= kGapNotedMs && gaps_.size() < kGapsMax) {
      gaps_.push_back({static_cast<double>(last_done_ns_) / 1e9, ms});
    }
    last_done_ns_ = now;
  }

  uint64_t next_random() {  // xorshift64
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }

  Target& target_;
  const Workload& workload_;
  std::vector<Slot> slots_;
  uint64_t blocks_ = 0;
  uint64_t next_block_ = 0;
  uint64_t random_ = 0x9e3779b97f4a7c15;
  unsigned running_ = 0;
  uint64_t start_ns_ = 0;
  uint64_t stop_ns_ = 0;
  uint64_t end_ns_ = 0;
  uint64_t last_done_ns_ = 0;
  uint64_t started_ = 0;
  uint64_t stamps_ = 0;
  std::vector<uint64_t> latencies_ns_;
  std::vector<Gap> gaps_;
};

// Sends back what it gets, by its own ring, until the connection ends.
void echo_forever(int fd) {
  Ring ring;
  std::byte* memory = aligned_memory(kRoundTripBytes);
  bool open = true;
  size_t missing = kRoundTripBytes;
  Operation receive;
  Operation send;
  auto start_receive = [&] {
    io_uring_sqe* sqe = ring.entry();
    io_uring_prep_recv(sqe, fd, memory + (kRoundTripBytes - missing), missing, 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    Ring::start(sqe, receive);
  };
  receive.done = [&](int result) {
    if (result <= 0) {
      open = false;
      return;
    }
    missing -= static_cast<size_t>(result);
    if (missing > 0) return start_receive();
    missing = kRoundTripBytes;
    io_uring_sqe* sqe = ring.entry();
    io_uring_prep_send(sqe, fd, memory, kRoundTripBytes, MSG_NOSIGNAL | MSG_WAITALL);
    Ring::start(sqe, send);
  };
  send.done = [&](int) { start_receive(); };
  start_receive();
  while (open) ring.turn();
}

// A socket as a target: a "write" is a round trip.
class EchoTarget final : public Target {
 public:
  EchoTarget(Ring& ring, int fd) : ring_(ring), fd_(fd), answer_(aligned_memory(kRoundTripBytes)) {
    receive_.done = [this](int result) {
      if (result <= 0) die("the echoing process went away");
      missing_ -= static_cast<size_t>(result);
      if (missing_ > 0) return receive();
      done(0);
    };
    send_.done = [](int) {};
  }
  uint64_t size_bytes() const override { return 1u << 20; }
  void start(unsigned, Kind, uint64_t, std::byte* memory, uint32_t bytes) override {
    io_uring_sqe* sqe = ring_.entry();
    io_uring_prep_send(sqe, fd_, memory, bytes, MSG_NOSIGNAL | MSG_WAITALL);
    Ring::start(sqe, send_);
    missing_ = bytes;
    receive();
  }

 private:
  void receive() {
    io_uring_sqe* sqe = ring_.entry();
    io_uring_prep_recv(sqe, fd_, answer_, missing_, 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    Ring::start(sqe, receive_);
  }

  Ring& ring_;
  int fd_;
  std::byte* answer_;
  size_t missing_ = 0;
  Operation send_;
  Operation receive_;
};

}  // namespace

std::vector<Workload> standard_workloads() {
  return {
      {.name = "write_4k_qd1"},
      {.name = "write_4k_qd32", .depth = 32},
      {.name = "write_flush_4k_qd1", .flush_after_each = true},
      {.name = "write_flush_4k_qd32", .flush_after_each = true, .depth = 32},
      {.name = "read_4k_qd1", .kind = Kind::kRead},
      {.name = "read_4k_qd32", .kind = Kind::kRead, .depth = 32},
      {.name = "write_1m_qd1", .sequential = true, .bytes = 1u << 20},
      {.name = "write_1m_qd4", .sequential = true, .bytes = 1u << 20, .depth = 4},
  };
}

void end_loads_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { g_ended = 1; };
  must(::sigaction(SIGINT, &action, nullptr), "sigaction");
  must(::sigaction(SIGTERM, &action, nullptr), "sigaction");
}

Figures run_load(Ring& ring, Target& target, const Workload& workload, double seconds) {
  Generator generator(target, workload, seconds);
  generator.run(ring);
  return generator.figures();
}

void prepare_file(const std::string& path, uint64_t bytes) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && static_cast<uint64_t>(status.st_size) == bytes) return;
  int fd =
      must(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600), path);
  if (::posix_fallocate(fd, 0, static_cast<off_t>(bytes)) != 0) die("no space for " + path);
  std::byte* memory = aligned_memory(kFillBytes);
  for (uint64_t offset = 0; offset < bytes; offset += kFillBytes) {
    size_t size = std::min(kFillBytes, bytes - offset);
    if (::pwrite(fd, memory, size, static_cast<off_t>(offset)) != static_cast<ssize_t>(size)) {
      die("cannot write " + path);
    }
  }
  must(::fsync(fd), "fsync " + path);
  std::free(memory);
  ::close(fd);
}

Figures measure_round_trip(const std::string& address, double seconds) {
  int listener = listen_at(address);
  pid_t child = must(::fork(), "fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    echo_forever(accept_from(listener));
    ::_exit(0);
  }
  ::close(listener);
  int fd = connect_to(address);
  Ring ring;
  EchoTarget target(ring, fd);
  Workload workload{.name = "round_trip_4k"};
  Figures figures = run_load(ring, target, workload, seconds);
  ::close(fd);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return figures;
}

}  // namespace cleat::sketch
