#include "control/takeover_check.h"

namespace cleat::control {

Outcome<bool> may_take_over(const ControlContext& context, const VolumeView& volume,
                            const Topology& topology, bool force) {
  const NodeId primary = volume.record.primary;
  const std::string name = topology.name(primary);
  if (topology.find(primary) == nullptr) return true;  // decommissioned
  if (topology.alive(primary)) {
    OUTCOME_ASSIGN(auto node, context.nodes.node(primary));
    auto runtime = node->ports().inspect.runtime(volume.id());
    const bool answered = runtime || runtime.error().code == Code::kNotFound;
    if (runtime && runtime->attached) {
      return failure(
          Code::kBusy,
          "volume {} is attached on {}: detach it there first (`cleat host "
          "detach {}`){}",
          volume.spec.name(), name, volume.spec.name(),
          volume.spec.shared() ? "" : "; on several nodes at once only a shared volume can be");
    }
    if (!runtime && runtime.error().code == Code::kBusy && !force) {
      return failure(Code::kBusy,
                     "volume {} is being attached on {}: wait for that, and detach it there first "
                     "(`cleat host detach {}`)",
                     volume.spec.name(), name, volume.spec.name());
    }
    if (answered) return true;  // not served there: only open to heal, or its node started anew
    if (!force) {
      return failure(Code::kBusy,
                     "volume {} is attached on {}, which does not answer ({}): if it is "
                     "gone, attach with --force",
                     volume.spec.name(), name, runtime.error().message);
    }
    return true;
  }
  if (!volume.attached() || force) return true;
  return failure(Code::kBusy,
                 "volume {} is attached on {}, which is offline: to take it over, attach "
                 "with --force (what {} still writes is refused from then on)",
                 volume.spec.name(), name, name);
}

}  // namespace cleat::control
