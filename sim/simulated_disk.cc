#include "sim/simulated_disk.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"

namespace cleat::sim {
namespace {
constexpr uint64_t kPageSize = 4096;
}

SparseImage::Page& SparseImage::writable(uint64_t number) {
  auto& page = pages_[number];
  if (page == nullptr) {
    page = std::make_shared<Page>();
    page->fill(std::byte{0});
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

void SparseImage::read(uint64_t offset, MutableBuffer into) const {
  while (!into.empty()) {
    uint64_t within = offset % kPageSize;
    size_t part = std::min<size_t>(into.size(), kPageSize - within);
    auto found = pages_.find(offset / kPageSize);
    if (found == pages_.end()) {
      std::memset(into.data(), 0, part);
    } else {
      std::memcpy(into.data(), found->second->data() + within, part);
    }
    offset += part;
    into = into.subspan(part);
  }
}

void SparseImage::write(uint64_t offset, ConstBuffer from) {
  while (!from.empty()) {
    uint64_t within = offset % kPageSize;
    size_t part = std::min<size_t>(from.size(), kPageSize - within);
    std::memcpy(writable(offset / kPageSize).data() + within, from.data(), part);
    offset += part;
    from = from.subspan(part);
  }
}

void SparseImage::flip_bit(uint64_t offset, unsigned bit) {
  writable(offset / kPageSize)[offset % kPageSize] ^= static_cast<std::byte>(1U << bit);
}

CrashPolicy lose_all() {
  return [](size_t, size_t) { return false; };
}

CrashPolicy keep_all() {
  return [](size_t, size_t) { return true; };
}

CrashPolicy keep_writes(uint64_t mask) {
  return [mask](size_t write, size_t) { return write < 64 && ((mask >> write) & 1) != 0; };
}

CrashPolicy keep_random(uint64_t seed) {
  return [random = Random(seed), write_seen = size_t{0}, fate = uint64_t{0}, first = true](
             size_t write, size_t) mutable {
    if (first || write != write_seen) fate = random.below(3);
    first = false;
    write_seen = write;
    return fate == 0 ? false : fate == 1 ? true : random.below(2) == 0;
  };
}

Medium::Unflushed* Medium::find(uint64_t id) {
  for (auto& write : unflushed_) {
    if (write.id == id) return &write;
  }
  return nullptr;
}

uint64_t Medium::begin_write(uint64_t offset, ConstBuffer from) {
  Unflushed write;
  write.id = ++last_id_;
  write.offset = offset;
  write.data.assign(from.begin(), from.end());
  write.superseded.assign(from.size() / kSectorSize, false);
  unflushed_.push_back(std::move(write));
  return last_id_;
}

void Medium::complete_write(uint64_t id, bool durable) {
  Unflushed* write = find(id);
  CHECK(write != nullptr, "a write completes once");
  current_.write(write->offset, write->data);
  write->completed = true;
  // Order of completion is the order in which the device took them.
  std::rotate(write, write + 1, unflushed_.data() + unflushed_.size());
  if (durable) make_durable({id});
}

void Medium::abandon_write(uint64_t id) {
  std::erase_if(unflushed_, [id](const Unflushed& write) { return write.id == id; });
}

std::vector<uint64_t> Medium::completed_ids() const {
  std::vector<uint64_t> ids;
  for (const auto& write : unflushed_) {
    if (write.completed) ids.push_back(write.id);
  }
  return ids;
}

void Medium::apply_durable(const Unflushed& write) {
  for (size_t sector = 0; sector < write.superseded.size(); ++sector) {
    if (write.superseded[sector]) continue;
    uint64_t offset = write.offset + sector * kSectorSize;
    ConstBuffer bytes(write.data.data() + sector * kSectorSize, kSectorSize);
    durable_.write(offset, bytes);
  }
}

void Medium::make_durable(const std::vector<uint64_t>& ids) {
  for (uint64_t id : ids) {
    Unflushed* write = find(id);
    if (write == nullptr) continue;  // another flush has done it
    apply_durable(*write);
    uint64_t first = write->offset;
    uint64_t end = first + write->data.size();
    for (Unflushed* older = unflushed_.data(); older != write; ++older) {
      if (!older->completed) continue;
      for (size_t sector = 0; sector < older->superseded.size(); ++sector) {
        uint64_t at = older->offset + sector * kSectorSize;
        if (at >= first && at < end) older->superseded[sector] = true;
      }
    }
    abandon_write(id);
  }
}

void Medium::crash(const CrashPolicy& policy) {
  for (size_t i = 0; i < unflushed_.size(); ++i) {
    Unflushed& write = unflushed_[i];
    for (size_t sector = 0; sector < write.superseded.size(); ++sector) {
      if (!policy(i, sector)) write.superseded[sector] = true;
    }
    apply_durable(write);
  }
  unflushed_.clear();
  current_ = durable_;
}

void Medium::kill_process(const CrashPolicy& policy) {
  for (size_t i = 0; i < unflushed_.size(); ++i) {
    Unflushed& write = unflushed_[i];
    if (write.completed) continue;
    for (size_t sector = 0; sector < write.superseded.size(); ++sector) {
      if (policy(i, sector)) {
        ConstBuffer bytes(write.data.data() + sector * kSectorSize, kSectorSize);
        current_.write(write.offset + sector * kSectorSize, bytes);
      } else {
        write.superseded[sector] = true;
      }
    }
    write.completed = true;
  }
}

void Medium::flip_bit(uint64_t offset, unsigned bit) {
  durable_.flip_bit(offset, bit);
  current_.flip_bit(offset, bit);
}

void Medium::write_current(uint64_t offset, ConstBuffer from) {
  durable_.write(offset, from);
  current_.write(offset, from);
}

bool SimulatedDisk::fails(DiskOp op, uint64_t offset, uint64_t size) {
  return dead_ || (faults_.fail && faults_.fail(op, offset, size));
}

Duration SimulatedDisk::latency() {
  auto spread = static_cast<uint64_t>((faults_.latency_max - faults_.latency_min).count());
  return faults_.latency_min + Duration(static_cast<int64_t>(loop_.random().below(spread + 1)));
}

io::Task<Result<void>> SimulatedDisk::read(uint64_t offset, MutableBuffer into) {
  CHECK(offset % kPageSize == 0 && into.size() % kPageSize == 0, "direct I/O is aligned");
  CHECK(reinterpret_cast<uintptr_t>(into.data()) % kPageSize == 0, "direct I/O memory is aligned");
  if (offset + into.size() > medium_->size_bytes()) {
    co_return fail(Code::kOutOfRange, "read beyond the end of the disk");
  }
  ++counts_.reads;
  Duration wait = latency();
  co_await loop_.sleep(wait);
  if (fails(DiskOp::kRead, offset, into.size())) co_return fail(Code::kIoError, "read", 5);
  medium_->read_current(offset, into);
  co_return Result<void>{};
}

io::Task<Result<void>> SimulatedDisk::write(uint64_t offset, ConstBuffer from, io::WriteMode mode) {
  CHECK(offset % kPageSize == 0 && from.size() % kPageSize == 0, "direct I/O is aligned");
  CHECK(reinterpret_cast<uintptr_t>(from.data()) % kPageSize == 0, "direct I/O memory is aligned");
  if (offset + from.size() > medium_->size_bytes()) {
    co_return fail(Code::kOutOfRange, "write beyond the end of the disk");
  }
  if (fails(DiskOp::kWrite, offset, from.size())) co_return fail(Code::kIoError, "write", 5);
  ++counts_.writes;
  counts_.bytes_written += from.size();
  uint64_t id = medium_->begin_write(offset, from);
  look();
  Duration wait = latency();
  co_await loop_.sleep(wait);
  if (dead_) co_return fail(Code::kIoError, "the process is dead");
  medium_->complete_write(id, mode == io::WriteMode::kDurable);
  look();
  co_return Result<void>{};
}

io::Task<Result<void>> SimulatedDisk::flush() {
  ++counts_.flushes;
  std::vector<uint64_t> covered = medium_->completed_ids();
  look();
  Duration wait = latency();
  co_await loop_.sleep(wait);
  if (fails(DiskOp::kFlush, 0, 0)) co_return fail(Code::kIoError, "flush", 5);
  medium_->make_durable(covered);
  look();
  co_return Result<void>{};
}

io::Task<Result<void>> SimulatedDisk::grow(uint64_t new_size_bytes) {
  if (!faults_.can_grow) co_return fail(Code::kUnsupported, "a block device does not grow");
  Duration wait = latency();
  co_await loop_.sleep(wait);
  if (dead_) co_return fail(Code::kIoError, "the process is dead");
  if (fails(DiskOp::kGrow, 0, new_size_bytes)) co_return fail(Code::kNoSpace, "grow", 28);
  if (new_size_bytes > medium_->size_bytes_) medium_->size_bytes_ = new_size_bytes;
  co_return Result<void>{};
}

}  // namespace cleat::sim
