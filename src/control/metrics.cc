#include "control/metrics.h"

#include <prometheus/text_serializer.h>

namespace cleat::control {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  explicit Families(std::vector<MetricFamily>& out) : out_(out) {}
  void gauge(const char* name, const char* help) { begin(name, help, MetricType::Gauge); }
  void counter(const char* name, const char* help) { begin(name, help, MetricType::Counter); }
  // A sample of the family begun last.
  void add(Labels labels, double value) {
    ClientMetric sample;
    sample.label = std::move(labels);
    sample.counter.value = sample.gauge.value = value;
    out_.back().metric.push_back(std::move(sample));
  }
  void add(Labels labels, uint64_t value) { add(std::move(labels), static_cast<double>(value)); }

 private:
  void begin(const char* name, const char* help, MetricType type) {
    out_.push_back({name, help, type, {}});
  }
  std::vector<MetricFamily>& out_;
};

void add_volumes(Families& out, const v1::StatusResponse& status) {
  const auto& volumes = status.volumes();
  out.gauge("cleat_volumes", "volumes by condition");
  out.add({{"condition", "total"}}, uint64_t{volumes.total()});
  out.add({{"condition", "attached"}}, uint64_t{volumes.attached()});
  out.add({{"condition", "degraded"}}, uint64_t{volumes.degraded()});
  out.add({{"condition", "down"}}, uint64_t{volumes.down()});
  out.gauge("cleat_snapshots", "snapshots of all volumes");
  out.add({}, uint64_t{volumes.snapshots()});
}

void add_nodes(Families& out, const v1::StatusResponse& status) {
  out.gauge("cleat_node_online", "1 when the node's lease is alive");
  for (const auto& node : status.nodes()) {
    out.add({{"node", node.name()}}, node.state() == v1::NODE_STATE_OFFLINE ? 0.0 : 1.0);
  }
  out.gauge("cleat_pool_bytes", "capacity and use of each pool");
  for (const auto& node : status.nodes()) {
    for (const auto& pool : node.pools()) {
      auto labels = [&](const char* kind) {
        return Labels{{"node", node.name()}, {"pool", pool.path()}, {"kind", kind}};
      };
      out.add(labels("total"), uint64_t{pool.capacity().total_bytes()});
      out.add(labels("used"), uint64_t{pool.capacity().used_bytes()});
      out.add(labels("free"), uint64_t{pool.capacity().free_bytes()});
    }
  }
}

void add_cluster(Families& out, const v1::StatusResponse& status) {
  out.gauge("cleat_metadata_reachable", "1 when etcd answers");
  out.add({}, status.metadata().reachable() ? 1.0 : 0.0);
  out.gauge("cleat_alerts", "alerts that stand");
  out.add({}, static_cast<double>(status.alerts_size()));
  if (!status.metadata().reachable()) return;
  add_volumes(out, status);
  add_nodes(out, status);
}

struct OpenVolume {
  Labels labels;
  VolumeRuntime runtime;
  VolumeStats stats;
};

std::vector<OpenVolume> open_volumes(InspectPort& inspect) {
  std::vector<OpenVolume> out;
  auto runtimes = inspect.runtimes();
  if (!runtimes) return out;
  for (auto& [id, runtime] : *runtimes) {
    auto stats = inspect.stats(id);
    if (!stats) continue;  // closed meanwhile
    const std::string name = runtime.device.substr(runtime.device.rfind('/') + 1);
    out.push_back({{{"volume", Keys::text(id.value)}, {"name", name}}, std::move(runtime), *stats});
  }
  return out;
}

// One family of a figure of each open volume.
void add_counter(Families& out, const std::vector<OpenVolume>& volumes, const char* name,
                 const char* help, double unit, uint64_t VolumeStats::* figure) {
  out.counter(name, help);
  for (const auto& volume : volumes) {
    out.add(volume.labels, static_cast<double>(volume.stats.*figure) * unit);
  }
}

void add_counters(Families& out, const std::vector<OpenVolume>& volumes) {
  constexpr double kSeconds = 1e-9;  // figures of time are in ns
  auto add = [&](const char* name, const char* help, uint64_t VolumeStats::* figure,
                 double unit = 1.0) { add_counter(out, volumes, name, help, unit, figure); };
  add("cleat_volume_reads_total", "reads answered", &VolumeStats::reads);
  add("cleat_volume_read_bytes_total", "bytes of them", &VolumeStats::read_bytes);
  add("cleat_volume_read_seconds_total", "time they took, added up", &VolumeStats::read_ns,
      kSeconds);
  add("cleat_volume_writes_total", "writes answered", &VolumeStats::writes);
  add("cleat_volume_written_bytes_total", "bytes of them", &VolumeStats::written_bytes);
  add("cleat_volume_write_seconds_total", "time they took, added up", &VolumeStats::write_ns,
      kSeconds);
  add("cleat_volume_flushes_total", "flushes answered", &VolumeStats::flushes);
  add("cleat_volume_flush_seconds_total", "time they took, added up", &VolumeStats::flush_ns,
      kSeconds);
  add("cleat_volume_discarded_bytes_total", "bytes discarded or zeroed",
      &VolumeStats::discarded_bytes);
  add("cleat_volume_read_repairs_total", "reads answered by another replica, and repaired",
      &VolumeStats::read_repairs);
  add("cleat_volume_io_errors_total", "requests answered with an error", &VolumeStats::io_errors);
}

void add_open_volumes(Families& out, const std::vector<OpenVolume>& volumes) {
  add_counters(out, volumes);
  out.gauge("cleat_volume_in_flight", "requests not yet answered");
  for (const auto& volume : volumes) out.add(volume.labels, volume.stats.in_flight);
  out.gauge("cleat_volume_replicas_in_sync", "replicas that have every acknowledged write");
  for (const auto& volume : volumes) out.add(volume.labels, volume.runtime.in_sync.size());
  out.gauge("cleat_volume_stalled", "1 while I/O waits for a replica");
  for (const auto& volume : volumes) {
    out.add(volume.labels, volume.runtime.stalled.empty() ? 0.0 : 1.0);
  }
  out.gauge("cleat_resync_left_bytes", "what resyncs have still to compare");
  for (const auto& volume : volumes) {
    uint64_t left = 0;
    for (const auto& resync : volume.runtime.resyncs)
      left += resync.total_bytes - resync.done_bytes;
    out.add(volume.labels, left);
  }
}

}  // namespace

std::string metrics_text(Services& services, InspectPort& inspect) {
  std::vector<MetricFamily> families;
  Families out(families);
  if (auto status = services.cluster.status()) add_cluster(out, *status);
  add_open_volumes(out, open_volumes(inspect));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace cleat::control
