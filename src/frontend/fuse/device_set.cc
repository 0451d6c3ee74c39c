#include "frontend/fuse/device_set.h"

#include "common/log.h"

namespace cleat::fuse {

using io::Task;

namespace {

constexpr Duration kPredecessorPatience = 10s;
constexpr Duration kKeeperRetry = 50ms;

}  // namespace

DeviceSet::DeviceSet(io::EventLoop& loop, io::BufferPool& pool, RequestBuffers& buffers,
                     KeeperClient& keeper)
    : loop_(loop), pool_(pool), buffers_(buffers), keeper_(keeper) {}

DeviceSet::~DeviceSet() { CHECK(served_.empty(), "a set of devices is closed before it dies"); }

Task<Result<void>> DeviceSet::adopt() {
  CO_TRY_ASSIGN(std::vector<HeldDevice> devices, co_await keeper_.list(kPredecessorPatience));
  for (HeldDevice& device : devices) {
    if (served_.contains(device.volume)) continue;
    VolumeId volume = device.volume;
    waiting_.insert_or_assign(volume, std::move(device));
  }
  co_return Result<void>{};
}

std::string DeviceSet::waiting_name(VolumeId volume) const {
  auto found = waiting_.find(volume);
  return found == waiting_.end() ? std::string{} : found->second.name;
}

std::vector<VolumeId> DeviceSet::waiting() const {
  std::vector<VolumeId> volumes;
  for (const auto& [volume, device] : waiting_) volumes.push_back(volume);
  return volumes;
}

Task<Result<std::string>> DeviceSet::attach(VolumeId volume, std::string name,
                                            frontend::AlignedDevice& device) {
  if (served_.contains(volume))
    co_return fail(Code::kAlreadyExists, "the volume is served already");
  uint64_t size_bytes = device.size_bytes();
  uint64_t held_bytes = size_bytes;
  auto found = waiting_.find(volume);
  bool is_new = found == waiting_.end();
  if (!is_new) {
    held_bytes = found->second.size_bytes;
    io::FileDescriptor connection = std::move(found->second.connection);
    waiting_.erase(found);
    serve(volume, device, std::move(connection), Takeover::kYes);
  } else {
    CO_TRY_ASSIGN(io::FileDescriptor connection, co_await keeper_.create(volume, name, size_bytes));
    if (!connection.valid()) {
      co_return fail(Code::kConflict, "the keeper holds a device that nobody adopted");
    }
    serve(volume, device, std::move(connection), Takeover::kNo);
  }
  Served& served = *served_.at(volume);
  if (served.ended.is_set()) co_return fail(served.ending.error());
  Result<std::string> path = co_await keeper_.device_path(volume, held_bytes);
  // A detach that the process before asked for is refused, or ends the connection.
  TimePoint give_up = loop_.now() + kPredecessorPatience;
  while (!path && !is_new && path.error().code == Code::kBusy && loop_.now() < give_up) {
    co_await loop_.sleep(kKeeperRetry);
    if (served.ended.is_set()) co_return fail(served.ending.error());
    path = co_await keeper_.device_path(volume, held_bytes);
  }
  // A growth that the process before asked of the keeper was done only now that somebody serves.
  if (!path && !is_new && path.error().code == Code::kAlreadyExists) {
    held_bytes = size_bytes;
    path = co_await keeper_.device_path(volume, held_bytes);
  }
  // A new device that failed has no users, and leaves nothing behind. One that was taken over has:
  // its end is the caller's decision.
  if (!path && is_new) static_cast<void>(co_await detach(volume, true));
  if (path && held_bytes != size_bytes) co_await tell_growth(volume, size_bytes);
  co_return path;
}

// The volume grew, and the process that should have told the device did not live to do it, or the
// keeper is at its request still. Whoever uses the device loses nothing by its old size.
Task<void> DeviceSet::tell_growth(VolumeId volume, uint64_t size_bytes) {
  TimePoint give_up = loop_.now() + kPredecessorPatience;
  Result<void> told = co_await keeper_.resize(volume, size_bytes);
  while (!told && told.error().code == Code::kBusy && loop_.now() < give_up) {
    co_await loop_.sleep(kKeeperRetry);
    told = co_await keeper_.resize(volume, size_bytes);
  }
  if (!told) {
    LOG_WARN("volume {}: its device does not know that it has {} bytes now: {}", volume.value,
             size_bytes, to_string(told.error()));
  }
}

void DeviceSet::serve(VolumeId volume, frontend::AlignedDevice& device,
                      io::FileDescriptor connection, Takeover takeover) {
  auto served = std::make_unique<Served>(loop_);
  served->device = &device;
  served->server = std::make_unique<Server>(loop_, pool_, buffers_, device, std::move(connection));
  Served& placed = *(served_[volume] = std::move(served));
  serving_.spawn(run(volume, placed, takeover));
}

Task<void> DeviceSet::run(VolumeId volume, Served& served, Takeover takeover) {
  Result<void> result = co_await served.server->run(takeover);
  if (!result && result.error().code != Code::kClosed) {
    LOG_ERROR("FUSE: volume {} is not served any more: {}", volume.value,
              to_string(result.error()));
  }
  served.broke_off = !result;
  served.ending = result ? fail(Code::kClosed, "its connection has ended") : result;
  served.ended.set();
}

Task<Result<void>> DeviceSet::detach(VolumeId volume, bool is_forced) {
  if (!is_forced && waiting_.contains(volume)) {
    co_return fail(Code::kBusy, "nobody serves yet what its orderly end would write");
  }
  auto destroyed = co_await keeper_.destroy(volume, is_forced);
  // A keeper that ended has taken its devices with it; the server would go on with what is freed.
  if (!destroyed && !keeper_.is_lost()) co_return destroyed;
  waiting_.erase(volume);
  auto found = served_.find(volume);
  if (found == served_.end()) co_return Result<void>{};
  // Also when the unmount has not reached the server yet: nobody is left to ask anything.
  found->second->server->stop();
  co_await found->second->ended.wait();
  served_.erase(volume);
  co_return Result<void>{};
}

bool DeviceSet::serves(VolumeId volume) const {
  auto found = served_.find(volume);
  return found != served_.end() && !found->second->broke_off;
}

Task<Result<void>> DeviceSet::resize(VolumeId volume) {
  auto found = served_.find(volume);
  if (found == served_.end()) co_return fail(Code::kNotFound, "the volume has no device here");
  uint64_t size_bytes = found->second->device->size_bytes();
  CO_TRY(co_await keeper_.resize(volume, size_bytes));
  co_return Result<void>{};
}

Task<void> DeviceSet::close() {
  for (auto& [volume, served] : served_) served->server->stop();
  co_await serving_.close();
  served_.clear();
  waiting_.clear();
}

}  // namespace cleat::fuse
