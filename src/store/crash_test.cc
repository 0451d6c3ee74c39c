// Crash consistency (docs/testing.md): random work, crashed at any moment in any way, against a
// model.
#include <gtest/gtest.h>

#include <cstdlib>

#include "store/testing/crash_run.h"

namespace cleat::store {
namespace {

using testing::CrashRun;
using testing::CrashRunOptions;

// More seeds for a soak: CLEAT_CRASH_SEEDS=N, beginning at CLEAT_CRASH_SEED.
uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void run_seeds(CrashRunOptions options, uint64_t count) {
  uint64_t first = from_environment("CLEAT_CRASH_SEED", 1);
  count = from_environment("CLEAT_CRASH_SEEDS", count);
  uint64_t looks = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("CLEAT_CRASH_SEED=" + std::to_string(seed));
    CrashRun run(seed, options);
    run.run();
    looks += run.looks();
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(looks, count) << "the runs were looked at";
}

TEST(Crash, WritesZerosAndFlushes) {
  CrashRunOptions options;
  options.structure = false;
  run_seeds(options, 20);
}

TEST(Crash, SnapshotsClonesAndRemovals) { run_seeds(CrashRunOptions{}, 30); }

// Freed extents are given to others at once: freeing too early, or forgetting who reads, shows.
TEST(Crash, FewExtentsUsedAgainAndAgain) {
  CrashRunOptions options;
  options.extents_max = 28;
  options.pool.slab_bytes = kMiB;
  options.look = 0.03;
  options.operations = 100;
  run_seeds(options, 20);
}

TEST(Crash, ManyExtentsForTheJournal) {
  CrashRunOptions options;
  options.pool.journal_bytes = 128 * kKiB;
  options.size_blocks = 3000;
  options.volumes_max = 2;
  options.workers = 8;
  options.operations = 100;
  options.look = 0.001;
  run_seeds(options, 6);
}

TEST(Crash, SmallJournalThatWraps) {
  CrashRunOptions options;
  options.pool.journal_bytes = 128 * kKiB;
  options.operations = 200;
  options.look = 0.005;
  run_seeds(options, 10);
}

}  // namespace
}  // namespace cleat::store
