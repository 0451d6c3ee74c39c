#include "bench/sketch/ring.h"

#include <time.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cleat::sketch {

void die(const std::string& message) {
  std::fprintf(stderr, "cleat-sketch: %s\n", message.c_str());
  std::exit(1);
}

int must(int result, const std::string& what) {
  if (result >= 0) return result;
  die(what + ": " + std::strerror(result == -1 ? errno : -result));
}

uint64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

std::byte* aligned_memory(size_t bytes) {
  void* memory = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (memory == nullptr) die("no memory");
  std::memset(memory, 0x5a, bytes);
  return static_cast<std::byte*>(memory);
}

Ring::Ring() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  if (io_uring_queue_init_params(1024, &ring_, &params) == 0) return;
  params = {};
  must(io_uring_queue_init_params(1024, &ring_, &params), "io_uring");
}

Ring::~Ring() { io_uring_queue_exit(&ring_); }

io_uring_sqe* Ring::entry() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe != nullptr) return sqe;
  must(io_uring_submit(&ring_), "io_uring_submit");
  sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) die("the submission queue stays full");
  return sqe;
}

void Ring::turn() {
  struct Completion {
    Operation* operation;
    int result;
  };
  for (auto& hook : hooks_) hook();
  int waited = io_uring_submit_and_wait(&ring_, 1);
  if (waited < 0 && waited != -EINTR) must(waited, "io_uring_enter");
  std::array<io_uring_cqe*, 128> cqes;
  std::array<Completion, 128> batch;
  unsigned count = io_uring_peek_batch_cqe(&ring_, cqes.data(), cqes.size());
  for (unsigned i = 0; i < count; ++i) {
    batch[i] = {static_cast<Operation*>(io_uring_cqe_get_data(cqes[i])), cqes[i]->res};
    batch[i].operation->flags = cqes[i]->flags;
  }
  io_uring_cq_advance(&ring_, count);
  for (unsigned i = 0; i < count; ++i) batch[i].operation->done(batch[i].result);
}

}  // namespace cleat::sketch
