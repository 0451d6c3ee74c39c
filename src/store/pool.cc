#include "store/pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/log.h"
#include "store/pool_core.h"
#include "store/recovery.h"
#include "store/snapshot_ops.h"

namespace cleat::store {
namespace {

// Writes zeros over what an earlier pool may have left in a region.
io::Task<Result<void>> clear_region(io::Disk& disk, uint64_t offset, uint64_t size) {
  AlignedBuffer zeros(1 * kMiB);
  std::memset(zeros.data(), 0, zeros.size());
  for (uint64_t at = 0; at < size; at += zeros.size()) {
    size_t part = std::min<size_t>(zeros.size(), size - at);
    Result<void> written =
        co_await disk.write(offset + at, zeros.span().first(part), io::WriteMode::kCached);
    CO_TRY(written);
  }
  co_return Result<void>{};
}

Superblock first_superblock(const FormatOptions& options, Geometry geometry) {
  Superblock s;
  s.write_count = 1;
  s.cluster = options.identity.cluster;
  s.node = options.identity.node.value;
  s.pool = options.identity.pool.value;
  s.salt = options.salt;
  s.tail_sequence = 1;
  s.catalog_count = 1;
  s.clean = true;
  s.geometry = geometry;
  return s;
}

Result<void> check_identity(const Superblock& s, const PoolIdentity& expected) {
  if (expected.cluster != 0 && expected.cluster != s.cluster) {
    return fail(Code::kPermission, "the pool belongs to another cluster");
  }
  if (expected.node != NodeId{} && expected.node.value != s.node) {
    return fail(Code::kPermission, "the pool belongs to another node");
  }
  if (expected.pool != PoolId{} && expected.pool.value != s.pool) {
    return fail(Code::kPermission, "this is another pool");
  }
  return {};
}

// Also a pool that can't be opened any more, and what was never one, is somebody's data. Before the
// journal stand both superblocks here, and all that file systems, partitions and volume managers
// are known by.
io::Task<Result<void>> check_blank(io::Disk& disk) {
  Result<FoundSuperblock> found = co_await find_superblock(disk);
  if (found || found.error().code == Code::kUnsupported) {
    co_return fail(Code::kAlreadyExists,
                   "it holds a pool already; only with --overwrite is that lost");
  }
  AlignedBuffer start(std::min(kJournalOffset, disk.size_bytes()));
  if (start.size() == 0) co_return Result<void>{};
  Result<void> got = co_await disk.read(0, start.span());
  CO_TRY(got);
  bool blank = std::all_of(start.data(), start.data() + start.size(),
                           [](std::byte b) { return b == std::byte{0}; });
  if (!blank) {
    co_return fail(Code::kAlreadyExists,
                   "it holds data, and no intact pool; only with --overwrite is that lost");
  }
  co_return Result<void>{};
}

io::Task<Result<void>> make_room(io::Disk& disk, const Geometry& geometry) {
  // Regions and one extent at least: the file grows as it fills.
  uint64_t least = geometry.extents_offset + kMiB;
  if (disk.size_bytes() >= least) co_return Result<void>{};
  Result<void> grown = co_await disk.grow(least);
  if (!grown && grown.error().code == Code::kUnsupported) {
    co_return fail(Code::kInvalidArgument, "the device is smaller than the pool's regions");
  }
  co_return grown;
}

}  // namespace

Pool::Pool(std::unique_ptr<PoolCore> core) : core_(std::move(core)) {}
Pool::~Pool() = default;

io::Task<Result<void>> Pool::format(io::Disk& disk, FormatOptions options) {
  if (!options.overwrite) {
    Result<void> blank = co_await check_blank(disk);
    CO_TRY(blank);
  }
  uint64_t capacity = options.capacity_bytes == 0 ? disk.size_bytes() : options.capacity_bytes;
  CO_TRY_ASSIGN(Geometry geometry, plan_geometry(capacity, options.journal_bytes));
  Result<void> room = co_await make_room(disk, geometry);
  CO_TRY(room);
  uint64_t first = geometry.journal_offset;
  Result<void> cleared = co_await clear_region(disk, 0, first);
  CO_TRY(cleared);
  cleared = co_await clear_region(disk, first, geometry.extents_offset - first);
  CO_TRY(cleared);
  CatalogImage empty;
  empty.count = 1;
  AlignedBuffer catalog = encode_catalog(empty, options.salt);
  Result<void> written = co_await disk.write(geometry.catalog_offset + geometry.catalog_bytes,
                                             catalog.span(), io::WriteMode::kCached);
  CO_TRY(written);
  Result<void> flushed = co_await disk.flush();
  CO_TRY(flushed);
  AlignedBuffer block(kBlockSize);
  encode_superblock(first_superblock(options, geometry), block.span());
  for (uint64_t offset : kSuperblockOffsets) {
    written = co_await disk.write(offset, block.span(), io::WriteMode::kDurable);
    CO_TRY(written);
  }
  co_return Result<void>{};
}

io::Task<Result<std::unique_ptr<Pool>>> Pool::open(io::Executor& executor,
                                                   std::unique_ptr<io::Disk> disk,
                                                   std::unique_ptr<io::Scratch> scratch,
                                                   OpenOptions options) {
  Result<FoundSuperblock> found = co_await find_superblock(*disk);
  CO_TRY(found);
  CO_TRY(check_identity(found->superblock, options.identity));
  if (disk->size_bytes() < found->superblock.geometry.extents_offset) {
    co_return fail(Code::kCorrupt, "the pool's file is shorter than its regions");
  }
  if (scratch != nullptr && scratch->memory().size() < kScratchBytesMin) {
    co_return fail(Code::kInvalidArgument, "a scratch area has at least 256 KiB");
  }
  auto core = std::make_unique<PoolCore>(executor, std::move(disk), std::move(scratch), options,
                                         found->superblock);
  Result<void> recovered = co_await recover(*core, found->damaged);
  CO_TRY(recovered);
  core->space.grow_ahead();
  core->start_deletions();
  co_return std::unique_ptr<Pool>(new Pool(std::move(core)));
}

io::Task<Result<void>> Pool::close() {
  PoolCore& core = *core_;
  core.closing = true;
  Result<void> done = core.usable();
  if (done) done = co_await core.journal.flush();
  co_await core.background.close();
  if (done) done = core.usable();
  if (done) done = co_await core.checkpoint.run_now();
  if (done) done = co_await core.write_catalog();
  if (done) {
    core.superblock.clean = true;
    done = co_await core.write_superblocks();
  }
  // A failed pool's scratch log stays: the next open needs it.
  if (done) core.scratch.wipe();
  core.closed = true;
  co_return done;
}

PoolIdentity Pool::identity() const {
  const Superblock& s = core_->superblock;
  return {s.cluster, NodeId(s.node), PoolId(s.pool)};
}

PoolStats Pool::stats() const {
  PoolStats stats;
  stats.capacity_bytes = core_->space.capacity_bytes();
  stats.used_bytes = core_->space.used_bytes();
  stats.free_bytes = core_->space.free_bytes();
  stats.journal_bytes = core_->geometry.journal_bytes;
  stats.journal_used_bytes = core_->journal.used_bytes();
  stats.superblocks_repaired = core_->superblocks_repaired;
  stats.slots_repaired = core_->slots_repaired;
  stats.free_hole_slots = core_->holes.free_count();
  stats.failed = core_->failure.has_value();
  return stats;
}

std::vector<ReplicaStore*> Pool::replicas() {
  std::vector<ReplicaStore*> all;
  for (const auto& [volume, store] : core_->replicas) {
    if (core_->find(volume) != nullptr) all.push_back(store.get());
  }
  return all;
}

ReplicaStore* Pool::find(VolumeId volume) { return core_->find(volume); }

io::Task<Result<ReplicaStore*>> Pool::create(VolumeId volume, uint64_t size_blocks) {
  co_await core_->structure.lock();
  AsyncMutex::Guard guard(core_->structure);
  Result<ReplicaStore*> created = co_await core_->create_replica(volume, size_blocks, nullptr);
  co_return created;
}

io::Task<Result<ReplicaStore*>> Pool::clone(VolumeId volume, VolumeId parent, SnapshotId snapshot) {
  co_await core_->structure.lock();
  AsyncMutex::Guard guard(core_->structure);
  Replica* from = core_->find_replica(parent);
  Layer* base = from == nullptr ? nullptr : core_->find_snapshot(*from, snapshot);
  if (base == nullptr) co_return fail(Code::kNotFound, "no such snapshot in this pool");
  Result<ReplicaStore*> created = co_await core_->create_replica(volume, from->size_blocks, base);
  co_return created;
}

io::Task<Result<void>> Pool::remove(VolumeId volume) {
  Replica* replica = core_->find_replica(volume);
  if (replica == nullptr) co_return fail(Code::kNotFound, "no such replica in this pool");
  Result<void> removed = co_await remove_replica(*core_, *replica);
  CO_TRY(removed);
  core_->replicas.erase(volume);
  co_await core_->reads.drain();
  co_return Result<void>{};
}

io::Task<Result<void>> Pool::tick() {
  Result<void> done = co_await core_->tick();
  co_return done;
}

}  // namespace cleat::store
