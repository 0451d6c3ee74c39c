#include "csi/file_systems.h"

#include "common/log.h"
#include "csi/names.h"
#include "host/file_system.h"

namespace cleat::csi {
namespace {

std::string wanted_fs(const api::Volume& volume, const FileSystemWish& wish) {
  if (!wish.fs.empty()) return wish.fs;
  return volume.fs().empty() || volume.fs() == "none" ? "ext4" : volume.fs();
}

bool was_formatted(const api::Volume& volume) {
  return label_of(volume, kLabelFormatted) == volume.id();
}

// In one change: a note that is written late, by a node that lost the volume meanwhile, is seen to
// be worth nothing.
Outcome<> note_made(const NodeContext& context, const api::Volume& volume) {
  OUTCOME_TRY(context.cleatd.change_labels(volume.id(), {{kLabelFormatted, volume.id()}},
                                           {kLabelFormatting}));
  return {};
}

// Others see it before the first block is written. Metadata isn't fenced: another node may have
// formatted the volume since it was found blank here.
Outcome<> note_making(const NodeContext& context, const api::Volume& volume,
                      const std::string& fs) {
  OUTCOME_ASSIGN(api::Volume noted,
                 context.cleatd.change_labels(volume.id(), {{kLabelFormatting, fs}}, {}));
  if (!was_formatted(noted)) return {};
  OUTCOME_TRY(context.cleatd.remove_label(volume.id(), kLabelFormatting));
  return failure(Code::kConflict, "volume {} was formatted by another node meanwhile: try again",
                 volume.name());
}

Outcome<std::string> make(const NodeContext& context, const api::Volume& volume,
                          const std::string& device, const FileSystemWish& wish) {
  if (wish.read_only) {
    return failure(Code::kBusy,
                   "volume {} is blank, and a file system can't be made on it read-only: mount it "
                   "read-write once",
                   volume.name());
  }
  const std::string fs = wanted_fs(volume, wish);
  OUTCOME_TRY(note_making(context, volume, fs));
  OUTCOME_TRY(context.file_systems.make(fs, device));
  OUTCOME_TRY(note_made(context, volume));
  return fs;
}

Outcome<> check_never_formatted(const api::Volume& volume) {
  if (!was_formatted(volume)) return {};
  return failure(Code::kCorrupt,
                 "volume {} is blank, but had a file system: its data is gone, and no new one is "
                 "made over that; restore a snapshot, or, if it is meant to be blank, run cleat "
                 "volume update {} --remove-label {}",
                 volume.name(), volume.name(), kLabelFormatted);
}

// The note stands: who wrote it was cut short, during the make or after it.
Outcome<std::string> finish_make(const NodeContext& context, const api::Volume& volume,
                                 const std::string& device, const FileSystemWish& wish,
                                 const std::string& found) {
  bool whole = false;
  if (host::is_known_file_system(found)) {
    OUTCOME_ASSIGN(whole, context.file_systems.is_whole(found, device));
  }
  if (!whole) {
    LOG_WARN("volume {}: making the file system was cut short: making it again", volume.name());
    return make(context, volume, device, wish);
  }
  OUTCOME_TRY(note_made(context, volume));
  return found;
}

Outcome<> grow(const NodeContext& context, const std::string& fs, const std::string& device) {
  if (fs != "ext4") return {};  // xfs grows once it is mounted
  OUTCOME_ASSIGN(FileSystemSizes sizes, context.file_systems.sizes(fs, device));
  if (!host::leaves_room(sizes.fs_bytes, sizes.device_bytes)) return {};
  return context.file_systems.grow(fs, device, "");
}

}  // namespace

Outcome<std::string> prepare_file_system(const NodeContext& context, const api::Volume& volume,
                                         const std::string& device, const FileSystemWish& wish) {
  OUTCOME_ASSIGN(FoundFileSystem found, context.file_systems.probe(device));
  if (!label_of(volume, kLabelFormatting).empty()) {
    // Of a clone both are its source's: the note is not to be believed either.
    const bool formatted = !label_of(volume, kLabelFormatted).empty();
    if (!formatted) return finish_make(context, volume, device, wish, found.fs);
    OUTCOME_TRY(context.cleatd.remove_label(volume.id(), kLabelFormatting));
  }
  if (found.fs.empty() && found.blank) {
    OUTCOME_TRY(check_never_formatted(volume));
    return make(context, volume, device, wish);
  }
  if (!host::is_known_file_system(found.fs)) {
    return failure(Code::kCorrupt,
                   "volume {} holds data ({}), and neither ext4 nor xfs: it is not touched; use it "
                   "as a raw device, or empty it",
                   volume.name(), found.fs.empty() ? "of no kind that is known" : found.fs);
  }
  if (!wish.fs.empty() && wish.fs != found.fs) {
    return failure(Code::kInvalidArgument, "volume {} has {}, and {} is asked for", volume.name(),
                   found.fs, wish.fs);
  }
  if (wish.read_only) return found.fs;
  OUTCOME_TRY(context.file_systems.check(found.fs, device));
  OUTCOME_TRY(grow(context, found.fs, device));
  return found.fs;
}

}  // namespace cleat::csi
