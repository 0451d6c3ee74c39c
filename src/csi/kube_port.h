// Ports: what the node-loss controller asks of Kubernetes. kube_api.h has them over HTTPS.
//
// Threading: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/failure.h"

namespace cleat::csi {

struct KubeNode {
  std::string name;
  std::string cleat_node;        // the name that cleat-csi gave there; empty: none runs there
  bool ready = false;            // the kubelet says so, and lately
  bool tainted = false;          // out of service, by us
  bool has_attachments = false;  // volumes of ours are to be attached there
  std::vector<std::string> other_attachers = {};  // whose volumes are attached there too; sorted
};

class KubePort {
 public:
  virtual ~KubePort() = default;
  virtual Outcome<std::vector<KubeNode>> nodes() = 0;
  // The taint node.kubernetes.io/out-of-service with our value. One that somebody else put there is
  // left alone. kConflict: the node was changed meanwhile.
  virtual Outcome<> set_taint(const std::string& node, bool on) = 0;
  // Takes away, without a word of the node, its pods that Kubernetes is ending already.
  virtual Outcome<> remove_ending_pods(const std::string& node) = 0;
};

// Who holds a Lease (coordination.k8s.io/v1).
struct LeaseRecord {
  std::string holder;  // empty: nobody
  uint32_t duration_s = 0;
  std::string acquired;  // by the holder's clock: for people, and for a change to be seen
  std::string renewed;
  uint32_t transitions = 0;
  bool operator==(const LeaseRecord&) const = default;
};

struct KubeLease {
  LeaseRecord record;
  std::string text;  // all that Kubernetes says of it, its version too
};

class LeasePort {
 public:
  virtual ~LeasePort() = default;
  // kNotFound: there is none.
  virtual Outcome<KubeLease> read_lease(const std::string& name) = 0;
  // kConflict: there is one by now.
  virtual Outcome<> create_lease(const std::string& name, const LeaseRecord& record) = 0;
  // Nothing but the record is changed. kConflict: it is no longer as it was read.
  virtual Outcome<> update_lease(const std::string& name, const KubeLease& read,
                                 const LeaseRecord& record) = 0;
};

}  // namespace cleat::csi
