#include "cli/volume_print.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/table.h"
#include "common/units.h"

namespace cleat::cli {
namespace {

constexpr const char* kFootnote = "* Data is not local to the node on which volume is attached.\n";

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& words) {
  return fmt::format("{}", fmt::join(words.begin(), words.end(), ", "));
}

std::string where_text(const api::Attachment& attachment) {
  std::string text = fmt::format("{} ({})", attachment.node(), attachment.address());
  if (!attachment.node_online()) text += ", a node that is gone";
  return text;
}

std::string state_text(const api::Volume& volume) {
  if (volume.state() != api::VOLUME_STATE_ATTACHED) {
    std::string text = word(volume.state());
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    return text;
  }
  if (!volume.has_attachment()) return "Attached: without a primary at the moment";
  return "Attached: " + where_text(volume.attachment());
}

// The other sharers: where, and what is mounted.
void print_shared(Fields& fields, const api::Volume& volume) {
  if (volume.shared_attachments_size() == 0) return;
  fields.line("Attached also on nodes:");
  for (const auto& other : volume.shared_attachments()) {
    std::string text = where_text(other) + ": " + other.device();
    if (other.mount_paths_size() > 0) text += ", mounted on " + joined(other.mount_paths());
    fields.line(text, 2);
  }
}

void print_attachment(Fields& fields, const api::Volume& volume) {
  fields.add("State", state_text(volume));
  if (!volume.stalled().empty()) fields.add("I/O waits", volume.stalled());
  fields.add("Last attached", format_time(volume.last_attached_unix_ms()));
  if (volume.state() != api::VOLUME_STATE_ATTACHED) {
    if (volume.last_attached_unix_ms() != 0) {
      fields.add("Last detach", volume.clean() ? "clean" : "not clean");
    }
    return;
  }
  if (!volume.has_attachment()) return print_shared(fields, volume);
  const auto& attachment = volume.attachment();
  fields.add("Frontend", upper(word(attachment.frontend())));
  if (!attachment.device().empty()) fields.add("Device Path", attachment.device());
  if (!attachment.uri().empty()) fields.add("NBD URI", attachment.uri());
  if (attachment.mount_paths_size() > 0) fields.add("Mounted on", joined(attachment.mount_paths()));
  fields.add("Data is local", yes_no(volume.data_local()));
  print_shared(fields, volume);
}

void print_family(Fields& fields, const api::Volume& volume) {
  if (!volume.snapshot_of().empty()) fields.add("Snapshot of", volume.snapshot_of());
  if (!volume.parent_snapshot().empty()) {
    fields.add("Clone of",
               fmt::format("{} (snapshot {})", volume.parent_volume(), volume.parent_snapshot()));
  }
  if (volume.clones_size() > 0) fields.add("Clones", joined(volume.clones()));
}

void print_stats(Fields& fields, const api::VolumeStatsResponse& stats) {
  constexpr uint64_t kNsPerMs = 1'000'000;
  auto number = [&fields](const char* key, uint64_t value) {
    fields.add(key, fmt::format("{}", value));
  };
  number("Reads", stats.reads());
  number("Reads MS", stats.read_ns() / kNsPerMs);
  number("Bytes Read", stats.read_bytes());
  number("Writes", stats.writes());
  number("Writes MS", stats.write_ns() / kNsPerMs);
  number("Bytes Written", stats.written_bytes());
  number("IOs in progress", stats.in_flight());
}

void print_usage(Fields& fields, const api::Volume& volume) {
  if (!volume.has_usage()) return;
  const auto& usage = volume.usage();
  fields.add("Bytes used", format_size(usage.used_bytes()));
  fields.add("Bytes shared", format_size(usage.shared_bytes()));
  fields.add("Bytes in snapshots", format_size(usage.snapshot_bytes()));
  fields.add("Bytes reclaimable", format_size(usage.reclaimable_bytes()));
}

void print_replicas(Fields& fields, const api::Volume& volume) {
  if (volume.replicas_size() == 0) return;
  fields.line("Replica sets on nodes:");
  fields.line("Set 0", 2);
  for (const auto& replica : volume.replicas()) {
    const std::string gap = replica.pool_class().empty() ? "" : " ";
    fields.line(fmt::format("Node : {} (Pool {}{}{})",
                            replica.address().empty() ? replica.node() : replica.address(),
                            replica.pool_id(), gap, replica.pool_class()),
                3);
    fields.line(fmt::format("Name : {}", replica.node()), 3);
    fields.line(fmt::format("State: {}", replica_status(replica)), 3);
    if (replica.has_usage()) {
      fields.line(fmt::format("Used : {}", format_size(replica.usage().used_bytes())), 3);
    }
  }
  fields.add("Replication Status", replication_status(volume));
}

void print_snapshots(Fields& fields, const api::Volume& volume) {
  if (volume.snapshots_size() == 0) return;
  fields.line("Snapshots:");
  for (const auto& snapshot : volume.snapshots()) {
    fields.line(fmt::format("{}  {}  {}", snapshot.id(), snapshot.name(),
                            format_time(snapshot.created_unix_ms())),
                2);
  }
}

}  // namespace

void print_volume_list(std::ostream& out,
                       const google::protobuf::RepeatedPtrField<api::Volume>& volumes) {
  Table table(
      {"ID", "NAME", "SIZE", "HA", "SHARED", "ENCRYPTED", "IO_PRIORITY", "SCALE", "STATUS"});
  bool remote = false;
  for (const auto& volume : volumes) {
    table.add({volume.id(), volume.name(), format_size(volume.size_bytes()),
               fmt::format("{}", volume.ha()), yes_no(volume.shared()), yes_no(volume.encrypted()),
               upper(word(volume.io_priority())), fmt::format("{}", volume.scale()),
               volume_status(volume)});
    remote |= volume.state() == api::VOLUME_STATE_ATTACHED && !volume.data_local();
  }
  table.print(out);
  if (remote) out << kFootnote;
}

void print_volume(std::ostream& out, const api::Volume& volume,
                  const api::VolumeStatsResponse* stats) {
  Fields fields(out);
  fields.title(volume.snapshot_of().empty() ? "Volume" : "Snapshot", volume.id());
  fields.add("Name", volume.name());
  fields.add("Size", format_size(volume.size_bytes()));
  fields.add("Format", volume.fs().empty() ? "none" : volume.fs());
  if (!volume.fs_growth().empty()) fields.add("File system", volume.fs_growth());
  fields.add("HA", fmt::format("{}", volume.ha()));
  fields.add("IO Priority", upper(word(volume.io_priority())));
  fields.add("IO Profile", word(volume.io_profile()));
  fields.add("Creation time", format_time(volume.created_unix_ms()));
  print_family(fields, volume);
  fields.add("Shared", yes_no(volume.shared()));
  fields.add("Encrypted", yes_no(volume.encrypted()));
  fields.add("Scale", fmt::format("{}", volume.scale()));
  if (volume.follow()) {
    fields.add("Follow", volume.following().empty() ? "on" : "on: " + volume.following());
  }
  fields.add("Status", word(volume.status()));
  print_attachment(fields, volume);
  fields.add("Epoch", fmt::format("{}", volume.epoch()));
  if (volume.labels_size() > 0) fields.add("Labels", format_labels(volume.labels()));
  if (stats != nullptr) print_stats(fields, *stats);
  print_usage(fields, volume);
  print_replicas(fields, volume);
  print_snapshots(fields, volume);
}

}  // namespace cleat::cli
