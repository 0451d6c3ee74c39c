// A pool on a simulated disk, with scratch, that a test may crash and open again.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "sim/simulated_disk.h"
#include "sim/simulated_loop.h"
#include "sim/simulated_scratch.h"
#include "store/pool.h"

namespace cleat::store::testing {

struct FixtureOptions {
  uint64_t seed = 1;
  uint64_t capacity_bytes = 256 * kMiB;
  uint64_t journal_bytes = 256 * kKiB;
  uint64_t slab_bytes = 4 * kMiB;
  uint64_t reserve_bytes = 0;
  uint64_t scratch_bytes = 1 * kMiB;  // 0: none
};

inline PoolIdentity test_identity() { return {77, NodeId(5), PoolId(9)}; }

class PoolFixture {
 public:
  explicit PoolFixture(FixtureOptions options = {})
      : options_(options),
        loop_(options.seed),
        medium_(std::make_shared<sim::Medium>(0)),
        scratch_bytes_(options.scratch_bytes) {
    sim::SimulatedDisk disk(loop_, medium_);
    FormatOptions format;
    format.identity = test_identity();
    format.capacity_bytes = options.capacity_bytes;
    format.journal_bytes = options.journal_bytes;
    format.salt = 0x5a17;
    Result<void> done = loop_.wait(Pool::format(disk, format));
    EXPECT_TRUE(done) << to_string(done.error());
  }
  // A copy of the state of another at some moment, as a crash there would leave it.
  PoolFixture(FixtureOptions options, std::shared_ptr<sim::Medium> medium,
              std::vector<std::byte> scratch)
      : options_(options),
        loop_(options.seed),
        medium_(std::move(medium)),
        scratch_bytes_(std::move(scratch)) {}
  ~PoolFixture() {
    if (pool_ != nullptr) end_process();
  }

  Result<void> open() {
    auto disk = std::make_unique<sim::SimulatedDisk>(loop_, medium_);
    disk_ = disk.get();
    std::unique_ptr<sim::SimulatedScratch> scratch;
    if (!scratch_bytes_.empty()) {
      scratch = std::make_unique<sim::SimulatedScratch>(scratch_bytes_);
      scratch_ = scratch.get();
    }
    OpenOptions open;
    open.identity = test_identity();
    open.reserve_bytes = options_.reserve_bytes;
    open.slab_bytes = options_.slab_bytes;
    Result<std::unique_ptr<Pool>> pool =
        loop_.wait(Pool::open(loop_, std::move(disk), std::move(scratch), open));
    if (!pool) {
      disk_ = nullptr;
      scratch_ = nullptr;
      return fail(pool.error());
    }
    pool_ = std::move(*pool);
    return {};
  }
  void must_open() {
    Result<void> opened = open();
    ASSERT_TRUE(opened) << to_string(opened.error());
  }

  Result<void> close() {
    Result<void> done = loop_.wait(pool_->close());
    if (scratch_ != nullptr) scratch_bytes_ = scratch_->contents();
    drop_pool();
    return done;
  }
  void power_loss(const sim::CrashPolicy& policy) {
    end_process();
    medium_->crash(policy);
    std::fill(scratch_bytes_.begin(), scratch_bytes_.end(), std::byte{0});
  }
  void kill(const sim::CrashPolicy& policy) {
    if (scratch_ != nullptr) scratch_bytes_ = scratch_->contents();
    end_process();
    medium_->kill_process(policy);
  }
  Result<void> write(ReplicaStore* store, uint64_t first, const std::vector<uint64_t>& values,
                     uint64_t seq = 0, uint64_t generation = 1);
  Result<void> zero(ReplicaStore* store, BlockRange range, uint64_t seq = 0,
                    uint64_t generation = 1) {
    return loop_.wait(store->zero({range, Generation(generation), Seq(seq)}));
  }
  Result<void> flush(ReplicaStore* store) { return loop_.wait(store->flush()); }
  // And waits until its layer is merged.
  Result<void> delete_snapshot(ReplicaStore* store, SnapshotId id) {
    Result<void> deleted = loop_.wait(store->delete_snapshot(id));
    loop_.run();
    return deleted;
  }
  // The value of each block: see fill_block(). kTorn when it holds anything else.
  std::vector<uint64_t> read(ReplicaStore* store, BlockRange range, View view = {});
  ReplicaStore* create(uint64_t volume, uint64_t size_blocks) {
    auto made = loop_.wait(pool_->create(VolumeId(volume), size_blocks));
    EXPECT_TRUE(made) << to_string(made.error());
    return made ? *made : nullptr;
  }

