// What cleatd can be told: flags, environment, TOML (common/options.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/options.h"
#include "common/time.h"

namespace cleat::node {

struct NodeOptions {
  std::string cluster = "cleat";
  std::string node;
  std::string address;
  std::string data_dir = "/var/lib/cleat";
  std::string run_dir = "/run/cleat";
  std::string dev_dir = "/dev/cleat";
  std::string etcd = "embedded";
  std::vector<std::string> peers;  // "name=address"
  std::string secret_file = "/etc/cleat/secret";
  std::string rack;
  std::string zone;
  std::string log_level = "info";
  uint32_t wire_port = 9470;
  uint32_t control_port = 9471;
  uint32_t http_port = 9472;
  uint32_t nbd_port = 9473;
  uint32_t etcd_client_port = 9474;
  uint32_t etcd_peer_port = 9475;
  Duration io_wait_max = std::chrono::minutes(5);
  uint64_t resync_rate_max = 0;
  Duration rebuild_delay = std::chrono::minutes(10);
  Duration follow_delay = std::chrono::seconds(30);
};

void declare(OptionSet& set, NodeOptions& options);
// The text of docs/reference.md.
std::string reference();

}  // namespace cleat::node
