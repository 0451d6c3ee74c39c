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
};

struct Figures {
  uint64_t operations = 0;
  double seconds = 0;
  double p50_us = 0;
  double p99_us = 0;
  double per_second() const { return static_cast<double>(operations) / seconds; }
};

// The columns of the table in the design: 4 KiB at depth 1 and 32, with and without flush, and 1
// MiB.
std::vector<Workload> standard_workloads();

Figures run_load(Ring& ring, Target& target, const Workload& workload, double seconds);

// A file of `bytes` that was really written, made unless one of that size is there.
void prepare_file(const std::string& path, uint64_t bytes);

// 4 KiB to another process and back over loopback TCP, one at a time.
Figures measure_round_trip(const std::string& address, double seconds);

}  // namespace cleat::sketch
