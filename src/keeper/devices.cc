#include "keeper/devices.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/log.h"
#include "keeper/fuse_mount.h"

namespace cleat::keeper {
namespace {

constexpr int kUnmountTriesMax = 100;
constexpr auto kUnmountPause = std::chrono::milliseconds(10);

// Right after its loop device went, the kernel may still be closing the file.
Outcome<> unmount_soon(const std::string& mount_point) {
  for (int i = 0; i < kUnmountTriesMax; ++i) {
    Outcome<> result = unmount_fuse(mount_point, false);
    if (result || result.error().error != EBUSY) return result;
    std::this_thread::sleep_for(kUnmountPause);
  }
  return failure(EBUSY, "somebody uses files in " + mount_point);
}

Outcome<> take_down(const std::string& mount_point, LoopDevice& loop, const std::string& tag,
                    bool is_forced) {
  if (is_forced) {
    abort_fuse(mount_point);
    abandon_loop(loop);
    return unmount_fuse(mount_point, true);
  }
  if (loop.hold.valid()) {
    Outcome<> detached = detach_loop(loop, tag);
    if (!detached) return detached;
  }
  return unmount_soon(mount_point);
}

std::string random_hex() {
  uint64_t value = 0;
  if (::getrandom(&value, sizeof value, 0) != sizeof value) value = 0;
  return fmt::format("{:016x}", value);
}

}  // namespace

Devices::Devices(std::string run_dir, JobRunner& jobs)
    : run_dir_(std::move(run_dir)), fuse_dir_(run_dir_ + "/fuse"), jobs_(jobs) {}

// ---- start

Outcome<> Devices::start() {
  std::error_code error;
  std::filesystem::create_directories(fuse_dir_, error);
  if (error) return failure(error.value(), "make the directory " + fuse_dir_);
  Outcome<> instance = read_instance();
  if (!instance) return instance;
  remove_leftovers();
  return {};
}

Outcome<> Devices::read_instance() {
  std::string path = run_dir_ + "/keeper.id";
  std::ifstream old_file(path);
  if (old_file >> instance_ && instance_.size() == 16) return {};
  instance_ = random_hex();
  std::ofstream new_file(path, std::ios::trunc);
  if (!(new_file << instance_ << "\n" << std::flush)) return failure(EIO, "write " + path);
  return {};
}

void Devices::remove_leftovers() {
  std::vector<std::string> mounts = find_fuse_mounts(fuse_dir_);
  for (const std::string& mount_point : mounts) {
    LOG_WARN("keeper: taking down {}, left by an earlier keeper", mount_point);
    abort_fuse(mount_point);
  }
  for (LoopDevice& loop : find_loops("cleat:" + instance_ + ":")) {
    LOG_WARN("keeper: detaching {}, left by an earlier keeper", loop.path());
    abandon_loop(loop);
  }
  for (const std::string& mount_point : mounts) {
    Outcome<> result = unmount_fuse(mount_point, true);
    if (!result) LOG_ERROR("keeper: {}", result.error().message);
  }
  // Directories whose mount went with its connection.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(fuse_dir_, error)) {
    std::error_code ignored;
    std::filesystem::remove(entry.path(), ignored);
  }
}

std::string Devices::tag_of(uint64_t volume_id) const {
  return fmt::format("cleat:{}:{}", instance_, volume_id);
}

// ---- create

Outcome<int> Devices::create(const Volume& volume, Done done) {
  auto found = entries_.find(volume.id);
  if (found != entries_.end()) {
    Entry& entry = found->second;
    if (entry.size_bytes != volume.size_bytes) {
      return failure(EEXIST, "the device is held with another size");
    }
    if (entry.state == DeviceState::kDestroying)
      return failure(EBUSY, "the device is being taken down");
    if (entry.state == DeviceState::kReady) {
      done(entry.loop.index);
      return -1;
    }
    entry.waiting_for_device.push_back(std::move(done));
    if (entry.state == DeviceState::kFailed) start_attach(entry);
    return -1;
  }
  std::string mount_point = fuse_dir_ + "/" + std::to_string(volume.id);
  Outcome<io::FileDescriptor> connection = mount_fuse(mount_point);
  if (!connection) return tl::unexpected<Failure>(connection.error());
  Entry& entry = entries_[volume.id];
  entry.volume_id = volume.id;
  entry.name = volume.name;
  entry.size_bytes = volume.size_bytes;
  entry.mount_point = mount_point;
  entry.connection = std::move(*connection);
  entry.waiting_for_device.push_back(std::move(done));
  start_attach(entry);
  return entry.connection.get();
}

void Devices::start_attach(Entry& entry) {
  entry.state = DeviceState::kAttaching;
  entry.is_busy = true;
  jobs_.run([this, id = entry.volume_id, file = disk_path(entry.mount_point),
             tag = tag_of(entry.volume_id)] {
    auto result = std::make_shared<Outcome<LoopDevice>>(attach_loop(file, tag));
    return [this, id, result] { attached(id, *result); };
  });
}

