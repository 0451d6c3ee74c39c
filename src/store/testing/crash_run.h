// Random work on a pool by several workers at once, looked at through crashes: at chosen moments
// the disk and the scratch memory are copied, the copy crashes, is opened, and is compared with the
// model.
#pragma once

#include <memory>
#include <string>

#include "common/random.h"
#include "io/sync.h"
#include "store/testing/store_model.h"

namespace cleat::store::testing {

struct CrashRunOptions {
  FixtureOptions pool;
  size_t workers = 4;
  size_t operations = 60;  // of each worker, in each life
  size_t lives = 3;
  uint64_t size_blocks = 160;  // of each volume
  size_t volumes_max = 3;
  size_t snapshots_max = 4;
  double look = 0.02;              // chance that an event of the disk is looked at
  size_t policies = 3;             // crashes tried at each look
  double crash_in_recovery = 0.1;  // chance that an event of a recovery is looked at too
  uint64_t extents_max =
      0;                  // the filesystem holds no more: extents are soon used again. 0: no limit
  bool structure = true;  // snapshots, clones, creation, removal
};

class CrashRun {
 public:
  CrashRun(uint64_t seed, CrashRunOptions options);
  // Until the lives are over or something is wrong (gtest's failures).
  void run();
  uint64_t looks() const { return looks_; }

 private:
  void live();
  void end_life();
  void look();
  void try_crash(CrashKind kind, uint64_t seed);
  void after_recovery(PoolFixture& copy, StoreModel& model);

  io::Task<void> worker(size_t number);
  io::Task<void> one_operation(uint64_t volume);
  io::Task<void> write(uint64_t volume);
  io::Task<void> zero(uint64_t volume);
  io::Task<void> flush(uint64_t volume);
  io::Task<void> read(uint64_t volume);
  io::Task<void> small_change(uint64_t volume);
  io::Task<void> structural(uint64_t volume);
  io::Task<void> freeze(uint64_t volume);
  io::Task<void> restore(uint64_t volume);
  io::Task<void> delete_snapshot(uint64_t volume);
  io::Task<void> clone(uint64_t volume);
  io::Task<void> create();
  io::Task<void> remove(uint64_t volume);
  io::Task<void> quiesce(uint64_t volume);

  bool claim(uint64_t volume, BlockRange& range);
  void begin_change(uint64_t volume, BlockRange range, const std::vector<uint64_t>& values);
  void end_change(uint64_t volume, BlockRange range, uint64_t seq, const Result<void>& done);
  void limit_growth(PoolFixture& fixture);
  uint64_t some_volume();
  std::optional<uint64_t> some_snapshot(uint64_t volume);
  ReplicaStore* store(uint64_t volume) { return fixture_->pool().find(VolumeId(volume)); }
  SnapshotId snapshot_id(uint64_t number) { return SnapshotId(number); }

  struct Activity {
    size_t changing = 0;      // writes and zeros under way
    bool structural = false;  // an operation that others must keep away from
    bool deleting = false;
    uint64_t seq = 0;
  };

  uint64_t seed_;
  CrashRunOptions options_;
  Random random_;
  std::unique_ptr<PoolFixture> fixture_;
  std::unique_ptr<io::WaitQueue> quiet_;
  StoreModel model_;
  std::map<uint64_t, Activity> activity_;
  uint64_t last_value_ = 0;
  uint64_t last_id_ = 0;
  uint64_t looks_ = 0;
  bool stopping_ = false;
};

}  // namespace cleat::store::testing
