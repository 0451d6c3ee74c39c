// What people do to a volume under load: snapshots taken, deleted and restored, growth, replicas
// added and taken away.
#include <fmt/format.h>

#include <algorithm>

#include "sim/cluster/block_value.h"
#include "sim/cluster/cluster.h"

namespace cleat::sim {
namespace {

constexpr core::MemberIndex kIndexMax = 30;

}  // namespace

io::Task<void> Cluster::changes() {
  while (!load_stopped_) {
    Duration pause = random_time(20, 1200);
    co_await loop_.sleep(pause);
    if (!load_stopped_ && !quiet_) group_.spawn(one_change());
  }
}

// Of one kind one at a time; of several kinds at once, as people do.
io::Task<void> Cluster::one_change() {
  std::vector<Change> kinds;
  if (shape_.replica_changes) kinds.push_back(&Cluster::change_replicas);
  if (shape_.growth) kinds.push_back(&Cluster::change_size);
  if (shape_.snapshots) kinds.push_back(&Cluster::change_snapshot);
  if (shape_.restores) kinds.push_back(&Cluster::change_restore);
  if (kinds.empty()) co_return;
  Change kind = kinds[loop_.random().below(kinds.size())];
  if (std::ranges::find(changing_, kind) != changing_.end()) co_return;
  if (shape_.targeted && loop_.random().chance(0.2)) group_.spawn(kill_soon());
  changing_.push_back(kind);
  co_await (this->*kind)();
  std::erase(changing_, kind);
}

void Cluster::changed(const char* done, const Result<void>& result) {
  ++fault_counts_[result ? fmt::format("{} done", done) : fmt::format("{} failed", done)];
}

// The primary dies in the middle of a change, or a little later.
io::Task<void> Cluster::kill_soon() {
  uint64_t most = loop_.random().chance(0.5) ? 15'000 : 3'000'000;
  Duration soon = std::chrono::microseconds(static_cast<int64_t>(loop_.random().below(most)));
  co_await loop_.sleep(soon);
  HostIndex host = 0;
  if (open_volume(&host) == nullptr) co_return;
  Act act(*this, "killed in a change");
  kill_node(host, shape_.power_loss && loop_.random().chance(0.3));
  Duration away = random_time(10, 3000);
  co_await restart_node(host, away);
}

io::Task<void> Cluster::change_snapshot() {
  std::shared_ptr<engine::Volume> volume = open_volume();
  if (volume == nullptr) co_return;
  bool remove = !snapshots_.empty() && loop_.random().chance(0.4);
  if (remove) {
    co_await delete_snapshot(*volume);
  } else {
    co_await take_snapshot(*volume);
  }
}

// One whose answer was an error may be asked for again under the same id, as control does.
io::Task<void> Cluster::take_snapshot(engine::Volume& volume) {
  Act act(*this, "snapshot");
  bool again = asked_ && loop_.random().chance(0.7);
  if (!again) asked_ = AskedSnapshot{loop_.now(), history_.block(0).segments()};
  if (!again) ++next_snapshot_;
  const AskedSnapshot asked = *asked_;
  core::SnapshotRecord snapshot;
  snapshot.id = SnapshotId(next_snapshot_);
  snapshot.name = fmt::format("snapshot-{}", snapshot.id.value);
  auto taken = co_await volume.snapshot(snapshot);
  TimePoint ended = loop_.now();
  note(fmt::format("snapshot {}: {}", snapshot.id.value,
                   taken ? "taken" : to_string(taken.error())));
  changed("snapshot", taken);
  if (!taken) co_return;
  asked_.reset();
  snapshots_.push_back(TakenSnapshot{snapshot.id, {}});
  std::string differs = co_await compare_snapshot(snapshots_.back());
  if (!differs.empty()) wrong(differs);
  if (snapshots_.empty()) co_return;
  // A snapshot is a read of every block at one moment since it was asked for.
  const std::vector<Value>& values = snapshots_.back().values;
  bool one_segment = history_.block(0).segments() == asked.segments;
  for (size_t hot = 0; hot < values.size() && one_segment; ++hot) {
    if (values[hot] != kTorn) history_.block(hot).end_read(values[hot], asked.begun, ended);
  }
}

io::Task<void> Cluster::delete_snapshot(engine::Volume& volume) {
  Act act(*this, "snapshot deleted");
  size_t victim = loop_.random().below(snapshots_.size());
  SnapshotId id = snapshots_[victim].id;
  auto deleted = co_await volume.delete_snapshot(id);
  note(fmt::format("snapshot {}: deletion: {}", id.value,
                   deleted ? "done" : to_string(deleted.error())));
  changed("snapshot deletion", deleted);
  std::erase_if(snapshots_, [this](const TakenSnapshot& known) {
    const auto& listed = stored_record().snapshots;
    return std::ranges::none_of(listed, [&](const auto& s) { return s.id == known.id; });
  });
}

// The clients pause: what they read next is what the snapshot holds.
io::Task<void> Cluster::change_restore() {
  if (snapshots_.empty()) co_return;
  held_ = true;
  TimePoint give_up_at = loop_.now() + 4s;
  while (operations_inside_ > 0 && loop_.now() < give_up_at) co_await loop_.sleep(5ms);
  std::shared_ptr<engine::Volume> volume = open_volume();
  TakenSnapshot snapshot;
  if (!snapshots_.empty()) snapshot = snapshots_[loop_.random().below(snapshots_.size())];
  if (operations_inside_ == 0 && volume != nullptr && !snapshot.values.empty()) {
    Act act(*this, "restore");
    size_t segments = history_.block(0).segments();
    auto restored = co_await volume->restore(snapshot.id);
    note(fmt::format("restore of snapshot {}: {}", snapshot.id.value,
                     restored ? "done" : to_string(restored.error())));
    changed("restore", restored);
    bool certain = restored && history_.block(0).segments() == segments;
    for (size_t hot = 0; hot < kHotBlocks; ++hot) {
      history_.block(hot).restored(snapshot.values[hot], certain, loop_.now());
    }
  }
  held_ = false;
}

io::Task<void> Cluster::change_size() {
  std::shared_ptr<engine::Volume> volume = open_volume();
  if (volume == nullptr || volume->record().size_blocks >= kBlocksMax) co_return;
  Act act(*this, "growth");
  uint64_t size =
      std::min(kBlocksMax, volume->record().size_blocks + loop_.random().between(1, 400));
  auto grown = co_await volume->resize(size);
  changed("growth", grown);
  note(fmt::format("growth to {} blocks: {}", size, grown ? "done" : to_string(grown.error())));
}

io::Task<void> Cluster::change_replicas() {
  std::shared_ptr<engine::Volume> volume = open_volume();
  if (volume == nullptr) co_return;
  if (stored_record().replicas.size() < kHosts) {
    co_await add_replica(*volume);
  } else {
    co_await remove_replica(*volume);
  }
}

io::Task<void> Cluster::add_replica(engine::Volume& volume) {
  HostIndex host = 0;
  while (host < kHosts && has_replica(host)) ++host;
  if (host == kHosts || process(host) == nullptr || next_index_ >= kIndexMax) co_return;
  Act act(*this, "replica added");
  Process* at = process(host);
  ++at->readers;
  co_await at->service().remove(kVolume);
  Result<store::ReplicaStore*> created = fail(Code::kUnreachable, "the host died");
  Result<void> cleared;
  if (at->pool() != nullptr && at->pool()->find(kVolume) != nullptr) {
    cleared = co_await at->pool()->remove(kVolume);
  }
  if (cleared && at->pool() != nullptr) {
    created = co_await at->pool()->create(kVolume, volume.record().size_blocks);
  }
  if (created) at->service().add(**created);
  --at->readers;
  if (!created) co_return;
  core::ReplicaRecord replica{next_index_++, node_of(host), pool_of(host), core::ReplicaState::kNew,
                              Generation{}};
  auto added = co_await volume.add_replica(replica);
  changed("replica addition", added);
  note(fmt::format("replica {} on host {}: {}", replica.index, host,
                   added ? "added" : to_string(added.error())));
}

io::Task<void> Cluster::remove_replica(engine::Volume& volume) {
  const std::vector<core::ReplicaRecord> replicas = stored_record().replicas;
  if (replicas.size() <= kHaMin) co_return;
  Act act(*this, "replica removed");
  core::MemberIndex victim = replicas[loop_.random().below(replicas.size())].index;
  auto removed = co_await volume.remove_replica(victim);
  changed("replica removal", removed);
  note(fmt::format("replica {}: {}", victim, removed ? "removed" : to_string(removed.error())));
}

}  // namespace cleat::sim
