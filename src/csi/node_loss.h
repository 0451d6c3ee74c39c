// The node-loss controller: when a node is lost to Kubernetes (not ready) and to Cleat (its lease
// ran out), its volumes are fenced, and only then the node gets the taint
// node.kubernetes.io/out-of-service, upon which Kubernetes starts its pods elsewhere at once, in
// place of after six minutes.
//
// Fenced: each volume is taken over by another node, which raises its epoch at every replica it can
// reach (R3, R4), and let go again. One that nobody else can open is left as it is: whoever opens
// it later fences it by that. What the lost node still writes is refused from then on, so
// that a pod of it that goes on unseen can change nothing. A node that is cut off from one of the
// two alone is left alone: its attached volumes go on.
// The pods that Kubernetes then ends on the lost node wait for a word of that node, or for a look
// that Kubernetes takes every 20 s: they are taken away at once.
// Upon the taint Kubernetes detaches the volumes of all drivers by force, and nobody has fenced
// those of the others: a node that has some attached is fenced but not tainted, unless the options
// allow it.
// Off again: the node is ready and online, no volume is attached there, and that for a while. What
// Kubernetes gave up there while it was away is detached from it, by force, once it is back.
// Each step can be repeated and is conditional: several controllers at once are safe, the lease
// (lease.h) only saves them the same work. Who doesn't hold it looks on, and knows how long a node
// has been lost when it gets it.
//
// Each volume has its turn as in the calls of Kubernetes (in_flight.h): one that such a call works
// on is not fenced yet, and the next step tries again.
//
// Threading: one thread calls step(). Ownership: borrows all three. No state that matters: after a
// restart everything is seen again.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/time.h"
#include "csi/cleatd.h"
#include "csi/in_flight.h"
#include "csi/kube_port.h"

namespace cleat::csi {

struct NodeLossOptions {
  Duration lost_after = 10s;  // for this long Cleat has missed it; Kubernetes waits by itself
  Duration well_after = 30s;
  bool taint_with_others = false;  // though volumes of other drivers are attached there
};

class NodeLoss {
 public:
  NodeLoss(const Cleatd& cleatd, InFlight& in_flight, KubePort& kube, NodeLossOptions options)
      : cleatd_(cleatd), in_flight_(in_flight), kube_(kube), options_(options) {}

  // Looks once, and does what is due, unless it only looks on. What fails is tried again by the
  // next step.
  Outcome<> step(TimePoint now, bool looks_on = false);

 private:
  struct Seen {
    TimePoint online;  // to Cleat, the last time that it was
    TimePoint unwell;
    std::vector<std::string> held_by = {};  // attachers for which it is fenced and not tainted
  };
  Outcome<> act(const KubeNode& node, const std::vector<api::Node>& nodes, TimePoint now,
                bool looks_on);
  Outcome<> put_out_of_service(const KubeNode& node, const std::vector<api::Node>& nodes,
                               Seen& seen);
  Outcome<> fence(const std::string& node, const std::vector<api::Node>& nodes);
  Outcome<> let_go_given_up(const std::string& node);
  // Each volume that is picked; the first failure, should any fail.
  using Picks = std::function<bool(const api::Volume&)>;
  using Work = std::function<Outcome<>(const api::Volume&)>;
  Outcome<> in_turn(const std::string& purpose, const Picks& picks, const Work& work);

  const Cleatd& cleatd_;
  InFlight& in_flight_;
  KubePort& kube_;
  const NodeLossOptions options_;
  std::map<std::string, Seen> seen_;  // by Kubernetes' name
};

}  // namespace cleat::csi
