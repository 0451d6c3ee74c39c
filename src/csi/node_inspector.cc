#include "csi/node_inspector.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/log.h"
#include "csi/names.h"

namespace cleat::csi {
namespace {

void add_usage(spec::NodeGetVolumeStatsResponse& out, spec::VolumeUsage::Unit unit, uint64_t total,
               uint64_t free, uint64_t available) {
  auto* usage = out.add_usage();
  usage->set_unit(unit);
  usage->set_total(static_cast<int64_t>(total));
  usage->set_used(static_cast<int64_t>(total - free));
  usage->set_available(static_cast<int64_t>(available));
}

Outcome<> add_file_system_usage(const std::string& path, spec::NodeGetVolumeStatsResponse& out) {
  struct statvfs is{};
  if (::statvfs(path.c_str(), &is) != 0) {
    return failure(Code::kIoError, "cannot ask the file system at {}: {}", path, ::strerror(errno));
  }
  const uint64_t block = is.f_frsize;
  add_usage(out, spec::VolumeUsage::BYTES, is.f_blocks * block, is.f_bfree * block,
            is.f_bavail * block);
  add_usage(out, spec::VolumeUsage::INODES, is.f_files, is.f_ffree, is.f_favail);
  return {};
}

}  // namespace

Outcome<NodeInspector::Place> NodeInspector::find(const std::string& volume_id,
                                                  const std::string& path) {
  Place place;
  OUTCOME_ASSIGN(place.volume, context_.cleatd.volume(volume_id));
  auto not_there = [&] {
    return failure(Code::kNotFound, "volume {} is not at {} on this node", place.volume.name(),
                   path);
  };
  auto device = local_device(context_, place.volume);
  if (!device) return not_there();
  place.device = *device;
  auto real = real_path(path);
  if (!real) return not_there();
  place.path = *real;
  OUTCOME_ASSIGN(MountLines lines, context_.mounts.table());
  const host::MountLine* line = mount_at(lines, place.path);
  if (line != nullptr && line->device_number == place.device.number) {
    place.fs = line->fs;
    return place;
  }
  auto number = context_.mounts.device_number(place.path);
  if (!number || *number != place.device.number) return not_there();
  return place;
}

std::vector<Problem> NodeInspector::problems(const Place& place) {
  std::vector<Problem> out = problems_of(place.volume);
  if (place.fs != "ext4") return out;  // xfs grows while it is mounted
  auto sizes = context_.file_systems.sizes(place.fs, place.device.path);
  if (!sizes) {
    out.push_back({spec::INACCESSIBLE, "Unreadable", sizes.error().message});
  } else if (sizes->fs_bytes < sizes->device_bytes) {
    out.push_back(growth_pending(sizes->fs_bytes, sizes->device_bytes));
  }
  return out;
}

Outcome<spec::NodeGetVolumeStatsResponse> NodeInspector::stats(
    const spec::NodeGetVolumeStatsRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.volume_path().empty()) {
    return failure(Code::kInvalidArgument, "no volume path is given");
  }
  OUTCOME_ASSIGN(Place place, find(request.volume_id(), request.volume_path()));
  spec::NodeGetVolumeStatsResponse out;
  if (place.fs.empty()) {
    OUTCOME_ASSIGN(FileSystemSizes sizes, context_.file_systems.sizes("", place.device.path));
    auto* usage = out.add_usage();
    usage->set_unit(spec::VolumeUsage::BYTES);
    usage->set_total(static_cast<int64_t>(sizes.device_bytes));
  } else {
    OUTCOME_TRY(add_file_system_usage(place.path, out));
  }
  *out.mutable_volume_condition() = to_condition(problems(place));
  return out;
}

