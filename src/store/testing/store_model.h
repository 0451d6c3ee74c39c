// What a pool must hold, kept outside of it: for each block what it reads as, and what else it may
// read as after a crash now.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/testing/pool_fixture.h"

namespace cleat::store::testing {

// A block by its sectors: the value of each (see fill_block()).
using Content = std::array<uint64_t, kBlockSize / sim::kSectorSize>;

inline Content uniform(uint64_t value) {
  Content content;
  content.fill(value);
  return content;
}
Content content_of(ConstBuffer block);
std::string describe(const Content& content);

enum class CrashKind : uint8_t { kPower, kProcess };

// One block through time: what it held at the last flush, and every change since.
class BlockModel {
 public:
  explicit BlockModel(Content content = uniform(0)) : states_{{content, 0, 0}} {}
  void begin(Content content, uint64_t now) { states_.push_back({content, now, kRunning}); }
  void end(uint64_t now) { states_.back().ended = now; }
  // The change was refused: the block is as before.
  void abort() { states_.pop_back(); }
  bool running() const { return states_.back().ended == kRunning; }
  // A flush that began at `begun` completed.
  void flushed(uint64_t begun);
  const Content& current() const;
  bool allows(const Content& seen, CrashKind kind) const;
  // Changed since the last flush, or seen other than it was then.
  bool needs_intent(const Content& seen) const;
  void reset(Content content) { states_ = {{content, 0, 0}}; }

 private:
  static constexpr uint64_t kRunning = UINT64_MAX;
  struct State {
    Content content;
    uint64_t begun;
    uint64_t ended;
  };
  std::vector<State> states_;
};

struct VolumeModel {
  std::vector<BlockModel> top;
  std::map<uint64_t, std::vector<Content>> snapshots;
  uint64_t epoch = 0;
  uint64_t epoch_wanted = 0;
  std::map<uint64_t, BlockRange> recent;       // by seq: begun, not known to be everywhere
  std::map<uint64_t, BlockRange> recent_done;  // of those, completed

  // What is under way, and may have happened or not.
  bool creating = false;
  bool removing = false;
  uint64_t freezing = 0;
  uint64_t deleting = 0;
  uint64_t restoring = 0;
  uint64_t growing_to = 0;  // blocks

  std::vector<Content> contents() const;
};

struct StoreModel {
  std::map<uint64_t, VolumeModel> volumes;
  uint64_t now = 0;  // counts begins and ends
};

// Compares an open pool with the model after a crash, by EXPECT, and takes over what it found: the
// model is then that of a pool that was just opened.
void check_and_adopt(PoolFixture& fixture, StoreModel& model, CrashKind kind);

}  // namespace cleat::store::testing
