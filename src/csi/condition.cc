#include "csi/condition.h"

#include "common/units.h"
#include "csi/attachments.h"
#include "csi/takeover.h"

namespace cleat::csi {
namespace {

uint32_t in_sync_count(const api::Volume& volume) {
  uint32_t count = 0;
  for (const auto& replica : volume.replicas()) {
    count += replica.state() == api::REPLICA_STATE_IN_SYNC && replica.reachable() ? 1 : 0;
  }
  return count;
}

}  // namespace

std::vector<Problem> problems_of(const api::Volume& volume) {
  std::vector<Problem> out;
  if (volume.has_attachment() && !volume.attachment().node_online()) {
    out.push_back({spec::INACCESSIBLE, "NodeOffline",
                   fmt::format("the node {}, where the volume is attached, is offline",
                               volume.attachment().node())});
  } else if (!volume.has_attachment() && volume.shared_attachments_size() != 0) {
    out.push_back({spec::INACCESSIBLE, "NoPrimary",
                   fmt::format("no node serves the volume at the moment: one of {} takes it over",
                               names_of(attachments_of(volume)))});
  } else if (volume.status() == api::VOLUME_STATUS_DOWN) {
    out.push_back({spec::INACCESSIBLE, "NoReplicaInSync",
                   "no replica that is in sync can be reached: I/O waits"});
  }
  if (!volume.stalled().empty()) {
    out.push_back({spec::INACCESSIBLE, "Stalled", fmt::format("I/O waits: {}", volume.stalled())});
  }
  if (volume.status() == api::VOLUME_STATUS_DEGRADED) {
    out.push_back({spec::DEGRADED, "Degraded",
                   fmt::format("{} of {} replicas are in sync: `cleat status` says what is done",
                               in_sync_count(volume), volume.ha())});
  }
  return out;
}

Problem growth_pending(uint64_t fs_bytes, uint64_t device_bytes) {
  return {
      spec::DEGRADED, "GrowthPending",
      fmt::format("the file system has {} of the volume's {}: it can't grow while it is mounted "
                  "(the kernel wants CAP_SYS_RESOURCE for that), and grows before the next "
                  "mount: restart the pod",
                  format_size(fs_bytes), format_size(device_bytes))};
}

spec::VolumeCondition to_condition(const std::vector<Problem>& problems) {
  spec::VolumeCondition out;
  out.set_abnormal(!problems.empty());
  out.set_message(problems.empty() ? "the volume is well" : "");
  for (const Problem& problem : problems) {
    if (!out.message().empty()) out.mutable_message()->append("; ");
    out.mutable_message()->append(problem.message);
  }
  return out;
}

spec::VolumeHealth to_health(const std::string& volume_id, const std::vector<Problem>& problems) {
  spec::VolumeHealth out;
  out.set_volume_id(volume_id);
  for (const Problem& problem : problems) {
    auto* entry = out.add_health_statuses();
    entry->set_status(problem.kind);
    entry->set_reason(problem.reason);
    entry->set_message(problem.message);
  }
  return out;
}

std::vector<std::string> published_nodes(const api::Volume& volume) {
  std::vector<std::string> out;
  for (const auto& each : attachments_of(volume)) {
    if (!is_given_up(volume, each.node())) out.push_back(each.node());
  }
  return out;
}

}  // namespace cleat::csi
