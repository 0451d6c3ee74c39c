// Which of several controllers watches for lost nodes: the one that holds a Lease of Kubernetes, by
// the rules of client-go (k8s.io/client-go/tools/leaderelection). The others look on, so that they
// know all that the holder knows when they take over.
//
// Safety never depends on it: each step of the node-loss controller can be repeated and is
// conditional, so that two at once do no harm but work done twice (a holder may be at the end of a
// step when its lease is lost). It is therefore given up rather than node loss left unseen: where
// the Lease can't be used (a role that lacks leases, an API that refuses or fails), the controller
// goes on without it; a holder whose work fails or hangs lets another try.
//
// A lease has run out when its record was not seen to change for its duration by our own clock. The
// times in the record are another machine's and are never compared.
//
// Threading: one thread calls step(), pause() and release(); held() and worked() any. Ownership:
// borrows the port. No state that matters: after a restart everything is seen again.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "common/time.h"
#include "csi/kube_port.h"

namespace cleat::csi {

// A holder whose node is lost renewed its lease at the latest just before. The other sees that
// within `retry` (1 s), and takes the lease `duration` (4 s) later, since pause() ends with it: 5 s
// after the loss, and a call to the API. For Cleat the node is lost when its lease in etcd ran out
// (6 s, of which a renewal every 2 s leaves 4 or more) and `node_loss_after` (5 s in our manifests)
// is over, for Kubernetes after 16 s (lab) to 50 s (as shipped). Those times run meanwhile, as who
// doesn't hold the lease looks on: the takeover adds nothing to the 45 s within which a pod of a
// lost node is to be Ready elsewhere.
struct LeaseOptions {
  std::string name;      // empty: there is none, and everybody holds it
  std::string identity;  // of this process alone
  Duration duration = 4s;
  Duration renew_within = 3s;  // or it is no longer ours; a second before another may take it
  Duration retry = 1s;
  Duration without_after = 10s;  // the API failed for this long: on without it
  Duration failing_max = 10s;    // since the holder's work last succeeded, when it fails
  Duration silent_max = 30s;     // and when nothing is heard of it: it may be long, or hang
};

class Lease {
 public:
  using Clock = std::function<TimePoint()>;
  Lease(LeasePort& kube, LeaseOptions options, Clock clock);

  // Looks once, and takes, renews or lets go what is due. What fails is tried again by the next
  // step; what lasts is logged, once.
  Outcome<> step();
  // Until the next step.
  Duration pause() const;
  // The orderly end, after the work has ended: the others need not wait.
  void release();

  bool held() const;
  // How a step of the work went, with the lease or looking on.
  void worked(bool well);

 private:
  Outcome<> attempt();
  Outcome<> take(const KubeLease* before);
  Outcome<> let_go(const KubeLease& before);
  void note(const LeaseRecord& record);
  bool is_free() const;
  bool is_able() const;
  void got_it(TimePoint sent);
  void lost_it(const std::string& why);

  LeasePort& kube_;
  const LeaseOptions options_;
  const Clock clock_;
  std::optional<LeaseRecord> seen_;
  TimePoint seen_at_{};  // when it was first seen so
  TimePoint known_;      // the last time that it was known whose it is
  TimePoint aside_until_{};

  mutable std::mutex mutex_;  // for what follows
  bool ours_ = false;
  bool without_ = false;
  bool failing_ = false;
  TimePoint renewed_{};  // when the request was sent that last renewed it
  TimePoint worked_;     // the last time that the work went well
};

// As the API wants it: 2026-01-31T12:00:00.000001Z.
std::string micro_time(std::chrono::system_clock::time_point time);

}  // namespace cleat::csi
