#include "csi/capabilities.h"

#include "host/file_system.h"

namespace cleat::csi {
namespace {

using Mode = spec::VolumeCapability::AccessMode;

Outcome<> check_mode(const spec::VolumeCapability& capability) {
  const auto mode = capability.access_mode().mode();
  if (!Mode::Mode_IsValid(mode) || mode == Mode::UNKNOWN) {
    return failure(Code::kInvalidArgument, "the volume capability has no access mode");
  }
  const bool many_write =
      mode == Mode::MULTI_NODE_MULTI_WRITER || mode == Mode::MULTI_NODE_SINGLE_WRITER;
  if (many_write && capability.has_mount()) {
    return failure(Code::kInvalidArgument,
                   "access mode {} (ReadWriteMany) is possible for raw devices only (volumeMode: "
                   "Block), because a file system that two nodes write is destroyed: ask for "
                   "ReadWriteOnce or ReadOnlyMany, or for a raw device",
                   Mode::Mode_Name(mode));
  }
  return {};
}

}  // namespace

Outcome<Usage> parse_capability(const spec::VolumeCapability& capability) {
  if (!capability.has_block() && !capability.has_mount()) {
    return failure(Code::kInvalidArgument,
                   "the volume capability is neither for a raw device nor for a file system");
  }
  OUTCOME_TRY(check_mode(capability));
  Usage usage;
  usage.block = capability.has_block();
  usage.fs = capability.mount().fs_type();
  if (!usage.fs.empty() && !host::is_known_file_system(usage.fs)) {
    return failure(Code::kInvalidArgument, "file system \"{}\" is not known: use ext4 or xfs",
                   usage.fs);
  }
  for (const std::string& flag : capability.mount().mount_flags()) {
    if (flag.empty() || flag.front() == '-') {
      return failure(Code::kInvalidArgument, "\"{}\" is not a mount option", flag);
    }
  }
  const auto mode = capability.access_mode().mode();
  usage.read_only = mode == Mode::SINGLE_NODE_READER_ONLY || mode == Mode::MULTI_NODE_READER_ONLY;
  usage.single_writer = mode == Mode::SINGLE_NODE_SINGLE_WRITER;
  usage.many_nodes = mode == Mode::MULTI_NODE_READER_ONLY ||
                     mode == Mode::MULTI_NODE_SINGLE_WRITER ||
                     mode == Mode::MULTI_NODE_MULTI_WRITER;
  return usage;
}

Outcome<Usage> parse_capabilities(
    const google::protobuf::RepeatedPtrField<spec::VolumeCapability>& capabilities) {
  if (capabilities.empty()) return failure(Code::kInvalidArgument, "no volume capability is given");
  OUTCOME_ASSIGN(Usage all, parse_capability(capabilities[0]));
  for (const auto& capability : capabilities) {
    OUTCOME_ASSIGN(Usage one, parse_capability(capability));
    if (one.block != all.block) {
      return failure(Code::kInvalidArgument,
                     "a volume is a raw device or a file system, not both: ask for one of them");
    }
    if (!one.fs.empty() && !all.fs.empty() && one.fs != all.fs) {
      return failure(Code::kInvalidArgument, "the capabilities ask for both {} and {}", one.fs,
                     all.fs);
    }
    if (all.fs.empty()) all.fs = one.fs;
    all.many_nodes = all.many_nodes || one.many_nodes;
  }
  return all;
}

}  // namespace cleat::csi
