#include "csi/node_publisher.h"

#include <filesystem>
#include <fstream>

namespace cleat::csi {

namespace fs = std::filesystem;

struct NodePublisher::Wish {
  api::Volume volume;
  LocalDevice device;
  Usage usage;
  std::string path;     // real
  std::string staging;  // real
  bool read_only = false;
};

namespace {

Outcome<> make_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return failure(Code::kIoError, "cannot make {}: {}", path, error.message());
  return {};
}

// What a device is bound to.
Outcome<> make_file(const std::string& path) {
  OUTCOME_TRY(make_directory(fs::path(path).parent_path()));
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return failure(Code::kInvalidArgument, "{} is a directory: a raw device is bound to a file",
                   path);
  }
  if (std::ofstream(path, std::ios::app)) return {};
  return failure(Code::kIoError, "cannot make the file {}", path);
}

// Only what is empty: remove() of a directory that holds something fails, and so should we.
Outcome<> remove_path(const std::string& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) return failure(Code::kIoError, "cannot remove {}: {}", path, error.message());
  return {};
}

tl::unexpected<Failure> taken(const api::Volume& volume, const std::string& by) {
  return failure(Code::kBusy,
                 "volume {} is for one workload alone (ReadWriteOncePod), and is published at {} "
                 "already",
                 volume.name(), by);
}

}  // namespace

Outcome<> NodePublisher::publish(const spec::NodePublishVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.target_path().empty()) {
    return failure(Code::kInvalidArgument, "no target path is given");
  }
  Wish wish;
  OUTCOME_ASSIGN(wish.usage, parse_capability(request.volume_capability()));
  if (request.staging_target_path().empty()) {
    return failure(Code::kBusy, "no staging path is given: the volume must be staged first");
  }
  OUTCOME_ASSIGN(wish.path, real_path(request.target_path()));
  OUTCOME_ASSIGN(wish.staging, real_path(request.staging_target_path()));
  OUTCOME_ASSIGN(auto turn, context_.in_flight.begin("volume " + request.volume_id()));
  OUTCOME_ASSIGN(wish.volume, context_.cleatd.volume(request.volume_id()));
  OUTCOME_ASSIGN(wish.device, local_device(context_, wish.volume));
  wish.read_only = request.readonly() || wants_read_only(wish.usage, request.publish_context());
  return wish.usage.block ? publish_device(wish) : publish_mount(wish);
}

Outcome<> NodePublisher::publish_mount(const Wish& wish) {
  OUTCOME_ASSIGN(MountLines lines, context_.mounts.table());
  const host::MountLine* staged = mount_at(lines, wish.staging);
  if (staged == nullptr || staged->device_number != wish.device.number) {
    return failure(Code::kBusy, "volume {} is not staged at {}: it must be staged first",
                   wish.volume.name(), wish.staging);
  }
  if (const host::MountLine* line = mount_at(lines, wish.path)) {
    if (line->device_number == wish.device.number) {
      if (is_read_only(*line) == (wish.read_only || is_read_only(*staged))) return {};
      return failure(Code::kAlreadyExists, "volume {} is published at {} already, {}",
                     wish.volume.name(), wish.path, line->read_only ? "read-only" : "read-write");
    }
    OUTCOME_TRY(unmount_all(context_.mounts, wish.path));  // of an earlier device
  }
  for (const auto& line : lines) {
    const bool other = line.device_number == wish.device.number && line.path != wish.staging &&
                       line.path != wish.path;
    if (other && wish.usage.single_writer) return taken(wish.volume, line.path);
  }
  OUTCOME_TRY(make_directory(wish.path));
  return context_.mounts.bind(wish.staging, wish.path, wish.read_only);
}

// A bind mount of the device's node: its root is the name in /dev.
Outcome<bool> NodePublisher::is_bound(const Wish& wish, const host::MountLine& line) const {
  std::error_code error;
  const fs::path device = fs::canonical(wish.device.path, error);
  if (error) return failure(Code::kIoError, "{}: {}", wish.device.path, error.message());
  if (line.root != "/" + device.filename().string()) return false;
  auto number = context_.mounts.device_number(line.path);
  return number && *number == wish.device.number;
}

Outcome<> NodePublisher::publish_device(const Wish& wish) {
  OUTCOME_ASSIGN(MountLines lines, context_.mounts.table());
  if (const host::MountLine* line = mount_at(lines, wish.path)) {
    OUTCOME_ASSIGN(bool bound, is_bound(wish, *line));
    if (bound && line->read_only == wish.read_only) return {};
    if (bound) {
      return failure(Code::kAlreadyExists, "volume {} is published at {} already, {}",
                     wish.volume.name(), wish.path, line->read_only ? "read-only" : "read-write");
    }
    OUTCOME_TRY(unmount_all(context_.mounts, wish.path));
  }
  for (const auto& line : lines) {
    if (!wish.usage.single_writer || line.path == wish.path) continue;
    OUTCOME_ASSIGN(bool bound, is_bound(wish, line));
    if (bound) return taken(wish.volume, line.path);
  }
  OUTCOME_TRY(make_file(wish.path));
  return context_.mounts.bind(wish.device.path, wish.path, wish.read_only);
}

Outcome<> NodePublisher::unpublish(const spec::NodeUnpublishVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.target_path().empty()) {
    return failure(Code::kInvalidArgument, "no target path is given");
  }
  OUTCOME_ASSIGN(std::string path, real_path(request.target_path()));
  OUTCOME_ASSIGN(auto turn, context_.in_flight.begin("volume " + request.volume_id()));
  OUTCOME_TRY(unmount_all(context_.mounts, path));
  return remove_path(path);
}

}  // namespace cleat::csi
