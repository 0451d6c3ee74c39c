#include "control/shared_findings.h"

#include "control/api_views.h"
#include "control/shared_entries.h"

namespace cleat::control {
namespace {

v1::Finding finding(v1::Health severity, const VolumeView& volume, std::string what,
                    std::string why, std::string doing) {
  v1::Finding out;
  out.set_severity(severity);
  out.set_volume(volume.spec.name());
  out.set_what(std::move(what));
  out.set_why(std::move(why));
  out.set_doing(std::move(doing));
  return out;
}

std::string successor_words(const VolumeView& volume, const Topology& topology) {
  const auto next = next_primaries(volume, topology);
  if (!next.empty()) {
    return fmt::format("{} is about to become primary", topology.name(next.front()));
  }
  return fmt::format("To use it elsewhere: `cleat host attach --force {}` there",
                     volume.spec.name());
}

}  // namespace

std::optional<v1::Finding> primary_finding(const VolumeView& volume, const Topology& topology) {
  const std::string& name = volume.spec.name();
  if (!lacks_primary(volume, topology)) return std::nullopt;
  if (!volume.attached()) {
    return finding(v1::HEALTH_DOWN, volume,
                   fmt::format("Volume {} has no primary, and I/O on {} waits", name,
                               names_attached(volume, topology)),
                   "the node that was it detached the volume, or was lost",
                   successor_words(volume, topology));
  }
  const std::string node = topology.name(volume.record.primary);
  auto out = finding(v1::HEALTH_DOWN, volume,
                     fmt::format("Volume {} is attached on {}, which is offline", name, node),
                     "its lease in etcd ran out", successor_words(volume, topology));
  out.set_node(node);
  return out;
}

std::optional<v1::Finding> sharer_finding(const VolumeView& volume, const Topology& topology) {
  const std::string& name = volume.spec.name();
  if (!volume.attached()) return std::nullopt;
  for (const auto& entry : volume.spec.shared_attachments()) {
    const NodeId id{entry.node()};
    const std::string node = topology.name(id);
    const bool online = topology.alive(id);
    if (online && !is_expelled(entry, volume.record)) continue;
    auto out = finding(
        v1::HEALTH_DEGRADED, volume,
        online ? fmt::format("The device of volume {} on {} fails", name, node)
               : fmt::format("Volume {} is attached on {}, which is offline", name, node),
        online ? "it was expelled: it did not answer while others waited for it"
               : "its lease in etcd ran out",
        online
            ? fmt::format("For a new one: `cleat host attach {} --node {}`", name, node)
            : fmt::format("The others go on; to expel it: `cleat host detach {} --node {} --force`",
                          name, node));
    out.set_node(node);
    return out;
  }
  return std::nullopt;
}

}  // namespace cleat::control
