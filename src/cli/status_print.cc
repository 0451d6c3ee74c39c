#include "cli/status_print.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/node_print.h"
#include "common/units.h"

namespace cleat::cli {
namespace {

constexpr int kAlertsShown = 5;

const char* headline(api::Health health) {
  switch (health) {
    case api::HEALTH_OK: return "Cleat is operational";
    case api::HEALTH_DEGRADED: return "Cleat is operational, degraded: see below";
    case api::HEALTH_DOWN: return "Cleat is impaired: some I/O waits or fails: see below";
    default: return "unknown";
  }
}

std::string metadata_text(const api::MetadataStatus& metadata) {
  auto healthy = std::count_if(metadata.members().begin(), metadata.members().end(),
                               [](const auto& member) { return member.healthy(); });
  std::string text = metadata.embedded() ? "embedded etcd" : "external etcd";
  if (metadata.members_size() > 0) {
    text += fmt::format(", {} of {} members healthy", healthy, metadata.members_size());
  } else if (metadata.endpoints_size() > 0) {
    text += fmt::format(" at {}",
                        fmt::join(metadata.endpoints().begin(), metadata.endpoints().end(), ", "));
  }
  if (metadata.reachable()) return text;
  text += ", not reachable";
  if (!metadata.problem().empty()) text += " (" + metadata.problem() + ")";
  return text + ": attached volumes go on, changes wait";
}

void print_counts(std::ostream& out, const api::StatusResponse& status) {
  const auto& volumes = status.volumes();
  out << fmt::format("Volumes: {} ({} attached, {} degraded, {} down), {} snapshots\n",
                     volumes.total(), volumes.attached(), volumes.degraded(), volumes.down(),
                     volumes.snapshots());
  const auto& capacity = status.capacity();
  out << fmt::format("Capacity: {} used, {} free, {} provisioned\n",
                     format_share(capacity.used_bytes(), capacity.total_bytes()),
                     format_size(capacity.free_bytes()), format_size(capacity.provisioned_bytes()));
}

void print_pools(std::ostream& out, const api::StatusResponse& status) {
  google::protobuf::RepeatedPtrField<api::Pool> pools;
  for (const auto& node : status.nodes()) {
    for (const auto& pool : node.pools()) *pools.Add() = pool;
  }
  if (pools.empty()) {
    out << "\nPools: none: make one with cleat pool create PATH --size SIZE\n";
    return;
  }
  out << "\nPools:\n";
  print_pool_list(out, pools);
}

void print_findings(std::ostream& out, const api::StatusResponse& status) {
  if (status.findings().empty()) {
    out << "\nNothing needs attention.\n";
    return;
  }
  out << "\nWhat is not as it should be:\n";
  int number = 0;
  for (const auto& finding : status.findings()) {
    out << fmt::format("  {}. {}\n", ++number, finding_text(finding));
  }
}

void print_alerts(std::ostream& out, const api::StatusResponse& status) {
  if (status.alerts().empty()) return;
  out << fmt::format("\nAlerts: {} not cleared\n", status.alerts_size());
  google::protobuf::RepeatedPtrField<api::Alert> newest;
  for (int i = 0; i < std::min(kAlertsShown, status.alerts_size()); ++i) {
    *newest.Add() = status.alerts(i);
  }
  print_alert_list(out, newest);
  if (status.alerts_size() > kAlertsShown) out << "All of them: cleat alerts\n";
}

}  // namespace

void print_status(std::ostream& out, const api::StatusResponse& status) {
  out << fmt::format("Status: {}\n", headline(status.health()));
  out << fmt::format("Cluster: {} ({})\n", status.cluster(), status.cluster_id());
  out << fmt::format("This node: {} ({}), cleatd {}\n", status.this_node(), status.this_node_id(),
                     status.version());
  out << fmt::format("Metadata: {}\n", metadata_text(status.metadata()));
  if (status.metadata().reachable()) {
    print_counts(out, status);
    out << "\nNodes:\n";
    print_node_list(out, status.nodes());
    print_pools(out, status);
  } else {
    out << "Volumes, nodes and pools: not known without the metadata\n";
  }
  print_findings(out, status);
  print_alerts(out, status);
}

}  // namespace cleat::cli
