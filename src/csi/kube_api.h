// The ports of kube_port.h over the API server's HTTPS, as a pod's service account. It may: list
// nodes, csinodes, volumeattachments and pods, patch nodes, and delete pods; in the namespace of
// the pod get, create and update leases.
//
// Threading: one thread. What the libraries throw is caught here.
#pragma once

#include <string>

#include "common/time.h"
#include "csi/kube_port.h"

namespace cleat::csi {

struct KubeApiOptions {
  std::string url;         // https://10.96.0.1:443; http:// is for tests
  std::string ca_file;     // of the API server's certificate
  std::string token_file;  // read for each call: it is renewed now and then
  Duration timeout = 10s;
  std::string namespace_file = {};  // for leases alone: names the namespace of the pod
};

class KubeApi final : public KubePort, public LeasePort {
 public:
  explicit KubeApi(KubeApiOptions options) : options_(std::move(options)) {}

  Outcome<std::vector<KubeNode>> nodes() override;
  Outcome<> set_taint(const std::string& node, bool on) override;
  Outcome<> remove_ending_pods(const std::string& node) override;
  Outcome<KubeLease> read_lease(const std::string& name) override;
  Outcome<> create_lease(const std::string& name, const LeaseRecord& record) override;
  Outcome<> update_lease(const std::string& name, const KubeLease& read,
                         const LeaseRecord& record) override;

 private:
  Outcome<std::string> leases_path() const;
  Outcome<std::string> exchange(const std::string& method, const std::string& path,
                                const std::string& body);
  const KubeApiOptions options_;
};

// From the texts of three lists. kCorrupt: not what Kubernetes answers.
Outcome<std::vector<KubeNode>> read_kube_nodes(const std::string& nodes,
                                               const std::string& csi_nodes,
                                               const std::string& attachments);
// The JSON patch that puts our taint on the node of this text, or takes it off; empty when there is
// nothing to change. It only applies to the very version of the node that was read.
Outcome<std::string> taint_patch(const std::string& node, bool on);

struct EndingPod {
  std::string path;  // of the API
  std::string uid;
};
// Of a list of pods: those that are marked as deleted. kCorrupt as above.
Outcome<std::vector<EndingPod>> read_ending_pods(const std::string& pods);

// What is missing of a record, or is nonsense, is left empty. kCorrupt: it is no Lease.
Outcome<KubeLease> read_kube_lease(const std::string& lease);
// The Lease of this text with another record, and all else as it was.
Outcome<std::string> lease_text(const std::string& lease, const LeaseRecord& record);

}  // namespace cleat::csi
