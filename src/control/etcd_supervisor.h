// The embedded etcd: a supervised member from the system's `etcd` binary.
//
// Which nodes: the first one of `peers`, or the first three when there are at least three. Other
// nodes only use the members' endpoints. The first one begins the cluster, the others add
// themselves when they first start (in any order; until the first has started once they wait). So
// one member grows to three.
// Life: the member outlives us when we are killed and is found again (etcd_process.h); stop() ends
// it. It is restarted after it ends, with a backoff.
//
// Threading: start() and stop() by one thread, the rest by any. One thread of its own.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/time.h"
#include "control/etcd_process.h"
#include "control/failure.h"

namespace cleat::control {

struct EtcdPeer {
  std::string name;
  std::string address;
};

struct EtcdSupervisorOptions {
  std::string cluster = "cleat";
  std::string node;     // name of this node
  std::string address;  // of this node
  std::vector<EtcdPeer>
      peers;             // the same list, in the same order, on every node; empty: this node alone
  std::string data_dir;  // the member's data go to data_dir/etcd, its log to data_dir/etcd.log
  uint16_t client_port = 9474;
  uint16_t peer_port = 9475;
  std::string binary = "etcd";
  Duration backoff_min = 500ms;
  Duration backoff_max = 4s;
};

class EtcdSupervisor {
 public:
  // kInvalidArgument: this node is listed with another address, or twice; kNotFound: the binary is
  // missing on a node that must run a member.
  static Outcome<std::unique_ptr<EtcdSupervisor>> create(EtcdSupervisorOptions options);
  ~EtcdSupervisor();

  void start();
  void stop();

  // Of all members: what EtcdOptions wants.
  const std::vector<std::string>& endpoints() const { return endpoints_; }
  bool runs_member() const { return self_ >= 0; }
  // What keeps the member from running, in words; empty when it runs or there is none here.
  std::string problem() const;
  pid_t pid() const;
  const std::vector<EtcdPeer>& members() const { return members_; }

 private:
  explicit EtcdSupervisor(EtcdSupervisorOptions options);
  void run();
  Outcome<std::vector<std::string>> command_line();
  Outcome<std::string> initial_cluster(bool& existing);
  std::string etcd_dir() const { return options_.data_dir + "/etcd"; }
  std::string log_file() const { return options_.data_dir + "/etcd.log"; }
  bool has_data() const;
  std::string peer_url(const EtcdPeer& peer) const;
  std::string client_url(const EtcdPeer& peer) const;
  bool run_once();
  Outcome<EtcdProcess> find_or_start();
  std::string last_log_error() const;
  bool pause(Duration time);
  void set_problem(std::string problem);

  EtcdSupervisorOptions options_;
  std::vector<EtcdPeer> members_;
  std::vector<std::string> endpoints_;
  int self_ = -1;  // index in members_

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  pid_t pid_ = 0;
  std::string problem_;
  std::thread thread_;
};

// "a=10.0.0.1,b=10.0.0.2". kInvalidArgument.
Outcome<std::vector<EtcdPeer>> parse_peers(std::string_view text);

}  // namespace cleat::control
