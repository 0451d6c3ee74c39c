#include "csi/node_loss.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "common/log.h"
#include "csi/attachments.h"
#include "csi/takeover.h"
#include "csi/volume_turn.h"

namespace cleat::csi {
namespace {

// Not by its state: a node that is being decommissioned has that state whether it is online or not.
bool is_online(const api::Node& node) { return node.health() != api::HEALTH_DOWN; }

const api::Node* find_node(const std::vector<api::Node>& nodes, const std::string& name) {
  auto found = std::find_if(nodes.begin(), nodes.end(),
                            [&](const api::Node& node) { return node.name() == name; });
  return found == nodes.end() ? nullptr : &*found;
}

}  // namespace

Outcome<> NodeLoss::step(TimePoint now, bool looks_on) {
  OUTCOME_ASSIGN(auto kube_nodes, kube_.nodes());
  OUTCOME_ASSIGN(auto nodes, cleatd_.nodes());
  Outcome<> result;
  for (const KubeNode& node : kube_nodes) {
    if (node.cleat_node.empty()) continue;
    auto done = act(node, nodes, now, looks_on);
    if (done) continue;
    LOG_WARN("lost node {}: {}", node.name, done.error().message);
    result = done;
  }
  return result;
}

Outcome<> NodeLoss::act(const KubeNode& node, const std::vector<api::Node>& nodes, TimePoint now,
                        bool looks_on) {
  const api::Node* here = find_node(nodes, node.cleat_node);
  const bool online = here != nullptr && is_online(*here);
  const bool well = node.ready && online && here->attached_count() == 0;
  auto [found, first] = seen_.try_emplace(node.name, Seen{now, now});
  Seen& seen = found->second;
  if (online) seen.online = now;
  if (!well) seen.unwell = now;
  const bool lost = !node.ready && now - seen.online >= options_.lost_after;
  if (!lost) seen.held_by.clear();
  if (looks_on) return {};
  if (!node.ready && node.tainted) return kube_.remove_ending_pods(node.name);
  if (lost && node.has_attachments) return put_out_of_service(node, nodes, seen);
  if (node.tainted && node.ready && online && here->attached_count() != 0) {
    return let_go_given_up(node.cleat_node);
  }
  if (node.tainted && well && now - seen.unwell >= options_.well_after) {
    LOG_INFO("node {} is back and clean: it is in service again", node.name);
    return kube_.set_taint(node.name, false);
  }
  return {};
}

Outcome<> NodeLoss::put_out_of_service(const KubeNode& node, const std::vector<api::Node>& nodes,
                                       Seen& seen) {
  const bool held = !node.other_attachers.empty() && !options_.taint_with_others;
  if (held && seen.held_by == node.other_attachers) return {};  // fenced, and said
  OUTCOME_TRY(fence(node.cleat_node, nodes));
  if (held) {
    seen.held_by = node.other_attachers;
    LOG_WARN(
        "node {} is lost and its Cleat volumes are fenced, but it isn't tainted: volumes of {} are "
        "attached there, which Cleat can't fence; start cleat-csi with --taint-with-others, or "
        "taint it by hand once nothing runs there any more",
        node.name, fmt::join(node.other_attachers, ", "));
    return {};
  }
  LOG_WARN("node {} is lost and its volumes are fenced: it is put out of service", node.name);
  return kube_.set_taint(node.name, true);
}

Outcome<> NodeLoss::fence(const std::string& node, const std::vector<api::Node>& nodes) {
  const auto picks = [&](const api::Volume& volume) {
    return attachment_on(volume, node) != nullptr || is_being_taken(volume, node);
  };
  return in_turn("fenced from " + node, picks, [&](const api::Volume& volume) -> Outcome<> {
    const api::Attachment* here = attachment_on(volume, node);
    if (here != nullptr && here->node_online()) {
      return failure(Code::kConflict, "node {} is back: nothing is fenced", node);
    }
    if (can_be_taken(volume, node)) return fence_from(cleatd_, volume, node, nodes);
    LOG_WARN("volume {}: nobody can open it without {}: there is no one to fence it from",
             volume.name(), node);
    return {};
  });
}

// Nobody could take them from the node while it was away, and Kubernetes has nothing left to say of
// them: nothing else would let them go, and the node back in service.
Outcome<> NodeLoss::let_go_given_up(const std::string& node) {
  const auto picks = [&](const api::Volume& volume) {
    return is_given_up(volume, node) && attachment_on(volume, node)->node_online();
  };
  return in_turn("let go by " + node, picks, [&](const api::Volume& volume) -> Outcome<> {
    OUTCOME_TRY(detach_by_force(cleatd_, volume, node));
    return forget_given_up(cleatd_, volume, {node});
  });
}

// The list is old by the time that it is a volume's turn, as those before it can take minutes: it
// is read and picked again.
Outcome<> NodeLoss::in_turn(const std::string& purpose, const Picks& picks, const Work& work) {
  OUTCOME_ASSIGN(auto volumes, cleatd_.volumes());
  Outcome<> result;
  for (const api::Volume& seen : volumes) {
    if (!picks(seen)) continue;
    auto taken = take_turn(cleatd_, in_flight_, seen);
    if (!taken && taken.error().code == Code::kNotFound) continue;
    Outcome<> done;
    if (!taken) done = tl::unexpected(taken.error());
    if (taken && picks(taken->volume)) done = work(taken->volume);
    if (done) continue;
    LOG_WARN("volume {} is not {}: {}", seen.name(), purpose, done.error().message);
    if (result) result = done;
  }
  return result;
}

}  // namespace cleat::csi
