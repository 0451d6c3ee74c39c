// After the faults: everything is healed, and then all must be well.
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "sim/cluster/block_value.h"
#include "sim/cluster/cluster.h"

namespace cleat::sim {
namespace {

constexpr Duration kHealMax = std::chrono::seconds(300);

}  // namespace

io::Task<void> Cluster::heal_and_check(bool& done) {
  co_await heal_faults();
  std::string unhealed = co_await heal_and_open();
  if (!unhealed.empty()) wrong(std::move(unhealed));
  note("the end: processes stop");
  stage_ = "processes don't stop";
  for (HostIndex host = 0; host < kHosts; ++host) co_await process(host)->unwind();
  done = true;
}

io::Task<void> Cluster::heal_faults() {
  note("healing");
  // R7: what is under way when the primary dies reached some replicas only, and nobody writes those
  // blocks again.
  HostIndex primary = 0;
  if (loop_.random().chance(0.5) && open_volume(&primary) != nullptr) kill_node(primary, false);
  stage_ = "clients or operators wait for ever after healing";
  for (HostIndex a = 0; a < kHosts; ++a) {
    for (HostIndex b = 0; b < a; ++b) fabric_.heal(a, b);
    meta_.set_reachable(a, true);
    if (process(a) && process(a)->executor().paused()) process(a)->executor().resume();
  }
  co_await group_.close();  // clients end, faults under way heal, nodes come back
  for (HostIndex host = 0; host < kHosts; ++host) {
    bool failed = process(host) && process(host)->pool() && process(host)->pool()->stats().failed;
    if (failed) kill_node(host, false);
    co_await start_node(host);
  }
  co_await group_.close();
  healed_ = true;
}

io::Task<std::string> Cluster::heal_and_open() {
  TimePoint give_up_at = loop_.now() + kHealMax;
  for (;;) {
    if (loop_.now() >= give_up_at) co_return "the volume could not be opened after healing";
    stage_ = "a detach does not return after healing";
    for (HostIndex host = 0; host < kHosts; ++host) {
      if (process(host)->volume() == nullptr) continue;
      auto detached = co_await process(host)->detach();
      (void)detached;
    }
    stage_ = "an attach does not return after healing";
    HostIndex host = random_host();
    auto attached = co_await attach_on(host, true);
    if (!attached) {
      co_await loop_.sleep(200ms);
      continue;
    }
    std::string wrong_here = co_await check_open(*process(host)->volume(), host);
    stage_ = "the last detach does not return";
    auto detached = co_await process(host)->detach();
    if (!wrong_here.empty()) co_return wrong_here;
    if (!detached) co_return fmt::format("last detach: {}", to_string(detached.error()));
    co_return std::string{};
  }
}

// What deleted snapshots held is free only when their layers are merged, in the background.
io::Task<void> Cluster::deletions_done() {
  TimePoint give_up_at = loop_.now() + kHealMax;
  for (HostIndex host = 0; host < kHosts && loop_.now() < give_up_at;) {
    store::ReplicaStore* replica = process(host)->service().find(kVolume);
    bool merging = replica != nullptr && replica->usage().snapshot_bytes > 0;
    if (merging) co_await loop_.sleep(100ms);
    if (!merging) ++host;
  }
}

io::Task<std::string> Cluster::check_open(engine::Volume& volume, HostIndex host) {
  stage_ = "checks after healing";
  // A full pool holds up a resync until somebody makes room.
  if (shape_.room_bytes < kPoolBytes / 2) {
    while (!volume.record().snapshots.empty()) {
      auto deleted = co_await volume.delete_snapshot(volume.record().snapshots.front().id);
      if (!deleted) co_return fmt::format("snapshot deletion: {}", to_string(deleted.error()));
    }
    snapshots_.clear();
    co_await deletions_done();
  }
  auto healed = co_await volume.healed(kHealMax);
  if (!healed) co_return fmt::format("replicas stay behind: {}", to_string(healed.error()));
  std::string operations = co_await final_operations(volume);
  if (!operations.empty()) co_return operations;
  // A pool that was full until its deleted snapshots were merged may have refused some of that.
  healed = co_await volume.healed(kHealMax);
  if (!healed) co_return fmt::format("replicas stay behind: {}", to_string(healed.error()));
  auto report = co_await volume.check();
  if (!report) co_return fmt::format("check: {}", to_string(report.error()));
  if (!report->equal) co_return "replicas differ after healing";
  if (report->replicas.size() < kHaMin) co_return "a replica is missing after healing";
  std::string differ = co_await compare_replicas();
  if (!differ.empty()) co_return fmt::format("{}; open on host {}", differ, host);
  co_return std::string{};
}

std::string Cluster::describe_pools() {
  std::string text;
  for (HostIndex host = 0; host < kHosts; ++host) {
    store::PoolStats stats = process(host)->pool()->stats();
    text += fmt::format("{}host {}: {} of {} KiB free, {} kept{}", text.empty() ? "" : ", ", host,
                        stats.free_bytes / kKiB, stats.capacity_bytes / kKiB,
                        (kPoolCapacity - shape_.room_bytes) / kKiB, stats.failed ? ", failed" : "");
  }
  return text;
}

io::Task<std::string> Cluster::final_operations(engine::Volume& volume) {
  for (size_t hot = 0; hot < kHotBlocks; ++hot) {
    if (block_of(hot) >= volume.record().size_blocks) break;
    uint64_t before = result_.acknowledged;
    co_await do_read(volume, hot, 1);
    if (result_.acknowledged == before)
      co_return fmt::format("block {} can't be read", block_of(hot));
    co_await do_write(volume, hot, 1, false);
    co_await do_read(volume, hot, 1);
    if (result_.acknowledged != before + 3)
      co_return fmt::format("block {} can't be written; {}", block_of(hot), describe_pools());
  }
  auto flushed = co_await volume.flush();
  if (!flushed) co_return fmt::format("last flush: {}", to_string(flushed.error()));
  co_return std::string{};
}

io::Task<Result<std::vector<Value>>> Cluster::read_replica(HostIndex host, SnapshotId view) {
  Process* at = process(host);
  if (at == nullptr || at->pool() == nullptr || at->is_cut()) {
    co_return fail(Code::kUnreachable, "the host is down");
  }
  store::ReplicaStore* store = at->service().find(kVolume);
  if (store == nullptr) co_return fail(Code::kNotFound, "no replica");
  ++at->readers;
  std::vector<Value> values(kHotBlocks);
  AlignedBuffer block(kBlockSize);
  Result<void> result;
  for (size_t hot = 0; hot < kHotBlocks && result; ++hot) {
    if (block_of(hot) >= store->size_blocks()) break;
    result = co_await store->read(store::View{view}, BlockRange{block_of(hot), 1}, block.span());
    if (result) values[hot] = value_of(block.data());
  }
  --at->readers;
  if (!result) co_return fail(result.error());
  co_return values;
}

io::Task<Result<uint64_t>> Cluster::digest_replica(HostIndex host) {
  constexpr uint32_t kStep = kBlocksPerRegion;
  store::ReplicaStore* store = process(host)->service().find(kVolume);
  if (store == nullptr) co_return fail(Code::kNotFound, "no replica");
  AlignedBuffer blocks(kStep * kBlockSize);
  uint64_t digest = 0;
  uint64_t size = stored_record().size_blocks;
  for (uint64_t first = 0; first < size; first += kStep) {
    auto count = static_cast<uint32_t>(std::min<uint64_t>(kStep, size - first));
    MutableBuffer into(blocks.data(), count * kBlockSize);
    CO_TRY(co_await store->read(store::View::top(), BlockRange{first, count}, into));
    digest = XXH3_64bits_withSeed(into.data(), into.size(), digest);
  }
  co_return digest;
}

io::Task<std::string> Cluster::compare_replicas() {
  std::optional<uint64_t> first;
  const std::vector<core::ReplicaRecord> replicas = stored_record().replicas;
  for (const core::ReplicaRecord& replica : replicas) {
    auto host = static_cast<HostIndex>(replica.node.value - 1);
    auto digest = co_await digest_replica(host);
    if (!digest) co_return fmt::format("host {}: {}", host, to_string(digest.error()));
    if (first && *first != *digest) co_return "replicas differ, read alone";
    first = *digest;
  }
  for (TakenSnapshot& snapshot : snapshots_) {
    std::string differs = co_await compare_snapshot(snapshot);
    if (!differs.empty()) co_return differs;
  }
  co_return std::string{};
}

// What every replica in sync shows of the snapshot is what it showed at first.
io::Task<std::string> Cluster::compare_snapshot(TakenSnapshot& snapshot) {
  SnapshotId id = snapshot.id;
  std::vector<Value> expected = snapshot.values;
  const std::vector<core::ReplicaRecord> replicas = stored_record().replicas;
  for (const core::ReplicaRecord& replica : replicas) {
    if (replica.state != core::ReplicaState::kInSync) continue;
    auto host = static_cast<HostIndex>(replica.node.value - 1);
    auto values = co_await read_replica(host, id);
    // A look at it while disks still fail and replicas come and go proves nothing.
    if (!values && (!healed_ || process(host) == nullptr)) continue;
    if (!values) co_return fmt::format("snapshot {}: {}", id.value, to_string(values.error()));
    if (expected.empty()) expected = *values;
    if (expected == *values) continue;
    size_t hot =
        static_cast<size_t>(std::ranges::mismatch(expected, *values).in1 - expected.begin());
    co_return fmt::format("snapshot {}: block {} is {} on host {}, and was {}", id.value, hot,
                          (*values)[hot], host, expected[hot]);
  }
  for (TakenSnapshot& known : snapshots_) {
    if (known.id == id) known.values = expected;
  }
  co_return std::string{};
}

}  // namespace cleat::sim