  sim::SimulatedLoop& loop() { return loop_; }
  sim::SimulatedDisk& disk() { return *disk_; }
  sim::SimulatedScratch* scratch() { return scratch_; }
  std::shared_ptr<sim::Medium> medium() { return medium_; }
  Pool& pool() { return *pool_; }
  bool is_open() const { return pool_ != nullptr; }
  const FixtureOptions& options() const { return options_; }

 private:
  void end_process() {
    if (disk_ != nullptr) disk_->cut();
    drop_pool();
  }
  void drop_pool() {
    loop_.run();
    pool_.reset();
    disk_ = nullptr;
    scratch_ = nullptr;
  }

  FixtureOptions options_;
  sim::SimulatedLoop loop_;
  std::shared_ptr<sim::Medium> medium_;
  std::vector<std::byte> scratch_bytes_;
  std::unique_ptr<Pool> pool_;
  sim::SimulatedDisk* disk_ = nullptr;
  sim::SimulatedScratch* scratch_ = nullptr;
};

// A block of one value: every 512-byte sector says which, so a mixture is seen. 0: zeros.
inline constexpr uint64_t kTorn = UINT64_MAX;

inline void fill_block(MutableBuffer block, uint64_t value) {
  for (size_t at = 0; at < block.size(); at += sizeof(value)) {
    uint64_t word = value == 0 ? 0 : value * 0x9e3779b97f4a7c15ULL + at % sim::kSectorSize;
    if (at % sim::kSectorSize == 0) word = value;
    std::memcpy(block.data() + at, &word, sizeof(word));
  }
}

inline uint64_t block_value(ConstBuffer block) {
  uint64_t value;
  std::memcpy(&value, block.data(), sizeof(value));
  std::vector<std::byte> expected(block.size());
  fill_block(expected, value);
  return std::memcmp(expected.data(), block.data(), block.size()) == 0 ? value : kTorn;
}

inline AlignedBuffer blocks_of(const std::vector<uint64_t>& values) {
  AlignedBuffer data(values.size() * kBlockSize);
  for (size_t i = 0; i < values.size(); ++i) {
    fill_block(data.span().subspan(i * kBlockSize, kBlockSize), values[i]);
  }
  return data;
}

inline Result<void> PoolFixture::write(ReplicaStore* store, uint64_t first,
                                       const std::vector<uint64_t>& values, uint64_t seq,
                                       uint64_t generation) {
  AlignedBuffer data = blocks_of(values);
  BlockRange range{first, static_cast<uint32_t>(values.size())};
  return loop_.wait(store->write({range, Generation(generation), Seq(seq)}, data.span()));
}

inline std::vector<uint64_t> PoolFixture::read(ReplicaStore* store, BlockRange range, View view) {
  AlignedBuffer data(range.bytes());
  Result<void> done = loop_.wait(store->read(view, range, data.span()));
  EXPECT_TRUE(done) << to_string(done.error());
  std::vector<uint64_t> values;
  for (uint32_t i = 0; i < range.count; ++i) {
    values.push_back(block_value(data.span().subspan(i * kBlockSize, kBlockSize)));
  }
  return values;
}

}  // namespace cleat::store::testing
