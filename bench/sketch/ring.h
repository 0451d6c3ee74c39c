// A bare io_uring with callbacks: what the sketch needs and nothing more. Failures of set-up end
// the program with a message; the sketch measures, it does not recover.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cleat::sketch {

// Ends the program when `result` is negative: prints what failed and why.
int must(int result, const std::string& what);
[[noreturn]] void die(const std::string& message);

uint64_t now_ns();

// One operation in flight at a time; done(result) runs when it ends.
struct Operation {
  std::function<void(int)> done;
  uint32_t flags = 0;  // of the completion
};

class Ring {
 public:
  Ring();
  Ring(const Ring&) = delete;
  ~Ring();

  // An entry to fill in by io_uring_prep_*, then given to start().
  io_uring_sqe* entry();
  static void start(io_uring_sqe* sqe, Operation& operation) {
    io_uring_sqe_set_data(sqe, &operation);
  }
  // Runs `hook` before each wait, to send together what one turn has queued.
  void before_wait(std::function<void()> hook) { hooks_.push_back(std::move(hook)); }
  // One turn: submit, wait for a completion, run what completed.
  void turn();

 private:
  io_uring ring_{};
  std::vector<std::function<void()>> hooks_;
};

// Memory for direct I/O; never freed before the end.
std::byte* aligned_memory(size_t bytes);

}  // namespace cleat::sketch