Outcome<spec::NodeGetVolumeHealthResponse> NodeInspector::health(
    const spec::NodeGetVolumeHealthRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  const std::string& path = request.volume_publish_path().empty() ? request.staging_target_path()
                                                                  : request.volume_publish_path();
  spec::NodeGetVolumeHealthResponse out;
  if (path.empty()) {
    OUTCOME_ASSIGN(api::Volume volume, context_.cleatd.volume(request.volume_id()));
    *out.mutable_volume_health() = to_health(volume.id(), problems_of(volume));
    return out;
  }
  OUTCOME_ASSIGN(Place place, find(request.volume_id(), path));
  *out.mutable_volume_health() = to_health(place.volume.id(), problems(place));
  return out;
}

Outcome<spec::NodeGetStorageHealthResponse> NodeInspector::storage_health() {
  spec::NodeGetStorageHealthResponse out;
  auto add = [&](spec::StorageHealthErrorType kind, const char* reason, const std::string& what) {
    auto* entry = out.add_backend_health();
    entry->set_status(kind);
    entry->set_reason(reason);
    entry->set_message(what);
  };
  auto node = self();
  if (!node) {
    add(spec::STORAGE_UNREACHABLE, "Unreachable", node.error().message);
    return out;
  }
  for (const auto& pool : node->pools()) {
    if (pool.state() == api::POOL_STATE_ONLINE) continue;
    const bool full = pool.state() == api::POOL_STATE_FULL;
    add(spec::STORAGE_DEGRADED, full ? "PoolFull" : "PoolFailed",
        fmt::format("pool {}: {}", pool.path(), pool.problem()));
  }
  return out;
}

Outcome<spec::NodeExpandVolumeResponse> NodeInspector::expand(
    const spec::NodeExpandVolumeRequest& request) {
  if (request.volume_id().empty()) return failure(Code::kInvalidArgument, "no volume id is given");
  if (request.volume_path().empty()) {
    return failure(Code::kInvalidArgument, "no volume path is given");
  }
  if (request.has_volume_capability()) OUTCOME_TRY(parse_capability(request.volume_capability()));
  OUTCOME_ASSIGN(auto turn, context_.in_flight.begin("volume " + request.volume_id()));
  OUTCOME_ASSIGN(Place place, find(request.volume_id(), request.volume_path()));
  OUTCOME_ASSIGN(FileSystemSizes sizes, context_.file_systems.sizes(place.fs, place.device.path));
  if (sizes.device_bytes < static_cast<uint64_t>(request.capacity_range().required_bytes())) {
    return failure(Code::kUnreachable, "device {} has not grown yet: try again", place.device.path);
  }
  spec::NodeExpandVolumeResponse out;
  out.set_capacity_bytes(static_cast<int64_t>(sizes.device_bytes));
  if (place.fs.empty() || sizes.fs_bytes >= sizes.device_bytes) return out;
  auto grown = context_.file_systems.grow(place.fs, place.device.path, place.path);
  if (grown) return out;
  if (grown.error().code != Code::kPermission) return tl::unexpected(grown.error());
  return failure(Code::kBusy, "volume {}: {}", place.volume.name(),
                 growth_pending(sizes.fs_bytes, sizes.device_bytes).message);
}

Outcome<api::Node> NodeInspector::self() {
  OUTCOME_ASSIGN(auto nodes, context_.cleatd.nodes());
  auto found = std::find_if(nodes.begin(), nodes.end(),
                            [&](const api::Node& node) { return node.name() == context_.node; });
  if (found != nodes.end()) return *found;
  return failure(Code::kUnreachable,
                 "node {} is not in the cluster yet: see that its cleatd has joined, and that the "
                 "option node_name is its name",
                 context_.node);
}

Outcome<spec::NodeGetInfoResponse> NodeInspector::info() {
  OUTCOME_ASSIGN(api::Node node, self());
  spec::NodeGetInfoResponse out;
  out.set_node_id(node.name());
  out.set_max_volumes_per_node(context_.volumes_max);
  auto& segments = *out.mutable_accessible_topology()->mutable_segments();
  segments[kTopologyNode] = node.name();
  if (!node.rack().empty()) segments[kTopologyRack] = node.rack();
  if (!node.zone().empty()) segments[kTopologyZone] = node.zone();
  return out;
}

}  // namespace cleat::csi
