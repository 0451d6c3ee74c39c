#include "control/findings.h"

#include <algorithm>

#include "control/api_views.h"
#include "control/shared_findings.h"
#include "control/volume_ops.h"
#include "control/volume_plan.h"

namespace cleat::control {
namespace {

std::string rate_words(const ResyncInfo& resync, const std::string& node) {
  const double total = static_cast<double>(std::max<uint64_t>(resync.total_bytes, 1));
  std::string out =
      fmt::format("{} to {}: {:.0f} %", resync.rebuild ? "Copying all" : "Copying what changed",
                  node, 100.0 * static_cast<double>(resync.done_bytes) / total);
  if (resync.bytes_per_second == 0) return out;
  return out + fmt::format(", {}/s, {} s left", format_size(resync.bytes_per_second),
                           resync.seconds_left);
}

std::string duration_words(uint64_t ms) {
  const uint64_t seconds = ms / 1000;
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  return fmt::format("{} h", seconds / 3600);
}

class Finder {
 public:
  Finder(const ControlContext& context, const ClusterView& view, const Runtimes& runtimes)
      : context_(context),
        ops_(context),
        view_(view),
        runtimes_(runtimes),
        now_(context.now_unix_ms()),
        planner_(view, context.limits, now_) {}

  std::vector<v1::Finding> run() {
    for (const auto& [id, node] : view_.topology.nodes) node_finding(node);
    for (const auto& [id, pool] : view_.topology.pools) pool_finding(pool);
    for (const auto& [id, volume] : view_.volumes) volume_finding(volume);
    for (const auto& words : view_.damaged) {
      add(v1::HEALTH_DOWN, "A volume's metadata can't be read", words,
          "Restore etcd, or run `cleat cluster rebuild-metadata`");
    }
    std::stable_sort(out_.begin(), out_.end(),
                     [](const auto& a, const auto& b) { return a.severity() > b.severity(); });
    return std::move(out_);
  }

 private:
  v1::Finding& add(v1::Health severity, std::string what, std::string why, std::string doing) {
    auto& out = out_.emplace_back();
    out.set_severity(severity);
    out.set_what(std::move(what));
    out.set_why(std::move(why));
    out.set_doing(std::move(doing));
    return out;
  }

  void node_finding(const NodeView& node) {
    const std::string& name = node.node.name();
    if (node.node.decommissioning()) {
      add(v1::HEALTH_DEGRADED, fmt::format("Node {} is being decommissioned", name),
          "a person asked for it", "Moving its replicas to other nodes")
          .set_node(name);
      return;
    }
    if (node.alive) {
      if (node.node.maintenance()) {
        add(v1::HEALTH_OK, fmt::format("Node {} is in maintenance", name), "a person asked for it",
            "It gets no new replicas until `cleat node maintenance --exit`")
            .set_node(name);
      }
      return;
    }
    const uint64_t since = node.node.last_seen_unix_ms();
    std::string why = "its lease in etcd ran out: it is down, or cut off";
    if (since != 0) why += fmt::format(" for {}", duration_words(now_ - std::min(now_, since)));
    const auto delay = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(context_.limits.replica_delay)
            .count());
    std::string doing = "Its replicas catch up when it returns";
    if (!node.node.maintenance()) {
      doing += fmt::format("; after {} new ones are made elsewhere", duration_words(delay));
    }
    add(v1::HEALTH_DEGRADED, fmt::format("Node {} is offline", name), std::move(why),
        std::move(doing))
        .set_node(name);
  }

  void pool_finding(const meta::Pool& pool) {
    NodeId node{pool.node()};
    if (!view_.topology.alive(node)) return;
    const std::string label = fmt::format("{}:{}", view_.topology.name(node), pool.path());
    if (pool.failed()) {
      auto& out = add(v1::HEALTH_DEGRADED, fmt::format("Pool {} has failed", label), pool.problem(),
                      "Volumes are served by their other replicas; replace the device");
      out.set_pool(label);
      return;
    }
    const double used = used_share(pool);
    if (used < context_.limits.pool_nearly_full) return;
    add(v1::HEALTH_DEGRADED, fmt::format("Pool {} is {:.0f} % full", label, used * 100),
        fmt::format("{} of {} are free", format_size(std::max(pool.free_bytes(), kBlockSize)),
                    format_size(pool.capacity_bytes())),
        "Delete snapshots or volumes, or move replicas away (`cleat volume ha-update`); when it is "
        "full, writes to new places fail")
        .set_pool(label);
  }

  std::string replica_words(const VolumeView& volume) const {
    std::string why;
    for (const auto& replica : volume.record.replicas) {
      const std::string node = view_.topology.name(replica.node);
      std::string part;
      if (!view_.topology.alive(replica.node)) {
        part = fmt::format("node {} is offline", node);
      } else if (replica.state == core::ReplicaState::kStale) {
        part = fmt::format("the replica on {} missed writes", node);
      } else if (replica.state == core::ReplicaState::kNew) {
        part = fmt::format("the replica on {} is new", node);
      } else {
        continue;
      }
      why += (why.empty() ? "" : ", ") + part;
    }
    if (!why.empty()) return why;
    return fmt::format("it has {} of {} replicas", volume.record.replicas.size(),
                       volume.spec.ha_level());
  }

  std::string doing_words(const VolumeView& volume) const {
    VolumePlan plan = plan_volume(volume, view_.topology, context_.limits, now_);
    switch (plan.step) {
      case VolumePlan::Step::kAddReplica:
        return "A new replica is about to be made on another node";
      case VolumePlan::Step::kRemoveReplica: return "A replica is about to be removed";
      case VolumePlan::Step::kHeal: return "The copy is about to begin";
      case VolumePlan::Step::kFinishPending: return "A half-done change is about to be taken back";
      case VolumePlan::Step::kNothing: break;
    }
    for (const auto& replica : volume.record.replicas) {
      if (!view_.topology.alive(replica.node)) {
        return fmt::format("Waiting for {}", view_.topology.name(replica.node));
      }
    }
    return "Resync is going on";
  }

