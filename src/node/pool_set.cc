#include "node/pool_set.h"

#include <toml++/toml.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "common/durable_file.h"
#include "common/log.h"
#include "control/record_codec.h"
#include "io/mapped_scratch.h"
#include "io/uring_disk.h"
#include "store/superblock.h"

namespace cleat::node {
namespace {

constexpr size_t kScratchBytes = 16 << 20;

using control::failure;
using control::failure_from;

control::UsageInfo to_info(const store::Usage& usage) {
  return {usage.used_bytes, usage.shared_bytes, usage.snapshot_bytes, usage.reclaimable_bytes};
}

// What was a pool is not taken for one any more.
io::Task<Result<void>> erase_superblocks(io::Disk& disk) {
  AlignedBuffer zeros(kBlockSize);
  std::memset(zeros.data(), 0, zeros.size());
  for (uint64_t offset : store::kSuperblockOffsets) {
    CO_TRY(co_await disk.write(offset, zeros.span(), io::WriteMode::kDurable));
  }
  co_return Result<void>{};
}

}  // namespace

PoolSet::PoolSet(io::EventLoop& loop, engine::ReplicaService& service, PoolSetOptions options)
    : loop_(loop), service_(service), options_(std::move(options)) {}

PoolSet::~PoolSet() = default;

store::PoolIdentity PoolSet::identity(PoolId pool) const {
  uint64_t cluster = XXH3_64bits(options_.cluster.data(), options_.cluster.size());
  return {cluster, options_.node, pool};
}

control::Outcome<> PoolSet::load() {
  if (!std::filesystem::exists(list_path())) return {};
  try {
    toml::table table = toml::parse_file(list_path());
    for (auto&& [key, value] : table) {
      auto entry = std::make_unique<Entry>();
      entry->id = PoolId(std::stoull(std::string(key.str())));
      entry->path = value.at_path("path").value_or(std::string{});
      entry->pool_class = value.at_path("class").value_or(std::string{});
      entries_.push_back(std::move(entry));
    }
  } catch (const std::exception& error) {
    return failure(Code::kCorrupt,
                   "cannot read the list of pools {}: {}; correct or remove the file", list_path(),
                   error.what());
  }
  return {};
}

control::Outcome<> PoolSet::save() const {
  toml::table table;
  for (const auto& entry : entries_) {
    table.insert(std::to_string(entry->id.value),
                 toml::table{{"path", entry->path}, {"class", entry->pool_class}});
  }
  std::ostringstream text;
  text << table << '\n';
  if (replace_file_durably(list_path(), text.str())) return {};
  return failure(Code::kIoError,
                 "cannot write the list of pools {}: {}: is data_dir full or read-only?",
                 list_path(), strerrordesc_np(errno));
}

io::Task<control::Outcome<>> PoolSet::open_all() {
  auto loaded = load();
  if (!loaded) co_return loaded;
  for (auto& entry : entries_) {
    auto opened = co_await open(*entry);
    if (opened) continue;
    entry->problem = opened.error().message;
    LOG_ERROR("{}", entry->problem);
  }
  co_return control::Outcome<>{};
}

io::Task<control::Outcome<>> PoolSet::open(Entry& entry) {
  auto disk = io::UringDisk::open(loop_, entry.path);
  if (!disk) co_return failure_from(disk.error(), fmt::format("cannot open pool {}", entry.path));
  std::string scratch_path = fmt::format("{}/scratch-{}", options_.run_dir, entry.id.value);
  auto scratch = io::MappedScratch::open(scratch_path, kScratchBytes);
  if (!scratch) {
    co_return failure_from(scratch.error(), fmt::format("cannot open scratch {}", scratch_path));
  }
  store::OpenOptions options;
  options.identity = identity(entry.id);
  auto pool = co_await store::Pool::open(loop_, *std::move(disk), *std::move(scratch), options);
  if (!pool) co_return failure_from(pool.error(), fmt::format("cannot open pool {}", entry.path));
  entry.pool = *std::move(pool);
  entry.problem.clear();
  for (store::ReplicaStore* replica : entry.pool->replicas()) service_.add(*replica);
  LOG_INFO("pool {} ({}) is open with {} replicas", entry.id.value, entry.path,
           entry.pool->replicas().size());
  co_return control::Outcome<>{};
}

io::Task<void> PoolSet::close_all() {
  for (auto& entry : entries_) {
    if (!entry->pool) continue;
    for (store::ReplicaStore* replica : entry->pool->replicas()) {
      co_await service_.remove(replica->volume());
    }
    auto closed = co_await entry->pool->close();
    if (!closed) LOG_ERROR("pool {}: close: {}", entry->path, to_string(closed.error()));
    entry->pool.reset();
  }
}

io::Task<void> PoolSet::tick() {
  for (size_t i = 0; i < entries_.size(); ++i) {
    store::Pool* pool = entries_[i]->pool.get();
    if (pool == nullptr || pool->stats().failed) continue;
    ticking_ = pool;
    auto kept = co_await pool->tick();
    ticking_ = nullptr;
    if (!kept) LOG_WARN("pool {}: {}", entries_[i]->path, to_string(kept.error()));
  }
}

PoolSet::Entry* PoolSet::find(PoolId id) {
  for (auto& entry : entries_) {
    if (entry->id == id) return entry.get();
  }
  return nullptr;
}

io::Task<control::Outcome<control::PoolInfo>> PoolSet::create(PoolId id,
                                                              control::PoolCreate options) {
  for (const auto& entry : entries_) {
    if (entry->path != options.path) continue;
    co_return failure(Code::kAlreadyExists, "{} is pool {} of this node already", options.path,
                      entry->id.value);
  }
  Result<std::unique_ptr<io::UringDisk>> disk = fail(Code::kNotFound);
  store::FormatOptions format;
  format.identity = identity(id);
  format.capacity_bytes = options.size_bytes;
  format.overwrite = options.overwrite;
  format.salt = options_.random();
  const bool is_new = !std::filesystem::exists(options.path);
  if (!is_new) {
    disk = io::UringDisk::open(loop_, options.path);
  } else {
    disk = co_await io::UringDisk::create(loop_, options.path, kBlockSize);  // format grows it
  }
  if (!disk) co_return failure_from(disk.error(), fmt::format("cannot use {}", options.path));
  auto formatted = co_await store::Pool::format(**disk, format);
  if (!formatted) {
    std::error_code ignored;
    if (is_new) std::filesystem::remove(options.path, ignored);
    co_return failure_from(formatted.error(), fmt::format("cannot format {}", options.path));
  }
  disk->reset();
  auto entry = std::make_unique<Entry>();
  entry->id = id;
  entry->path = options.path;
  entry->pool_class = options.pool_class;
  auto opened = co_await open(*entry);
  if (!opened) {  // a repeated call must not meet a pool that nobody has
    auto erased = co_await erase(*entry);
    if (!erased) LOG_WARN("{}", erased.error().message);
    std::error_code ignored;
    if (is_new) std::filesystem::remove(options.path, ignored);
    co_return tl::unexpected(opened.error());
  }
  entries_.push_back(std::move(entry));
  auto saved = save();
  if (!saved) co_return tl::unexpected(saved.error());
  co_return info(*entries_.back());
}

// Only of a pool that was open: at the path of one that was not may be somebody else's data, after
// the machine's devices were given other names.
io::Task<control::Outcome<>> PoolSet::erase(const Entry& entry) {
  auto disk = io::UringDisk::open(loop_, entry.path);
  if (!disk) co_return failure_from(disk.error(), fmt::format("cannot erase {}", entry.path));
  auto erased = co_await erase_superblocks(**disk);
  if (!erased) co_return failure_from(erased.error(), fmt::format("cannot erase {}", entry.path));
  co_return control::Outcome<>{};
}

io::Task<control::Outcome<>> PoolSet::remove(PoolId id) {
  Entry* entry = find(id);
  if (entry == nullptr) co_return control::Outcome<>{};
  if (entry->pool && !entry->pool->replicas().empty()) {
    co_return failure(Code::kBusy, "pool {} still holds {} replicas: move or delete them first",
                      entry->path, entry->pool->replicas().size());
  }
  if (entry->pool) {
    while (ticking_ == entry->pool.get()) co_await loop_.sleep(10ms);
    auto closed = co_await entry->pool->close();
    if (!closed) LOG_WARN("pool {}: close: {}", entry->path, to_string(closed.error()));
    entry->pool.reset();
    auto erased = co_await erase(*entry);
    if (!erased) co_return erased;
  }
  std::erase_if(entries_, [entry](const auto& e) { return e.get() == entry; });
  co_return save();
}

control::PoolInfo PoolSet::info(const Entry& entry) const {
  control::PoolInfo info;
  info.pool = entry.id;
  info.path = entry.path;
  info.pool_class = entry.pool_class;
  info.problem = entry.problem;
  info.failed = !entry.pool;
  if (!entry.pool) return info;
  store::PoolStats stats = entry.pool->stats();
  info.capacity_bytes = stats.capacity_bytes;
  info.used_bytes = stats.used_bytes;
  info.free_bytes = stats.free_bytes;
  info.failed = stats.failed;
  if (stats.failed)
    info.problem = "a device error: the pool is read-only until cleatd is restarted";
  return info;
}

std::vector<control::PoolInfo> PoolSet::list() const {
  std::vector<control::PoolInfo> all;
  for (const auto& entry : entries_) all.push_back(info(*entry));
  return all;
}

io::Task<control::Outcome<>> PoolSet::create_replica(core::VolumeRecord record,
                                                     core::MemberIndex member,
                                                     std::string catalog) {
  const core::ReplicaRecord* replica = record.find(member);
  Entry* entry = replica == nullptr ? nullptr : find(replica->pool);
  if (entry == nullptr || !entry->pool) {
    co_return failure(Code::kNotFound, "the pool of the replica is not open on this node");
  }
  store::ReplicaStore* made = service_.find(record.id);
  if (made != nullptr) {
    bool same = made == entry->pool->find(record.id) && made->size_blocks() == record.size_blocks;
    if (same) co_return control::Outcome<>{};
    co_return failure(Code::kAlreadyExists,
                      "this node holds another replica of volume {}; delete that first",
                      record.id.value);
  }
  bool clone =
      record.parent_snapshot != SnapshotId{} && replica->state == core::ReplicaState::kInSync;
  Result<store::ReplicaStore*> created = fail(Code::kNotFound);
  if (clone) {
    created = co_await entry->pool->clone(record.id, record.parent_volume, record.parent_snapshot);
  } else {
    created = co_await entry->pool->create(record.id, record.size_blocks);
  }
  if (!created) co_return failure_from(created.error(), "cannot make the replica");
  auto noted = co_await (*created)->set_record(std::move(catalog));
  if (!noted) co_return failure_from(noted.error(), "cannot store the replica's record");
  service_.add(**created);
  co_return control::Outcome<>{};
}

io::Task<control::Outcome<>> PoolSet::remove_replica(VolumeId volume, PoolId pool) {
  Entry* entry = find(pool);
  if (entry == nullptr || !entry->pool || entry->pool->find(volume) == nullptr) {
    co_return control::Outcome<>{};
  }
  store::ReplicaStore* replica = entry->pool->find(volume);
  co_await service_.remove(volume);
  auto removed = co_await entry->pool->remove(volume);
  if (!removed) {
    service_.add(*replica);
    co_return failure_from(removed.error(),
                           fmt::format("cannot delete the replica of {}", volume.value));
  }
  co_return control::Outcome<>{};
}

io::Task<control::Outcome<>> PoolSet::set_spec(VolumeId volume, std::string spec) {
  store::ReplicaStore* replica = service_.find(volume);
  if (replica == nullptr) co_return control::Outcome<>{};
  std::string catalog = control::replace_spec(replica->record(), spec);
  auto stored = co_await replica->set_record(std::move(catalog));
  if (!stored)
    co_return failure_from(stored.error(), "cannot store the volume's spec with its replica");
  co_return control::Outcome<>{};
}

std::vector<control::LocalReplica> PoolSet::replicas() const {
  std::vector<control::LocalReplica> all;
  for (const auto& entry : entries_) {
    if (!entry->pool) continue;
    for (store::ReplicaStore* replica : entry->pool->replicas()) {
      control::LocalReplica local;
      local.volume = replica->volume();
      local.pool = entry->id;
      local.size_blocks = replica->size_blocks();
      local.epoch = replica->epoch();
      local.catalog = replica->record();
      all.push_back(std::move(local));
    }
  }
  return all;
}

io::Task<std::vector<control::ReplicaUsage>> PoolSet::usage(std::vector<VolumeId> volumes) {
  std::vector<std::pair<PoolId, VolumeId>> asked;
  for (const auto& entry : entries_) {
    if (!entry->pool) continue;
    for (store::ReplicaStore* replica : entry->pool->replicas()) {
      VolumeId volume = replica->volume();
      bool wanted =
          volumes.empty() || std::find(volumes.begin(), volumes.end(), volume) != volumes.end();
      if (wanted) asked.emplace_back(entry->id, volume);
    }
  }
  std::vector<control::ReplicaUsage> all;
  for (auto [pool, volume] : asked) {
    Entry* entry = find(pool);  // anew: it may have gone meanwhile
    store::ReplicaStore* replica =
        entry != nullptr && entry->pool ? entry->pool->find(volume) : nullptr;
    if (replica == nullptr) continue;
    all.push_back({volume, pool, replica->size_blocks(), to_info(replica->usage())});
    co_await loop_.yield();
  }
  co_return all;
}

}  // namespace cleat::node