void Devices::attached(uint64_t volume_id, Outcome<LoopDevice>& result) {
  Entry& entry = entries_.at(volume_id);
  entry.is_busy = false;
  Outcome<int> answer = -1;
  if (result) {
    entry.loop = std::move(*result);
    entry.state = DeviceState::kReady;
    answer = entry.loop.index;
    LOG_INFO("keeper: volume {} ({}) is {}", entry.name, volume_id, entry.loop.path());
  } else {
    entry.state = DeviceState::kFailed;
    answer = tl::unexpected<Failure>(result.error());
    LOG_ERROR("keeper: volume {} ({}): {}", entry.name, volume_id, result.error().message);
  }
  std::vector<Done> waiting;
  waiting.swap(entry.waiting_for_device);
  for (const Done& done : waiting) done(answer);
  start_doomed(entry);
}

// ---- resize

void Devices::resize(uint64_t volume_id, uint64_t size_bytes, Done done) {
  auto found = entries_.find(volume_id);
  if (found == entries_.end()) return done(failure(ENOENT, "no device of that volume is held"));
  Entry& entry = found->second;
  if (entry.is_busy) return done(failure(EBUSY, "the device is being worked on"));
  if (entry.state != DeviceState::kReady)
    return done(failure(ENODEV, "the device is not attached"));
  entry.is_busy = true;
  jobs_.run(
      [this, volume_id, size_bytes, done, mount_point = entry.mount_point, loop = &entry.loop] {
        Outcome<uint64_t> size = refresh_size(mount_point);
        Outcome<> result;
        if (!size) {
          result = tl::unexpected<Failure>(size.error());
        } else if (*size != size_bytes) {
          result = failure(EAGAIN, "the server of the device says another size");
        } else {
          result = refresh_loop(*loop);
        }
        return [this, volume_id, size_bytes, done, result] {
          Entry& resized = entries_.at(volume_id);
          resized.is_busy = false;
          if (result) resized.size_bytes = size_bytes;
          done(result ? Outcome<int>(resized.loop.index) : tl::unexpected<Failure>(result.error()));
          start_doomed(resized);
        };
      });
}

// ---- destroy

void Devices::destroy(uint64_t volume_id, bool is_forced, Done done) {
  auto found = entries_.find(volume_id);
  if (found == entries_.end()) return done(-1);
  Entry& entry = found->second;
  if (!entry.is_busy) return start_destroy(entry, is_forced, std::move(done));
  if (!is_forced || entry.doomed) return done(failure(EBUSY, "the device is being worked on"));
  // The job under way may hang on a server that is gone: the abort ends it.
  entry.doomed = std::move(done);
  jobs_.run([mount_point = entry.mount_point] {
    abort_fuse(mount_point);
    return [] {};
  });
}

void Devices::start_doomed(Entry& entry) {
  if (!entry.doomed) return;
  Done done = std::move(*entry.doomed);
  entry.doomed.reset();
  start_destroy(entry, true, std::move(done));
}

void Devices::start_destroy(Entry& entry, bool is_forced, Done done) {
  entry.state = DeviceState::kDestroying;
  entry.is_busy = true;
  auto loop = std::make_shared<LoopDevice>(std::move(entry.loop));
  jobs_.run([this, id = entry.volume_id, mount_point = entry.mount_point,
             tag = tag_of(entry.volume_id), is_forced, loop, done = std::move(done)] {
    Outcome<> result = take_down(mount_point, *loop, tag, is_forced);
    return [this, id, loop, result, done] { destroyed(id, *loop, result, done); };
  });
}

void Devices::destroyed(uint64_t volume_id, LoopDevice& loop, const Outcome<>& result,
                        const Done& done) {
  Entry& entry = entries_.at(volume_id);
  entry.is_busy = false;
  if (result) {
    LOG_INFO("keeper: volume {} ({}) is detached", entry.name, volume_id);
    std::optional<Done> doomed = std::move(entry.doomed);
    entries_.erase(volume_id);
    done(-1);
    if (doomed) (*doomed)(-1);
    return;
  }
  entry.state = loop.hold.valid() ? DeviceState::kReady : DeviceState::kFailed;
  entry.loop = std::move(loop);
  done(tl::unexpected<Failure>(result.error()));
  start_doomed(entry);
}

void Devices::destroy_all() {
  for (const Device* device : held()) {
    destroy(device->volume_id, false, [this, id = device->volume_id](const Outcome<int>& result) {
      if (result) return;
      LOG_WARN("keeper: {}: by force now", result.error().message);
      destroy(id, true, [](const Outcome<int>&) {});
    });
  }
}

void Devices::force_all() {
  for (const Device* device : held()) {
    destroy(device->volume_id, true, [](const Outcome<int>&) {});
  }
}

std::vector<const Device*> Devices::held() const {
  std::vector<const Device*> devices;
  for (const auto& [id, entry] : entries_) devices.push_back(&entry);
  return devices;
}

}  // namespace cleat::keeper
