#include "cli/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "common/units.h"

namespace cleat::cli {
namespace {

std::string capitalized(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string without_period(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) text.pop_back();
  return text;
}

template <class Enum>
Enum enum_of(const std::string& text) {
  const auto* descriptor = google::protobuf::GetEnumDescriptor<Enum>();
  for (int i = 0; i < descriptor->value_count(); ++i) {
    if (enum_word(*descriptor->value(i)) == text)
      return static_cast<Enum>(descriptor->value(i)->number());
  }
  return static_cast<Enum>(0);
}

uint32_t in_sync_count(const api::Volume& volume) {
  uint32_t count = 0;
  for (const auto& replica : volume.replicas()) {
    if (replica.state() == api::REPLICA_STATE_IN_SYNC) ++count;
  }
  return count;
}

}  // namespace

api::IoPriority io_priority_of(const std::string& text) { return enum_of<api::IoPriority>(text); }
api::IoProfile io_profile_of(const std::string& text) { return enum_of<api::IoProfile>(text); }

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string yes_no(bool value) { return value ? "yes" : "no"; }

std::string format_time(int64_t unix_ms) {
  if (unix_ms <= 0) return "never";
  std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  char text[64];
  if (::gmtime_r(&seconds, &parts) == nullptr) return fmt::format("{} ms", unix_ms);
  size_t length = std::strftime(text, sizeof(text), "%b %d %H:%M:%S UTC %Y", &parts);
  return std::string(text, length);
}

std::string format_seconds(uint64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::string format_share(uint64_t part, uint64_t whole) {
  if (whole == 0) return format_size(part);
  double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  return fmt::format("{} of {} ({:.0f} %)", format_size(part), format_size(whole), percent);
}

std::string format_progress(const api::ResyncProgress& progress) {
  std::string text =
      fmt::format("{:.1f} % ({} of {})", progress.percent(), format_size(progress.done_bytes()),
                  format_size(progress.total_bytes()));
  if (progress.bytes_per_second() == 0) return text;
  return text + fmt::format(", {}/s, {} left", format_size(progress.bytes_per_second()),
                            format_seconds(progress.seconds_left()));
}

std::string format_labels(const google::protobuf::Map<std::string, std::string>& labels) {
  std::map<std::string, std::string> sorted(labels.begin(), labels.end());
  std::string text;
  for (const auto& [key, value] : sorted) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  }
  return text;
}

std::string volume_status(const api::Volume& volume) {
  std::string text = word(volume.status());
  if (volume.state() != api::VOLUME_STATE_ATTACHED) {
    return fmt::format("{} - {}", text, word(volume.state()));
  }
  std::string where;  // the primary first
  auto add = [&where](const api::Attachment& attachment) {
    const auto& address = attachment.address();
    where += (where.empty() ? "" : ", ") + (address.empty() ? attachment.node() : address);
  };
  if (volume.has_attachment()) add(volume.attachment());
  for (const auto& other : volume.shared_attachments()) add(other);
  text += " - attached on " + where;
  return volume.data_local() ? text : text + " *";
}

std::string replica_status(const api::Replica& replica) {
  if (replica.has_resync()) {
    return fmt::format("{} {}", replica.resync().rebuild() ? "Rebuild" : "Resync",
                       format_progress(replica.resync()));
  }
  std::string text = replica.state() == api::REPLICA_STATE_IN_SYNC ? "In sync"
                     : replica.state() == api::REPLICA_STATE_STALE ? "Stale"
                     : replica.state() == api::REPLICA_STATE_NEW   ? "New, not rebuilt yet"
                                                                   : "Unknown";
  return replica.reachable() ? text : text + ", its node does not answer";
}

std::string replication_status(const api::Volume& volume) {
  if (volume.status() == api::VOLUME_STATUS_DOWN) return "Down";
  bool copying = std::any_of(volume.replicas().begin(), volume.replicas().end(),
                             [](const auto& replica) { return replica.has_resync(); });
  if (copying) return "Resync";
  if (volume.status() == api::VOLUME_STATUS_UP) return "Up";
  return fmt::format("Degraded: {} of {} replicas in sync", in_sync_count(volume), volume.ha());
}

std::string finding_text(const api::Finding& finding) {
  std::string text = without_period(finding.what());
  if (!finding.why().empty()) text += ", because " + without_period(finding.why());
  text += ".";
  std::string doing = without_period(finding.doing());
  bool has_figures = doing.find('%') != std::string::npos;
  if (finding.has_resync() && !has_figures) {
    if (doing.empty()) doing = "Copying to " + finding.resync().to_node();
    doing += ": " + format_progress(finding.resync());
  }
  if (!doing.empty()) text += " " + capitalized(doing) + ".";
  return text;
}

}  // namespace cleat::cli
