#include "store/testing/store_model.h"

#include <algorithm>
#include <set>

namespace cleat::store::testing {
namespace {

// The values that the sectors of a block hold; a sector of none gives kTorn.
std::vector<uint64_t> sector_values(ConstBuffer block) {
  std::vector<uint64_t> values;
  for (size_t at = 0; at < block.size(); at += sim::kSectorSize) {
    values.push_back(block_value(block.subspan(at, sim::kSectorSize)));
  }
  return values;
}

}  // namespace

Content content_of(ConstBuffer block) {
  std::vector<uint64_t> values = sector_values(block);
  Content content;
  std::copy(values.begin(), values.end(), content.begin());
  return content;
}

std::string describe(const Content& content) {
  std::string text;
  for (uint64_t value : content) {
    text += value == kTorn ? "garbage " : std::to_string(value) + " ";
  }
  return text;
}

void BlockModel::flushed(uint64_t begun) {
  size_t base = 0;
  for (size_t i = 1; i < states_.size(); ++i) {
    if (states_[i].ended <= begun) base = i;
  }
  states_.erase(states_.begin(), states_.begin() + static_cast<ptrdiff_t>(base));
}

const Content& BlockModel::current() const {
  return running() && states_.size() > 1 ? states_[states_.size() - 2].content
                                         : states_.back().content;
}

bool BlockModel::allows(const Content& seen, CrashKind kind) const {
  for (size_t sector = 0; sector < seen.size(); ++sector) {
    bool allowed = false;
    for (size_t i = 0; i < states_.size(); ++i) {
      bool possible = kind == CrashKind::kPower || states_[i].ended == kRunning ||
                      &states_[i].content == &current();
      allowed = allowed || (possible && states_[i].content[sector] == seen[sector]);
    }
    if (!allowed) return false;
  }
  return true;
}

bool BlockModel::needs_intent(const Content& seen) const {
  bool completed = states_.size() > 1 && states_[1].ended != kRunning;
  return completed || seen != states_[0].content;
}

std::vector<Content> VolumeModel::contents() const {
  std::vector<Content> all;
  for (const BlockModel& block : top) all.push_back(block.current());
  return all;
}

namespace {

std::vector<Content> read_all(PoolFixture& f, ReplicaStore* store, View view,
                              uint64_t size_blocks) {
  BlockRange range{0, static_cast<uint32_t>(size_blocks)};
  AlignedBuffer data(range.bytes());
  Result<void> done = f.loop().wait(store->read(view, range, data.span()));
  EXPECT_TRUE(done) << to_string(done.error());
  std::vector<Content> contents;
  for (uint64_t i = 0; i < size_blocks; ++i) {
    contents.push_back(content_of(data.span().subspan(i * kBlockSize, kBlockSize)));
  }
  return contents;
}

void expect_same(const std::vector<Content>& seen, const std::vector<Content>& expected,
                 const std::string& what) {
  for (size_t i = 0; i < seen.size(); ++i) {
    Content want = i < expected.size() ? expected[i] : uniform(0);
    ASSERT_EQ(seen[i], want) << what << " block " << i << ": " << describe(seen[i])
                             << " instead of " << describe(want);
  }
}

bool is_same(const std::vector<Content>& seen, const std::vector<Content>& expected) {
  for (size_t i = 0; i < seen.size(); ++i) {
    if (seen[i] != (i < expected.size() ? expected[i] : uniform(0))) return false;
  }
  return true;
}

struct Check {
  PoolFixture& fixture;
  CrashKind kind;
};

void check_snapshots(Check c, ReplicaStore* store, uint64_t id, VolumeModel& v) {
  std::set<uint64_t> found;
  for (SnapshotId snapshot : store->snapshots()) found.insert(snapshot.value);
  if (v.freezing != 0 && found.contains(v.freezing)) v.snapshots[v.freezing] = v.contents();
  if (v.deleting != 0 && !found.contains(v.deleting)) v.snapshots.erase(v.deleting);
  EXPECT_EQ(found.size(), v.snapshots.size()) << "volume " << id;
  for (const auto& [snapshot, contents] : v.snapshots) {
    ASSERT_TRUE(found.contains(snapshot)) << "volume " << id << " lost snapshot " << snapshot;
    auto seen = read_all(c.fixture, store, View{SnapshotId(snapshot)}, store->size_blocks());
    expect_same(seen, contents,
                "volume " + std::to_string(id) + " snapshot " + std::to_string(snapshot));
  }
}

void check_top(Check c, ReplicaStore* store, uint64_t id, VolumeModel& v) {
  auto seen = read_all(c.fixture, store, View::top(), store->size_blocks());
  if (v.restoring != 0 && is_same(seen, v.snapshots.at(v.restoring))) {
    for (size_t i = 0; i < seen.size() && i < v.top.size(); ++i) v.top[i].reset(seen[i]);
  }
  std::set<uint64_t> zones;
  for (uint64_t region : store->intent_regions()) zones.insert(region);
  for (size_t i = 0; i < seen.size(); ++i) {
    if (i >= v.top.size()) v.top.emplace_back();
    ASSERT_TRUE(v.top[i].allows(seen[i], c.kind))
        << "volume " << id << " block " << i << ": " << describe(seen[i]) << ", last completed "
        << describe(v.top[i].current());
    if (v.top[i].needs_intent(seen[i])) {
      EXPECT_TRUE(zones.contains(i / kBlocksPerRegion)) << "block " << i << " has no intent";
    }
  }
}

void check_recent(Check c, ReplicaStore* store, uint64_t id, const VolumeModel& v) {
  if (c.kind == CrashKind::kPower || store->recent_lost()) {
    if (!v.recent_done.empty() && c.kind == CrashKind::kPower) {
      EXPECT_TRUE(store->recent_lost()) << "volume " << id;
    }
    return;
  }
  std::map<uint64_t, BlockRange> found;
  for (const auto& write : store->recent()) found[write.seq.value] = write.range;
  for (const auto& [seq, range] : v.recent_done) {
    ASSERT_TRUE(found.contains(seq)) << "volume " << id << " forgot recent write " << seq;
    EXPECT_EQ(found[seq], range);
  }
}

void adopt(Check c, ReplicaStore* store, VolumeModel& v) {
  auto seen = read_all(c.fixture, store, View::top(), store->size_blocks());
  v.top.clear();
  for (const Content& content : seen) v.top.emplace_back(content);
  v.epoch = v.epoch_wanted = store->epoch().value;
  v.creating = v.removing = false;
  v.freezing = v.deleting = v.restoring = v.growing_to = 0;
  v.recent.clear();
  v.recent_done.clear();
  store->clear_recent();
}

}  // namespace

void check_and_adopt(PoolFixture& fixture, StoreModel& model, CrashKind kind) {
  Check c{fixture, kind};
  for (auto at = model.volumes.begin(); at != model.volumes.end();) {
    auto& [id, v] = *at;
    ReplicaStore* store = fixture.pool().find(VolumeId(id));
    if (store == nullptr) {
      ASSERT_TRUE(v.creating || v.removing) << "volume " << id << " is lost";
      at = model.volumes.erase(at);
      continue;
    }
    bool size_ok = store->size_blocks() == v.top.size() || store->size_blocks() == v.growing_to;
    ASSERT_TRUE(size_ok) << "volume " << id << " has " << store->size_blocks() << " blocks";
    EXPECT_GE(store->epoch().value, v.epoch) << "volume " << id;
    EXPECT_LE(store->epoch().value, v.epoch_wanted) << "volume " << id;
    check_snapshots(c, store, id, v);
    if (::testing::Test::HasFatalFailure()) return;
    check_top(c, store, id, v);
    if (::testing::Test::HasFatalFailure()) return;
    check_recent(c, store, id, v);
    adopt(c, store, v);
    ++at;
  }
  EXPECT_EQ(fixture.pool().replicas().size(), model.volumes.size());
  // What deletions under way and emptied extents still hold goes with a flush.
  fixture.loop().run();
  if (!fixture.pool().replicas().empty()) {
    Result<void> flushed = fixture.flush(fixture.pool().replicas().front());
    EXPECT_TRUE(flushed) << to_string(flushed.error());
  }
  uint64_t used = 0;
  for (ReplicaStore* store : fixture.pool().replicas()) used += store->usage().used_bytes;
  EXPECT_EQ(fixture.pool().stats().used_bytes, used) << "space that nobody owns";
}

}  // namespace cleat::store::testing
