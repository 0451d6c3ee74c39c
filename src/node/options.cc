#include "node/options.h"

#include "common/units.h"

namespace cleat::node {
namespace {

Option port(std::string name, std::string help) {
  return {.name = std::move(name), .help = std::move(help), .min = 1, .max = 65535};
}

void declare_ports(OptionSet& set, NodeOptions& options) {
  set.add(&options.wire_port, port("wire_port", "TCP port of the data path between nodes"));
  set.add(&options.control_port, port("control_port", "TCP port of the control API (gRPC)"));
  set.add(&options.http_port, port("http_port", "TCP port of metrics and JSON"));
  set.add(&options.nbd_port, port("nbd_port", "TCP port of the NBD server"));
  set.add(&options.etcd_client_port, port("etcd_client_port", "client port of the embedded etcd"));
  set.add(&options.etcd_peer_port, port("etcd_peer_port", "peer port of the embedded etcd"));
}

}  // namespace

void declare(OptionSet& set, NodeOptions& options) {
  set.add(&options.cluster, {.name = "cluster", .help = "name of the cluster", .required = true});
  set.add(&options.node, {.name = "node",
                          .help = "name of this node; its host name when none is given",
                          .required = true});
  set.add(&options.address, {.name = "address",
                             .help = "IP address by which other nodes reach this one",
                             .required = true});
  set.add(&options.data_dir, {.name = "data_dir", .help = "what this node must not lose"});
  set.add(&options.run_dir, {.name = "run_dir", .help = "sockets and scratch memory; on tmpfs"});
  set.add(&options.dev_dir, {.name = "dev_dir", .help = "where volumes appear as devices"});
  set.add(&options.etcd,
          {.name = "etcd", .help = "\"embedded\", or endpoints of an etcd, separated by commas"});
  set.add(&options.peers,
          {.name = "peers", .help = "name=address of the first nodes, the same list on each"});
  set.add(&options.secret_file,
          {.name = "secret_file", .help = "file with the cluster's secret, 16 bytes or more"});
  set.add(&options.rack, {.name = "rack", .help = "rack of this node, for placement"});
  set.add(&options.zone, {.name = "zone", .help = "zone of this node, for placement"});
  set.add(&options.log_level, {.name = "log_level",
                               .help = "least level that is logged",
                               .one_of = {"debug", "info", "warn", "error"},
                               .reloadable = true});
  declare_ports(set, options);
  set.add(&options.io_wait_max,
          {.name = "io_wait_max",
           .help = "how long I/O waits for the last replica to come back before it fails",
           .min = Duration(1s).count(),
           .max = Duration(std::chrono::hours(24)).count()});
  set.add_size(&options.resync_rate_max, {.name = "resync_rate_max",
                                          .help = "bytes a second of one resync; 0: no limit",
                                          .max = static_cast<int64_t>(kTiB)});
  set.add(&options.rebuild_delay,
          {.name = "rebuild_delay",
           .help = "how long a node may be away before its replicas are made anew elsewhere",
           .min = 0,
           .max = Duration(std::chrono::hours(24 * 30)).count()});
  set.add(
      &options.follow_delay,
      {.name = "follow_delay",
       .help = "how long a volume that follows (--follow) must stay attached before its data do",
       .min = 0,
       .max = Duration(std::chrono::hours(24 * 30)).count()});
}

std::string reference() {
  NodeOptions defaults;
  OptionSet set;
  declare(set, defaults);
  return "# Options of cleatd\n\n"
         "Made by `cleatd --reference`; a test keeps it current. A flag goes before the "
         "environment, "
         "that before the\nfile `cleatd.toml`. SIGHUP makes cleatd read the file again: options "
         "marked \"live\" change at once.\n" +
         set.reference();
}

}  // namespace cleat::node
