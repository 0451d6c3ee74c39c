#include "csi/node_context.h"

#include <filesystem>

#include "csi/attachments.h"
#include "csi/names.h"

namespace cleat::csi {

Outcome<LocalDevice> local_device(const NodeContext& context, const api::Volume& volume) {
  const api::Attachment* here = attachment_on(volume, context.node);
  if (here == nullptr) {
    const std::string elsewhere = names_of(attachments_of(volume));
    return failure(Code::kBusy,
                   "volume {} is not attached on {} but {}: it must be published first",
                   volume.name(), context.node, elsewhere.empty() ? "nowhere" : "on " + elsewhere);
  }
  LocalDevice device{here->device(), {}};
  if (device.path.empty()) {
    return failure(Code::kBusy, "volume {} is attached by NBD and has no device: detach it",
                   volume.name());
  }
  OUTCOME_ASSIGN(device.number, context.mounts.device_number(device.path));
  return device;
}

Outcome<std::string> real_path(const std::string& path) {
  namespace fs = std::filesystem;
  fs::path given(path);
  if (!given.has_filename()) given = given.parent_path();
  if (!given.is_absolute() || given.filename() == ".." || given.filename() == ".") {
    return failure(Code::kInvalidArgument, "\"{}\" is not an absolute path", path);
  }
  std::error_code error;
  fs::path directory = fs::weakly_canonical(given.parent_path(), error);
  if (error) return failure(Code::kIoError, "cannot look up {}: {}", path, error.message());
  return (directory / given.filename()).string();
}

const host::MountLine* mount_at(const MountLines& lines, const std::string& path) {
  const host::MountLine* found = nullptr;
  for (const auto& line : lines) {
    if (line.path == path) found = &line;
  }
  return found;
}

Outcome<> unmount_all(MountPort& mounts, const std::string& path) {
  constexpr int kStackedMax = 16;
  for (int i = 0; i < kStackedMax; ++i) {
    OUTCOME_ASSIGN(MountLines lines, mounts.table());
    if (mount_at(lines, path) == nullptr) return {};
    OUTCOME_TRY(mounts.unmount(path));
  }
  return failure(Code::kIoError, "something mounts at {} again and again", path);
}

bool is_read_only(const host::MountLine& line) { return line.read_only || line.super_read_only; }

bool wants_read_only(const Usage& usage,
                     const google::protobuf::Map<std::string, std::string>& publish_context) {
  auto found = publish_context.find(kContextReadOnly);
  return usage.read_only || (found != publish_context.end() && found->second == "true");
}

}  // namespace cleat::csi
