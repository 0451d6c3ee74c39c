#include "csi/options.h"

namespace cleat::csi {

namespace {

void declare_node_loss(OptionSet& set, CsiOptions& options) {
  set.add(
      &options.node_loss,
      {.name = "node_loss",
       .help = "controller: fences the volumes of a node that is lost to Kubernetes and to "
               "Cleat, and then puts the node out of service, so that its pods start elsewhere"});
  set.add(&options.node_loss_after,
          {.name = "node_loss_after",
           .help = "how long Cleat must have missed a node that Kubernetes has "
                   "given up as well",
           .min = Duration(1s).count(),
           .max = Duration(std::chrono::hours(1)).count()});
  set.add(
      &options.taint_with_others,
      {.name = "taint_with_others",
       .help = "puts a lost node out of service though volumes of other drivers are attached "
               "there too: Kubernetes then detaches those by force, and nobody has fenced them"});
  set.add(&options.node_loss_lease,
          {.name = "node_loss_lease",
           .help = "Lease of Kubernetes, in the namespace of the pod, by which one of several "
                   "controllers watches for lost nodes; empty: each of them does"});
  set.add(&options.kube_api,
          {.name = "kube_api",
           .help = "URL of the Kubernetes API; inside a pod it is found; without "
                   "one there is no node_loss"});
  set.add(&options.kube_ca_file,
          {.name = "kube_ca_file", .help = "certificate authority of the Kubernetes API"});
  set.add(&options.kube_token_file,
          {.name = "kube_token_file", .help = "token of the service account"});
  set.add(&options.kube_namespace_file,
          {.name = "kube_namespace_file", .help = "file that names the namespace of the pod"});
}

}  // namespace

void declare(OptionSet& set, CsiOptions& options) {
  set.add(&options.endpoint,
          {.name = "endpoint", .help = "unix socket to serve CSI on", .required = true});
  set.add(&options.mode, {.name = "mode",
                          .help = "controller: beside the sidecars, once a cluster; node: on each "
                                  "node; all: both",
                          .one_of = {"controller", "node", "all"}});
  set.add(&options.cleatd,
          {.name = "cleatd",
           .help = "control API of a cleatd: the path of its unix socket, or HOST:PORT",
           .required = true});
  set.add(&options.token_file,
          {.name = "token_file", .help = "file with the cluster's token, for HOST:PORT"});
  set.add(&options.node_name,
          {.name = "node_name",
           .help = "name of this node in Cleat; its host name when none is given"});
  set.add(&options.volumes_max, {.name = "volumes_max",
                                 .help = "volumes attached to one node at a time; 0: no limit",
                                 .max = 10'000});
  set.add(&options.timeout, {.name = "timeout",
                             .help = "how long a call to cleatd may take",
                             .min = Duration(1s).count(),
                             .max = Duration(std::chrono::hours(1)).count()});
  declare_node_loss(set, options);
  set.add(&options.log_level, {.name = "log_level",
                               .help = "least level that is logged",
                               .one_of = {"debug", "info", "warn", "error"}});
}

}  // namespace cleat::csi
