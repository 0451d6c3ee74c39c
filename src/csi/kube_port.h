// Port: what the node-loss controller asks of Kubernetes. kube_api.h has it over HTTPS.
//
// Threading: one thread.
#pragma once

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

}  // namespace cleat::csi
