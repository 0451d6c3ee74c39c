#include "store/testing/crash_run.h"

#include <algorithm>

namespace cleat::store::testing {

CrashRun::CrashRun(uint64_t seed, CrashRunOptions options)
    : seed_(seed), options_(options), random_(seed) {
  options_.pool.seed = seed;
}

void CrashRun::run() {
  fixture_ = std::make_unique<PoolFixture>(options_.pool);
  fixture_->must_open();
  for (size_t life = 0; life < options_.lives; ++life) {
    live();
    if (::testing::Test::HasFailure()) return;
    end_life();
    if (::testing::Test::HasFailure()) return;
  }
}

void CrashRun::live() {
  quiet_ = std::make_unique<io::WaitQueue>(fixture_->loop());
  limit_growth(*fixture_);
  fixture_->disk().observe([this] {
    if (random_.chance(options_.look) && !::testing::Test::HasFailure()) look();
  });
  stopping_ = false;
  if (model_.volumes.empty()) fixture_->loop().wait(create());
  for (size_t i = 0; i < options_.workers; ++i) fixture_->loop().spawn(worker(i));
  // Some lives end in the middle of the work.
  bool whole = random_.chance(0.5);
  uint64_t steps = random_.between(100, 4000);
  while ((whole || steps-- > 0) && fixture_->loop().step()) {
    if (::testing::Test::HasFailure()) break;
  }
  stopping_ = true;
}

void CrashRun::end_life() {
  StoreModel model = model_;
  uint64_t how = random_.below(3);
  quiet_->notify_all();
  fixture_->disk().observe({});
  CrashKind kind = how == 0 ? CrashKind::kPower : CrashKind::kProcess;
  if (how == 0) {
    fixture_->power_loss(sim::keep_random(random_()));
  } else if (how == 1) {
    fixture_->kill(sim::keep_random(random_()));
  } else {
    fixture_->loop().run();
    model = model_;
    Result<void> closed = fixture_->close();
    ASSERT_TRUE(closed) << to_string(closed.error());
  }
  model_ = model;
  for (auto& [id, activity] : activity_) activity = Activity{.seq = activity.seq};
  fixture_->must_open();
  if (!fixture_->is_open()) return;
  check_and_adopt(*fixture_, model_, kind);
}

void CrashRun::look() {
  ++looks_;
  for (size_t i = 0; i < options_.policies; ++i) {
    try_crash(random_.chance(0.3) ? CrashKind::kProcess : CrashKind::kPower, random_());
    if (::testing::Test::HasFailure()) return;
  }
}

namespace {

io::Task<void> open_into(sim::SimulatedLoop& loop, std::unique_ptr<io::Disk> disk,
                         std::unique_ptr<io::Scratch> scratch,
                         std::optional<Result<std::unique_ptr<Pool>>>& out) {
  OpenOptions options;
  options.reserve_bytes = 0;
  out.emplace(co_await Pool::open(loop, std::move(disk), std::move(scratch), options));
}

// Opens the pool and ends that, or the open pool, after some steps. Gives the worse of both
// crashes.
CrashKind crash_in_recovery(CrashKind kind, Random& random, std::shared_ptr<sim::Medium>& medium,
                            std::vector<std::byte>& scratch) {
  sim::SimulatedLoop loop(random());
  auto disk = std::make_unique<sim::SimulatedDisk>(loop, medium);
  sim::SimulatedDisk* handle = disk.get();
  std::unique_ptr<sim::SimulatedScratch> area;
  if (!scratch.empty()) area = std::make_unique<sim::SimulatedScratch>(scratch);
  sim::SimulatedScratch* memory = area.get();
  std::optional<Result<std::unique_ptr<Pool>>> opened;
  loop.spawn(open_into(loop, std::move(disk), std::move(area), opened));
  for (uint64_t steps = random.below(60); steps > 0 && !opened; --steps) loop.step();
  bool failed = opened && !*opened;
  EXPECT_FALSE(failed) << "recovery: " << to_string(opened->error());
  if (failed) return kind;
  if (memory != nullptr) scratch = memory->contents();
  auto left = std::make_shared<sim::Medium>(*medium);
  handle->cut();
  loop.run();
  medium = left;
  if (kind == CrashKind::kPower || random.chance(0.3)) {
    // What the recovery did not flush may be lost, and scratch is.
    medium->crash(sim::keep_random(random()));
    std::fill(scratch.begin(), scratch.end(), std::byte{0});
    return CrashKind::kPower;
  }
  medium->kill_process(sim::keep_random(random()));
  return kind;
}

}  // namespace

void CrashRun::try_crash(CrashKind kind, uint64_t seed) {
  Random random(seed);
  auto medium = std::make_shared<sim::Medium>(*fixture_->medium());
  std::vector<std::byte> scratch;
  if (fixture_->scratch() != nullptr) scratch = fixture_->scratch()->contents();
  uint64_t shape = random.below(6);
  auto policy = shape == 0   ? sim::lose_all()
                : shape == 1 ? sim::keep_all()
                : shape == 2 ? sim::keep_writes(random())
                             : sim::keep_random(random());
  if (kind == CrashKind::kPower) {
    medium->crash(policy);
    std::fill(scratch.begin(), scratch.end(), std::byte{0});
  } else {
    medium->kill_process(policy);
  }
  bool twice = random.chance(options_.crash_in_recovery);
  if (twice) kind = crash_in_recovery(kind, random, medium, scratch);
  FixtureOptions pool = options_.pool;
  pool.seed = random();
  PoolFixture copy(pool, medium, scratch);
  Result<void> opened = copy.open();
  ASSERT_TRUE(opened) << to_string(opened.error()) << " seed " << seed_ << " look " << looks_;
  StoreModel model = model_;
  limit_growth(copy);
  check_and_adopt(copy, model, kind);
  if (::testing::Test::HasFailure()) {
    ADD_FAILURE() << "seed " << seed_ << " look " << looks_ << " crash " << seed
                  << (kind == CrashKind::kPower ? " power" : " process")
                  << (twice ? ", twice" : "");
    return;
  }
  after_recovery(copy, model);
}

// The recovered pool works: new data goes only where nobody's data is, and it survives another
// crash.
void CrashRun::after_recovery(PoolFixture& copy, StoreModel& model) {
  uint64_t value = last_value_ + 1000000;
  for (auto& [id, v] : model.volumes) {
    ReplicaStore* replica = copy.pool().find(VolumeId(id));
    for (size_t block = id % 7; block < v.top.size(); block += 13) {
      Result<void> done = copy.write(replica, block, {++value});
      if (!done && done.error().code == Code::kNoSpace && options_.extents_max != 0) continue;
      ASSERT_TRUE(done) << to_string(done.error());
      v.top[block].reset(uniform(value));
    }
    ASSERT_TRUE(copy.flush(replica));
  }
  copy.power_loss(sim::keep_random(value));
  Result<void> opened = copy.open();
  ASSERT_TRUE(opened) << to_string(opened.error()) << " seed " << seed_ << " look " << looks_;
  check_and_adopt(copy, model, CrashKind::kPower);
  if (::testing::Test::HasFailure()) {
    ADD_FAILURE() << "after recovery: seed " << seed_ << " look " << looks_;
  }
}

// --- workers

io::Task<void> CrashRun::worker(size_t) {
  for (size_t i = 0; i < options_.operations && !stopping_; ++i) {
    if (fixture_->pool().stats().failed) co_return;
    uint64_t volume = some_volume();
    if (volume == 0) {
      co_await create();
    } else {
      co_await one_operation(volume);
    }
    Duration pause(static_cast<int64_t>(random_.below(300'000)));
    co_await fixture_->loop().sleep(pause);
  }
}

io::Task<void> CrashRun::one_operation(uint64_t volume) {
  uint64_t dice = random_.below(100);
  if (dice < 45) {
    co_await write(volume);
  } else if (dice < 58) {
    co_await zero(volume);
  } else if (dice < 75) {
    co_await flush(volume);
  } else if (dice < 82) {
    co_await read(volume);
  } else if (dice < 88 || !options_.structure) {
    co_await small_change(volume);
  } else {
    co_await structural(volume);
  }
}

uint64_t CrashRun::some_volume() {
  std::vector<uint64_t> usable;
  for (const auto& [id, v] : model_.volumes) {
    if (!v.creating && !v.removing && !activity_[id].structural) usable.push_back(id);
  }
  return usable.empty() ? 0 : usable[random_.below(usable.size())];
}

std::optional<uint64_t> CrashRun::some_snapshot(uint64_t volume) {
  const VolumeModel& v = model_.volumes.at(volume);
  if (v.snapshots.empty()) return std::nullopt;
  auto at = v.snapshots.begin();
  std::advance(at, static_cast<ptrdiff_t>(random_.below(v.snapshots.size())));
  if (at->first == v.deleting) return std::nullopt;
  return at->first;
}

bool CrashRun::claim(uint64_t volume, BlockRange& range) {
  VolumeModel& v = model_.volumes.at(volume);
  uint64_t size = v.top.size();
  range.first = random_.below(size);
  uint64_t longest = std::min<uint64_t>(size - range.first, random_.chance(0.2) ? 80 : 5);
  range.count = static_cast<uint32_t>(random_.between(1, longest));
  for (uint64_t block = range.first; block < range.end(); ++block) {
    if (v.top[block].running()) return false;
  }
  return true;
}

void CrashRun::begin_change(uint64_t volume, BlockRange range,
                            const std::vector<uint64_t>& values) {
  VolumeModel& v = model_.volumes.at(volume);
  ++model_.now;
  for (uint32_t i = 0; i < range.count; ++i) {
    v.top[range.first + i].begin(uniform(values[i]), model_.now);
  }
  ++activity_[volume].changing;
  v.recent[++activity_[volume].seq] = range;
}

void CrashRun::end_change(uint64_t volume, BlockRange range, uint64_t seq,
                          const Result<void>& done) {
  if (stopping_) return quiet_->notify_all();
  VolumeModel& v = model_.volumes.at(volume);
  bool refused = !done && done.error().code == Code::kNoSpace && options_.extents_max != 0;
  ASSERT_TRUE(done || refused) << to_string(done.error());
  ++model_.now;
  for (uint32_t i = 0; i < range.count; ++i) {
    BlockModel& block = v.top[range.first + i];
    if (refused) {
      block.abort();
    } else {
      block.end(model_.now);
    }
  }
  if (refused) v.recent.erase(seq);
  if (v.recent.contains(seq)) v.recent_done[seq] = range;
  if (--activity_[volume].changing == 0) quiet_->notify_all();
}

void CrashRun::limit_growth(PoolFixture& fixture) {
  if (options_.extents_max == 0) return;
  uint64_t most = fixture.pool().stats().capacity_bytes;
  uint64_t offset = options_.pool.capacity_bytes - most;  // of the extents, or a little more
  uint64_t limit = offset + options_.extents_max * kExtentSize;
  fixture.disk().faults().fail = [limit](sim::DiskOp op, uint64_t, uint64_t size) {
    return op == sim::DiskOp::kGrow && size > limit;
  };
}

io::Task<void> CrashRun::write(uint64_t volume) {
  BlockRange range;
  if (!claim(volume, range)) co_return;
  std::vector<uint64_t> values;
  for (uint32_t i = 0; i < range.count; ++i) values.push_back(++last_value_);
  begin_change(volume, range, values);
  uint64_t seq = activity_[volume].seq;
  AlignedBuffer data = blocks_of(values);
  WriteAt at{range, Generation(1), Seq(seq)};
  Result<void> done = co_await store(volume)->write(at, data.span());
  end_change(volume, range, seq, done);
}

io::Task<void> CrashRun::zero(uint64_t volume) {
  BlockRange range;
  if (!claim(volume, range)) co_return;
  begin_change(volume, range, std::vector<uint64_t>(range.count, 0));
  uint64_t seq = activity_[volume].seq;
  WriteAt at{range, Generation(1), Seq(seq)};
  Result<void> done = co_await store(volume)->zero(at);
  end_change(volume, range, seq, done);
}

io::Task<void> CrashRun::flush(uint64_t volume) {
  uint64_t begun = ++model_.now;
  // A flush is the pool's: every volume's completed writes are durable after it.
  Result<void> done = co_await store(volume)->flush();
  if (stopping_) co_return;
  EXPECT_TRUE(done) << to_string(done.error());
  for (auto& [id, v] : model_.volumes) {
    for (BlockModel& block : v.top) block.flushed(begun);
  }
}

io::Task<void> CrashRun::read(uint64_t volume) {
  BlockRange range;
  if (!claim(volume, range)) co_return;
  View view;
  auto snapshot = some_snapshot(volume);
  if (snapshot && random_.chance(0.5)) view.snapshot = SnapshotId(*snapshot);
  std::vector<Content> before;
  const VolumeModel& v = model_.volumes.at(volume);
  for (uint64_t block = range.first; block < range.end(); ++block) {
    if (view.snapshot == SnapshotId{}) {
      before.push_back(v.top[block].current());
    } else {
      const auto& contents = v.snapshots.at(*snapshot);
      before.push_back(block < contents.size() ? contents[block] : uniform(0));
    }
  }
  AlignedBuffer data(range.bytes());
  ReplicaStore* replica = store(volume);
  Result<void> done = co_await replica->read(view, range, data.span());
  if (stopping_) co_return;
  if (!done && (done.error().code == Code::kNotFound)) co_return;  // deleted meanwhile
  EXPECT_TRUE(done) << to_string(done.error());
  auto now = model_.volumes.find(volume);
  if (now == model_.volumes.end()) co_return;
  for (uint32_t i = 0; i < range.count; ++i) {
    Content seen = content_of(data.span().subspan(i * kBlockSize, kBlockSize));
    // Written meanwhile: no order.
    bool changed =
        view.snapshot == SnapshotId{} && (now->second.top[range.first + i].running() ||
                                          now->second.top[range.first + i].current() != before[i]);
    if (!changed) {
      EXPECT_EQ(seen, before[i]) << "seed " << seed_ << " volume " << volume << " block "
                                 << range.first + i << ": " << describe(seen) << " instead of "
                                 << describe(before[i]);
    }
  }
}

io::Task<void> CrashRun::small_change(uint64_t volume) {
  VolumeModel& v = model_.volumes.at(volume);
  ReplicaStore* replica = store(volume);
  uint64_t dice = random_.below(4);
  if (dice == 0) {
    uint64_t epoch = ++v.epoch_wanted;
    Result<void> done = co_await replica->set_epoch(Epoch(epoch));
    if (stopping_) co_return;
    if (done) model_.volumes.at(volume).epoch = std::max(model_.volumes.at(volume).epoch, epoch);
  } else if (dice == 1) {
    uint64_t first = v.recent.empty() ? 0 : v.recent.begin()->first;
    uint64_t through = v.recent_done.contains(first) ? first : 0;
    replica->known_everywhere(Seq(through));
    std::erase_if(v.recent, [through](const auto& entry) { return entry.first <= through; });
    std::erase_if(v.recent_done, [through](const auto& entry) { return entry.first <= through; });
  } else if (dice == 2) {
    Result<void> done = co_await fixture_->pool().tick();
    EXPECT_TRUE(done || stopping_) << to_string(done.error());
  } else if (v.growing_to == 0 && v.top.size() < 2 * options_.size_blocks) {
    v.growing_to = v.top.size() + random_.between(1, 40);
    Result<void> done = co_await replica->resize(v.growing_to);
    if (stopping_) co_return;
    EXPECT_TRUE(done) << to_string(done.error());
    VolumeModel& grown = model_.volumes.at(volume);
    grown.top.resize(grown.growing_to);
    grown.growing_to = 0;
  }
}

// --- structure

// Keeps others away from the volume and waits until its changes are over.
io::Task<void> CrashRun::quiesce(uint64_t volume) {
  activity_[volume].structural = true;
  while (activity_[volume].changing > 0 && !stopping_) co_await quiet_->wait();
}

io::Task<void> CrashRun::structural(uint64_t volume) {
  VolumeModel& v = model_.volumes.at(volume);
  uint64_t dice = random_.below(100);
  if (v.growing_to != 0) co_return;
  if (dice < 35) {
    if (v.snapshots.size() < options_.snapshots_max) co_await freeze(volume);
  } else if (dice < 70) {
    co_await delete_snapshot(volume);
  } else if (dice < 80) {
    co_await restore(volume);
  } else if (dice < 90) {
    if (model_.volumes.size() < options_.volumes_max) co_await clone(volume);
  } else if (dice < 95) {
    if (model_.volumes.size() < options_.volumes_max) co_await create();
  } else if (model_.volumes.size() > 1) {
    co_await remove(volume);
  }
}

io::Task<void> CrashRun::freeze(uint64_t volume) {
  co_await quiesce(volume);
  if (stopping_) co_return;
  uint64_t id = ++last_id_;
  model_.volumes.at(volume).freezing = id;
  uint64_t begun = ++model_.now;
  Result<void> done = co_await store(volume)->freeze(SnapshotId(id));
  if (stopping_) co_return;
  EXPECT_TRUE(done) << to_string(done.error());
  VolumeModel& v = model_.volumes.at(volume);
  v.freezing = 0;
  v.snapshots[id] = v.contents();
  for (BlockModel& block : v.top) block.flushed(begun);
  activity_[volume].structural = false;
}

io::Task<void> CrashRun::restore(uint64_t volume) {
  auto snapshot = some_snapshot(volume);
  if (!snapshot || activity_[volume].deleting) co_return;
  co_await quiesce(volume);
  if (stopping_) co_return;
  if (!model_.volumes.at(volume).snapshots.contains(*snapshot) || activity_[volume].deleting) {
    activity_[volume].structural = false;
    co_return;
  }
  model_.volumes.at(volume).restoring = *snapshot;
  Result<void> done = co_await store(volume)->restore(SnapshotId(*snapshot));
  if (stopping_) co_return;
  EXPECT_TRUE(done) << to_string(done.error());
  VolumeModel& v = model_.volumes.at(volume);
  v.restoring = 0;
  const auto& contents = v.snapshots.at(*snapshot);
  for (size_t i = 0; i < v.top.size(); ++i) {
    v.top[i].reset(i < contents.size() ? contents[i] : uniform(0));
  }
  activity_[volume].structural = false;
}

// Beside writes and all else.
io::Task<void> CrashRun::delete_snapshot(uint64_t volume) {
  auto snapshot = some_snapshot(volume);
  if (!snapshot || activity_[volume].deleting) co_return;
  activity_[volume].deleting = true;
  model_.volumes.at(volume).deleting = *snapshot;
  Result<void> done = co_await store(volume)->delete_snapshot(SnapshotId(*snapshot));
  if (stopping_) co_return;
  VolumeModel& v = model_.volumes.at(volume);
  v.deleting = 0;
  activity_[volume].deleting = false;
  if (!done && done.error().code == Code::kBusy) co_return;
  EXPECT_TRUE(done) << to_string(done.error());
  v.snapshots.erase(*snapshot);
}

io::Task<void> CrashRun::create() {
  uint64_t id = ++last_id_;
  VolumeModel& v = model_.volumes[id];
  v.creating = true;
  v.top.resize(options_.size_blocks);
  auto made = co_await fixture_->pool().create(VolumeId(id), options_.size_blocks);
  if (stopping_) co_return;
  EXPECT_TRUE(made) << to_string(made.error());
  model_.volumes.at(id).creating = false;
}

io::Task<void> CrashRun::clone(uint64_t volume) {
  auto snapshot = some_snapshot(volume);
  if (!snapshot || activity_[volume].deleting) co_return;
  uint64_t id = ++last_id_;
  VolumeModel& v = model_.volumes[id];
  v.creating = true;
  auto contents = model_.volumes.at(volume).snapshots.at(*snapshot);
  contents.resize(model_.volumes.at(volume).top.size(), uniform(0));
  for (const Content& content : contents) v.top.emplace_back(content);
  auto made =
      co_await fixture_->pool().clone(VolumeId(id), VolumeId(volume), SnapshotId(*snapshot));
  if (stopping_) co_return;
  if (!made) {
    // A deletion of the snapshot, or a removal, won.
    EXPECT_EQ(made.error().code, Code::kNotFound) << to_string(made.error());
    model_.volumes.erase(id);
    co_return;
  }
  VolumeModel& cloned = model_.volumes.at(id);
  cloned.creating = false;
  cloned.top.resize((*made)->size_blocks());
}

io::Task<void> CrashRun::remove(uint64_t volume) {
  co_await quiesce(volume);
  if (stopping_) co_return;
  model_.volumes.at(volume).removing = true;
  Result<void> done = co_await fixture_->pool().remove(VolumeId(volume));
  if (stopping_) co_return;
  if (!done) {
    EXPECT_EQ(done.error().code, Code::kBusy) << to_string(done.error());
    model_.volumes.at(volume).removing = false;
    activity_[volume].structural = false;
    co_return;
  }
  model_.volumes.erase(volume);
  activity_.erase(volume);
}

}  // namespace cleat::store::testing
