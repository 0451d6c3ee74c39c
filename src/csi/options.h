// What cleat-csi can be told: flags, environment (CLEAT_CSI_...), see common/options.h.
#pragma once

#include <cstdint>
#include <string>

#include "common/options.h"
#include "common/time.h"

namespace cleat::csi {

struct CsiOptions {
  std::string endpoint = "unix:///csi/csi.sock";
  std::string mode = "all";
  std::string cleatd = "/run/cleat/cleatd.sock";
  std::string token_file;
  std::string node_name;
  uint32_t volumes_max = 256;
  Duration timeout = 60s;
  bool node_loss = true;
  Duration node_loss_after = 10s;
  bool taint_with_others = false;
  std::string node_loss_lease = "cleat-node-loss";
  std::string kube_api;
  std::string kube_ca_file = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
  std::string kube_token_file = "/var/run/secrets/kubernetes.io/serviceaccount/token";
  std::string kube_namespace_file = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
  std::string log_level = "info";

  bool serves_controller() const { return mode != "node"; }
  bool watches_nodes() const { return serves_controller() && node_loss && !kube_api.empty(); }
  bool serves_node() const { return mode != "controller"; }
};

void declare(OptionSet& set, CsiOptions& options);

}  // namespace cleat::csi
