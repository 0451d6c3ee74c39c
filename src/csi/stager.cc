#include "csi/stager.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "common/log.h"
#include "csi/attachments.h"
#include "csi/file_systems.h"
#include "csi/names.h"

namespace cleat::csi {

struct Stager::Wish {
  api::Volume volume;
  LocalDevice device;
  Usage usage;
  std::string path;  // real
  bool read_only = false;
  std::vector<std::string> options;
};

namespace {

// xfs refuses to mount what has the uuid of something mounted: a clone beside its source. What
// several nodes read nobody may write to, not even to replay the journal.
std::vector<std::string> options_for(const std::string& fs, std::vector<std::string> options,
                                     bool read_only, bool many_nodes) {
  if (fs == "xfs") options.push_back("nouuid");
  if (read_only) options.push_back("ro");
  if (read_only && many_nodes) options.push_back(fs == "xfs" ? "norecovery" : "noload");
  return options;
}

std::vector<std::string> asked_options(const spec::NodeStageVolumeRequest& request) {
  std::vector<std::string> out(request.volume_capability().mount().mount_flags().begin(),
                               request.volume_capability().mount().mount_flags().end());
  auto of_class = request.volume_context().find(kLabelMountOptions);
  if (of_class == request.volume_context().end()) return out;
  std::istringstream words(of_class->second);
  for (std::string word; std::getline(words, word, ',');) {
    if (!word.empty()) out.push_back(word);
  }
  return out;
}

// A file system that was shut down answers nothing, not even what is in its root.
bool answers(const std::string& path) {
  std::error_code error;
  std::filesystem::directory_iterator entries(path, error);
  return !error;
}

}  // namespace

Outcome<> Stager::stage(const spec::NodeStageVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.staging_target_path().empty()) {
    return failure(Code::kInvalidArgument, "no staging path is given");
  }
  Wish wish;
  OUTCOME_ASSIGN(wish.usage, parse_capability(request.volume_capability()));
  OUTCOME_ASSIGN(wish.path, real_path(request.staging_target_path()));
  OUTCOME_ASSIGN(auto turn, context_.in_flight.begin("volume " + request.volume_id()));
  OUTCOME_ASSIGN(wish.volume, context_.cleatd.volume(request.volume_id()));
  OUTCOME_ASSIGN(wish.device, device_of(wish.volume));
  wish.read_only = wants_read_only(wish.usage, request.publish_context());
  if (wish.usage.block) return context_.mounts.set_read_only(wish.device.path, wish.read_only);
  wish.options = asked_options(request);
  OUTCOME_ASSIGN(bool staged, is_staged(wish));
  if (!staged) OUTCOME_TRY(mount(wish));
  return grow_mounted(wish);
}

// A volume that is published here has no device after the node, or the keeper of its devices,
// started anew: it is made again, as nobody else does.
Outcome<LocalDevice> Stager::device_of(api::Volume& volume) {
  auto device = local_device(context_, volume);
  if (device || device.error().code != Code::kNotFound) return device;
  if (names_node(volume, kLabelUnpublished, context_.node)) {
    return failure(Code::kBusy, "volume {} was taken from {}: it must be published first",
                   volume.name(), context_.node);
  }
  LOG_WARN("volume {}: its device is gone ({}) and made again", volume.name(),
           device.error().message);
  api::AttachRequest request;
  request.set_volume(volume.id());
  request.set_node(context_.node);
  request.set_again(true);
  OUTCOME_TRY(context_.cleatd.call<api::Hosts>(&api::Hosts::Stub::Attach, request));
  OUTCOME_ASSIGN(volume, context_.cleatd.volume(volume.id()));
  return local_device(context_, volume);
}

// What an earlier attach left at the path (its device is gone, or failed) is taken off.
Outcome<bool> Stager::is_staged(const Wish& wish) {
  OUTCOME_ASSIGN(MountLines lines, context_.mounts.table());
  const host::MountLine* line = mount_at(lines, wish.path);
  if (line == nullptr) return false;
  const bool same = line->device_number == wish.device.number;
  const bool failed = line->super_read_only && !line->read_only && !wish.read_only;
  if (same && !failed && line->read_only != wish.read_only) {
    return failure(Code::kAlreadyExists, "volume {} is staged at {} already, {}",
                   wish.volume.name(), wish.path, line->read_only ? "read-only" : "read-write");
  }
  if (same && !failed && answers(wish.path)) return true;
  LOG_WARN("volume {}: what is mounted at {} is of an earlier device or failed: mounting anew",
           wish.volume.name(), wish.path);
  OUTCOME_TRY(unmount_all(context_.mounts, wish.path));
  return false;
}

Outcome<> Stager::mount(const Wish& wish) {
  std::error_code error;
  std::filesystem::create_directories(wish.path, error);
  if (error) return failure(Code::kIoError, "cannot make {}: {}", wish.path, error.message());
  OUTCOME_ASSIGN(MountLines lines, context_.mounts.table());
  auto elsewhere = std::find_if(lines.begin(), lines.end(), [&](const host::MountLine& line) {
    return line.device_number == wish.device.number;
  });
  std::string fs;
  if (elsewhere != lines.end()) {
    fs = elsewhere->fs;  // a mounted file system is neither checked nor grown
  } else {
    // An earlier stage may have wanted the raw device read-only.
    if (!wish.read_only) OUTCOME_TRY(context_.mounts.set_read_only(wish.device.path, false));
    OUTCOME_ASSIGN(fs, prepare_file_system(context_, wish.volume, wish.device.path,
                                           {wish.usage.fs, wish.read_only}));
  }
  return context_.mounts.mount(
      {wish.device.path, wish.path, fs,
       options_for(fs, wish.options, wish.read_only, wish.usage.many_nodes)});
}

// xfs. Looked at in each call: an earlier one may have been cut short between mount and growth.
Outcome<> Stager::grow_mounted(const Wish& wish) {
  if (wish.read_only) return {};
  OUTCOME_ASSIGN(MountLines lines, context_.mounts.table());
  const host::MountLine* line = mount_at(lines, wish.path);
  if (line == nullptr || line->fs != "xfs") return {};
  OUTCOME_ASSIGN(FileSystemSizes sizes, context_.file_systems.sizes("xfs", wish.device.path));
  if (sizes.fs_bytes >= sizes.device_bytes) return {};
  return context_.file_systems.grow("xfs", wish.device.path, wish.path);
}

Outcome<> Stager::unstage(const spec::NodeUnstageVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.staging_target_path().empty()) {
    return failure(Code::kInvalidArgument, "no staging path is given");
  }
  OUTCOME_ASSIGN(std::string path, real_path(request.staging_target_path()));
  OUTCOME_ASSIGN(auto turn, context_.in_flight.begin("volume " + request.volume_id()));
  return unmount_all(context_.mounts, path);
}

}  // namespace cleat::csi
