// The load: clients of whatever node has the volume open, also one that was cut off and does not
// know it.
#include <fmt/format.h>

#include <algorithm>

#include "sim/cluster/block_value.h"
#include "sim/cluster/cluster.h"

namespace cleat::sim {
namespace {

constexpr size_t kSharedBlocks = 5;

}  // namespace

io::Task<void> Cluster::client(uint64_t number) {
  Random random(options_.seed * 1000 + number);
  // Writes to a primary that was cut off hang: some clients go on reading from it.
  bool reads_only = number % 4 == 3;
  while (!load_stopped_) {
    std::shared_ptr<engine::Volume> volume;
    engine::BlockDevice* device = nullptr;
    if (shape_.shared) {
      device = shared_device(random);
    } else {
      volume = random_volume(random);
      device = volume.get();
    }
    if (device == nullptr || held_) {
      co_await loop_.sleep(5ms);
      continue;
    }
    ++operations_inside_;
    co_await one_operation(*device, random, reads_only);
    --operations_inside_;
    auto pause = std::chrono::microseconds(static_cast<int64_t>(random.below(3000)));
    co_await loop_.sleep(pause);
  }
}

std::shared_ptr<engine::Volume> Cluster::random_volume(Random& random) {
  std::vector<Process*> candidates;
  for (Node& node : nodes_) {
    if (node.process && node.process->volume() != nullptr) candidates.push_back(node.process.get());
  }
  if (candidates.empty()) return nullptr;
  return candidates[random.below(candidates.size())]->shared_volume();
}

io::Task<void> Cluster::one_operation(engine::BlockDevice& volume, Random& random,
                                      bool reads_only) {
  ++result_.operations;
  size_t usable = hot_blocks_.size();
  while (block_of(usable - 1) >= volume.size_bytes() / kBlockSize) --usable;
  // Sharers are to meet on the same blocks.
  if (shape_.shared && random.chance(0.9)) usable = std::min(usable, kSharedBlocks);
  size_t count = random.chance(0.8) ? 1 : random.between(1, 4);
  size_t first = random.below(usable - count + 1);
  count = one_range(first, count);
  uint64_t dice = random.below(100);
  if (dice < 45 || reads_only || only_read(first, count)) return do_read(volume, first, count);
  if (dice < 82) {
    bool fua = random.chance(0.1);
    return do_write(volume, first, count, fua);
  }
  if (dice < 90) return do_zero(volume, first, count);
  return do_flush(volume);
}

// Hot blocks lie in runs, so that an operation of several blocks is one range of the volume.
size_t Cluster::one_range(size_t first, size_t count) const {
  while (count > 1 && block_of(first + count - 1) != block_of(first) + count - 1) --count;
  return count;
}

void Cluster::note_operation(const char* what, size_t hot, Value value) {
  if (!options_.trace_operations) return;
  note(fmt::format("{} block {}: {}, epoch {}", what, hot, value, stored_record().epoch.value));
}

io::Task<void> Cluster::do_write(engine::BlockDevice& volume, size_t first, size_t count,
                                 bool fua) {
  AlignedBuffer data(count * kBlockSize);
  std::vector<BlockHistory::WriteId> ids;
  for (size_t i = 0; i < count; ++i) {
    Value value = history_.next_value();
    fill_block(data.data() + i * kBlockSize, value);
    ids.push_back(history_.block(first + i).begin_write(value, loop_.now()));
  }
  BlockRange range{block_of(first), static_cast<uint32_t>(count)};
  auto flags = fua ? engine::WriteFlags::kFua : engine::WriteFlags::kNone;
  auto written = co_await volume.write(range, data.span(), flags);
  if (dead_.contains(&volume)) co_return;
  for (size_t i = 0; !written && i < count; ++i) {
    note_operation(written.error().what, first + i, value_of(data.data() + i * kBlockSize));
  }
  if (!written) co_return;
  ++result_.acknowledged;
  for (size_t i = 0; i < count; ++i) {
    history_.block(first + i).end_write(ids[i], loop_.now(), fua);
    note_operation("wrote", first + i, value_of(data.data() + i * kBlockSize));
  }
}

io::Task<void> Cluster::do_zero(engine::BlockDevice& volume, size_t first, size_t count) {
  std::vector<BlockHistory::WriteId> ids;
  for (size_t i = 0; i < count; ++i) {
    ids.push_back(history_.block(first + i).begin_write(0, loop_.now()));
  }
  BlockRange range{block_of(first), static_cast<uint32_t>(count)};
  auto zeroed = co_await volume.zero(range, engine::WriteFlags::kNone);
  if (dead_.contains(&volume)) co_return;
  for (size_t i = 0; !zeroed && i < count; ++i) {
    note_operation(zeroed.error().what, first + i, 0);
  }
  if (!zeroed) co_return;
  ++result_.acknowledged;
  ++fault_counts_["zeroing"];
  for (size_t i = 0; i < count; ++i) {
    history_.block(first + i).end_write(ids[i], loop_.now(), false);
    note_operation("zeroed", first + i, 0);
  }
}

io::Task<void> Cluster::do_read(engine::BlockDevice& volume, size_t first, size_t count) {
  AlignedBuffer data(count * kBlockSize);
  TimePoint begun = loop_.now();
  BlockRange range{block_of(first), static_cast<uint32_t>(count)};
  auto read = co_await volume.read(range, data.span());
  if (!read || dead_.contains(&volume)) co_return;
  ++result_.acknowledged;
  for (size_t i = 0; i < count; ++i) {
    Value value = value_of(data.data() + i * kBlockSize);
    if (value == kTorn && !shape_.power_loss) wrong("a read returned a torn block");
    if (value == kTorn) continue;
    history_.block(first + i).end_read(value, begun, loop_.now());
    note_operation("read", first + i, value);
  }
}

io::Task<void> Cluster::do_flush(engine::BlockDevice& volume) {
  TimePoint begun = loop_.now();
  auto flushed = co_await volume.flush();
  if (flushed && !dead_.contains(&volume)) history_.flushed(begun);
}

}  // namespace cleat::sim