  // No trouble, but work: the volume is served as well as before.
  void follow_finding(const VolumeView& volume) {
    FollowPlan plan = ops_.plan_follow(volume, view_.topology, planner_);
    if (plan.step == FollowPlan::Step::kNothing) return;
    const std::string node = view_.topology.name(volume.record.primary);
    auto& out = add(v1::HEALTH_OK, fmt::format("Volume {} follows to {}", volume.spec.name(), node),
                    "it is attached there", std::move(plan.words));
    out.set_volume(volume.spec.name());
    auto runtime = runtimes_.find(volume.id());
    if (runtime == runtimes_.end()) return;
    for (const auto& resync : runtime->second.resyncs) {
      if (resync.node != volume.record.primary) continue;
      *out.mutable_resync() = to_api(resync, volume.spec.name(), view_.topology);
    }
  }

  void volume_finding(const VolumeView& volume) {
    if (volume.spec.state() != meta::VolumeSpec::UP) return;
    const std::string& name = volume.spec.name();
    auto runtime = runtimes_.find(volume.id());
    if (runtime != runtimes_.end() && !runtime->second.stalled.empty()) {
      add(v1::HEALTH_DOWN, fmt::format("I/O of volume {} waits", name), runtime->second.stalled,
          doing_words(volume))
          .set_volume(name);
      return;
    }
    if (auto lacking = primary_finding(volume, view_.topology)) {
      out_.push_back(std::move(*lacking));
      return;
    }
    if (volume.attached() && !view_.topology.alive(volume.record.primary)) {
      const std::string node = view_.topology.name(volume.record.primary);
      auto& out = add(
          v1::HEALTH_DOWN, fmt::format("Volume {} is attached on {}, which is offline", name, node),
          "its lease in etcd ran out",
          fmt::format("To use it elsewhere: `cleat host attach --force {}` there", name));
      out.set_volume(name);
      out.set_node(node);
      return;
    }
    if (volume.attached() && runtime != runtimes_.end() && !runtime->second.attached) {
      const std::string node = view_.topology.name(volume.record.primary);
      add(v1::HEALTH_DOWN,
          fmt::format("Volume {} is attached on {}, but has no device there", name, node),
          "cleatd there is about to make it, or the device was lost when the node started anew",
          fmt::format("If it stays so: `cleat host attach {}`, there or on another node", name))
          .set_volume(name);
      return;
    }
    const uint32_t usable = usable_count(volume, view_.topology);
    follow_finding(volume);
    if (usable >= volume.spec.ha_level()) {
      auto sharer = sharer_finding(volume, view_.topology);
      if (sharer) out_.push_back(std::move(*sharer));
      return;
    }
    std::string doing = doing_words(volume);
    const ResyncInfo* resync = nullptr;
    if (runtime != runtimes_.end() && !runtime->second.resyncs.empty()) {
      resync = &runtime->second.resyncs.front();
      doing = rate_words(*resync, view_.topology.name(resync->node));
    }
    auto& out = add(usable == 0 ? v1::HEALTH_DOWN : v1::HEALTH_DEGRADED,
                    fmt::format("Volume {} has {} of {} replicas in sync", name, usable,
                                volume.spec.ha_level()),
                    replica_words(volume), std::move(doing));
    out.set_volume(name);
    if (resync != nullptr) *out.mutable_resync() = to_api(*resync, name, view_.topology);
  }

  const ControlContext& context_;
  VolumeOps ops_;
  const ClusterView& view_;
  const Runtimes& runtimes_;
  uint64_t now_;
  FollowPlanner planner_;
  std::vector<v1::Finding> out_;
};

}  // namespace

std::vector<v1::Finding> find_problems(const ControlContext& context, const ClusterView& view,
                                       const Runtimes& runtimes) {
  return Finder(context, view, runtimes).run();
}

std::vector<std::string> standing_alert_kinds() {
  return {"volume_degraded", "volume_down", "node_offline", "pool_problem", "metadata_damaged"};
}

std::vector<AlertCause> causes_of(const std::vector<v1::Finding>& findings,
                                  const ClusterView& view) {
  std::vector<AlertCause> out;
  for (const auto& finding : findings) {
    if (finding.severity() == v1::HEALTH_OK) continue;
    AlertCause cause;
    cause.severity =
        finding.severity() == v1::HEALTH_DOWN ? meta::Alert::ALARM : meta::Alert::WARNING;
    // Without the progress: an alert is not raised anew at each percent.
    cause.message = finding.what();
    if (!finding.volume().empty()) {
      cause.kind = finding.severity() == v1::HEALTH_DOWN ? "volume_down" : "volume_degraded";
      cause.subject_kind = "volume";
      cause.subject = finding.volume();
    } else if (!finding.pool().empty()) {
      cause.kind = "pool_problem";
      cause.subject_kind = "pool";
      cause.subject = finding.pool();
    } else if (!finding.node().empty()) {
      auto node = view.topology.resolve(finding.node());
      if (node && view.topology.alive(*node)) continue;  // decommissioning: no alert
      cause.kind = "node_offline";
      cause.subject_kind = "node";
      cause.subject = finding.node();
    } else {
      cause.kind = "metadata_damaged";
      cause.subject_kind = "cluster";
      cause.subject = "metadata";
    }
    out.push_back(std::move(cause));
  }
  return out;
}

}  // namespace cleat::control
