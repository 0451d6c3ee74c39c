// What is measured: operations kept in flight for some seconds against a file or an NBD server,
// and the figures that come out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/sketch/ring.h"

namespace cleat::sketch {

enum class Kind : uint8_t { kRead, kWrite, kFlush };

// Something that does reads, writes and flushes. Slots are numbered from 0; one operation a slot.
class Target {
 public:
  virtual ~Target() = default;
  virtual uint64_t size_bytes() const = 0;
  virtual void start(unsigned slot, Kind kind, uint64_t offset, std::byte* memory,
                     uint32_t bytes) = 0;
  // Called with the slot when its operation is done.
  std::function<void(unsigned)> done;
};

struct Workload {
  std::string name;
  Kind kind = Kind::kWrite;
  bool flush_after_each = false;  // one I/O is then a write and a flush
  bool sequential = false;
  uint32_t bytes = 4096;
  unsigned depth = 1;
  uint64_t range_bytes = 0;     // only the first so many bytes; 0: all
  uint64_t operations_max = 0;  // ends after so many, too; 0: by time alone
  uint64_t seed = 1;            // of the places
};

// A time without any completion. The clock is CLOCK_MONOTONIC: the same in every process.
struct Gap {
  double at_s = 0;
  double ms = 0;
};

struct Figures {
  uint64_t operations = 0;
  double seconds = 0;
  double p50_us = 0;
  double p99_us = 0;
  double max_us = 0;
  std::vector<Gap> gaps;  // those of kGapNotedMs and more, in order, kGapsMax at most
  double per_second() const { return static_cast<double>(operations) / seconds; }
};

inline constexpr double kGapNotedMs = 2;
inline constexpr size_t kGapsMax = 20000;

// The columns of the table in the design: 4 KiB at depth 1 and 32, with and without flush, and 1
// MiB.
std::vector<Workload> standard_workloads();

// From now on SIGINT and SIGTERM end loads as if their time were over.
void end_loads_on_signals();

Figures run_load(Ring& ring, Target& target, const Workload& workload, double seconds);

// A file of `bytes` that was really written, made unless one of that size is there.
void prepare_file(const std::string& path, uint64_t bytes);

// 4 KiB to another process and back over loopback TCP, one at a time.
Figures measure_round_trip(const std::string& address, double seconds);

}  // namespace cleat::sketch
