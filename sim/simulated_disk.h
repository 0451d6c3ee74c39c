// A disk that loses, tears and fails, for crash tests and the cluster simulator.
//
// Medium: what is stored. It keeps the durable image and the ordered list of writes that no flush
// has covered yet, in sectors of 512 bytes. crash() decides the fate of each sector of each of
// them.
// SimulatedDisk: the io::Disk through which one process sees a medium. It dies with its process:
// after cut() every operation, also those under way, fails and changes nothing.
//
// Model: a write is atomic by sector and by nothing else; unflushed writes reach the durable image
// in any subset, but of two to one sector the later one wins; a flush covers what completed before
// it was called.
// Threading: one loop.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/random.h"
#include "common/time.h"
#include "io/disk.h"
#include "sim/simulated_loop.h"

namespace cleat::sim {

inline constexpr uint64_t kSectorSize = 512;

// Bytes addressed by offset, zero until written.
class SparseImage {
 public:
  void read(uint64_t offset, MutableBuffer into) const;
  void write(uint64_t offset, ConstBuffer from);
  void flip_bit(uint64_t offset, unsigned bit);

 private:
  using Page = std::array<std::byte, 4096>;
  absl::flat_hash_map<uint64_t, std::shared_ptr<Page>>
      pages_;  // shared between copies until written
  Page& writable(uint64_t number);
};

// Whether a crash keeps this sector of this unflushed write. Called for each in order.
using CrashPolicy = std::function<bool(size_t write, size_t sector)>;
CrashPolicy lose_all();
CrashPolicy keep_all();
CrashPolicy keep_writes(
    uint64_t mask);  // bit i: write i, whole (the first 64; later ones are lost)
// Each write lost, kept or torn with equal chance; a torn one keeps each sector by the toss of a
// coin.
CrashPolicy keep_random(uint64_t seed);

class Medium {
 public:
  explicit Medium(uint64_t size_bytes) : size_bytes_(size_bytes) {}
  uint64_t size_bytes() const { return size_bytes_; }
  size_t unflushed_count() const { return unflushed_.size(); }

  // Power loss: the durable image and what the policy keeps of the rest. Nothing is unflushed after
  // it.
  void crash(const CrashPolicy& policy);
  // The process dies: what it completed stays (cached, unflushed); of writes under way the policy
  // keeps.
  void kill_process(const CrashPolicy& policy);

  void flip_bit(uint64_t offset, unsigned bit);  // in both images
  void read_current(uint64_t offset, MutableBuffer into) const { current_.read(offset, into); }
  void write_current(uint64_t offset, ConstBuffer from);  // durable at once: to prepare a test

 private:
  friend class SimulatedDisk;
  struct Unflushed {
    uint64_t id;
    uint64_t offset;
    std::vector<std::byte> data;
    std::vector<bool> superseded;  // by a durable write to the same sector
    bool completed = false;
  };
  uint64_t begin_write(uint64_t offset, ConstBuffer from);
  void complete_write(uint64_t id, bool durable);
  void abandon_write(
      uint64_t id);  // failed: each sector may have been written or not; here: none is
  std::vector<uint64_t> completed_ids() const;
  void make_durable(const std::vector<uint64_t>& ids);
  void apply_durable(const Unflushed& write);
  Unflushed* find(uint64_t id);

  uint64_t size_bytes_;
  uint64_t last_id_ = 0;
  SparseImage durable_;
  SparseImage current_;  // what reads see
  std::vector<Unflushed> unflushed_;
};

enum class DiskOp : uint8_t { kRead, kWrite, kFlush, kGrow };

struct DiskFaults {
  // True: the operation fails with kIoError (kNoSpace for kGrow). A failed write changes nothing.
  std::function<bool(DiskOp op, uint64_t offset, uint64_t size)> fail;
  Duration latency_min = 20us;
  Duration latency_max = 400us;
  bool can_grow = true;  // false: a block device
};

struct DiskCounts {
  uint64_t reads = 0;
  uint64_t writes = 0;
  uint64_t bytes_written = 0;
  uint64_t flushes = 0;
};

class SimulatedDisk : public io::Disk {
 public:
  SimulatedDisk(SimulatedLoop& loop, std::shared_ptr<Medium> medium)
      : loop_(loop), medium_(std::move(medium)) {}

  uint64_t size_bytes() const override { return medium_->size_bytes(); }
  io::Task<Result<void>> read(uint64_t offset, MutableBuffer into) override;
  io::Task<Result<void>> write(uint64_t offset, ConstBuffer from, io::WriteMode mode) override;
  io::Task<Result<void>> flush() override;
  io::Task<Result<void>> grow(uint64_t new_size_bytes) override;

  void cut() { dead_ = true; }
  DiskFaults& faults() { return faults_; }
  const DiskCounts& counts() const { return counts_; }
  // Called whenever an operation starts or ends: a place where a test may look, or copy the medium.
  void observe(std::function<void()> observer) { observer_ = std::move(observer); }

 private:
  bool fails(DiskOp op, uint64_t offset, uint64_t size);
  Duration latency();
  void look() {
    if (observer_ && !dead_) observer_();
  }

  SimulatedLoop& loop_;
  std::shared_ptr<Medium> medium_;
  DiskFaults faults_;
  DiskCounts counts_;
  std::function<void()> observer_;
  bool dead_ = false;
};

}  // namespace cleat::sim
