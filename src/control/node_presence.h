// This node in the metadata: joins the cluster (R11), registers, keeps its lease, its pools and its
// replicas' specs current, serves again what was exported by NBD here, and removes replicas that
// the metadata says are no longer wanted.
//
// A replica here is only removed when a tombstone names its volume, or when the volume's record
// exists, is not older than the replica (R11) and does not list it, in two passes one after the
// other. A volume that etcd doesn't know at all is left alone.
//
// Threading: one thread of its own; problem() by any.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "api/meta.pb.h"
#include "control/alert_book.h"
#include "control/node_identity.h"

namespace cleat::control {

struct PresenceOptions {
  std::string name;
  std::string address;
  std::string rack;
  std::string zone;
  std::string data_dir;
  std::string kernel;
  uint32_t control_port = 9471;
  Duration period = 2s;
  int housekeeping_every = 5;  // periods
};

class NodePresence {
 public:
  NodePresence(const ControlContext& context, AlertBook& alerts, NodePorts ports,
               NodeIdentity identity, PresenceOptions options)
      : context_(context),
        alerts_(alerts),
        ports_(ports),
        identity_(std::move(identity)),
        options_(std::move(options)),
        started_unix_ms_(context.now_unix_ms()) {}
  ~NodePresence() { stop(); }

  void start();
  void stop();

  // One period. An error is also kept for problem().
  Outcome<> run_once();
  bool joined() const;
  // Why this node is not part of the cluster now, in words; empty when it is.
  std::string problem() const;
  // After join_cluster() refused: a person's word to go on with what the node knows.
  Outcome<> adopt();

 private:
  Outcome<> join();
  Outcome<> register_node();
  Outcome<> keep_lease();
  Outcome<> note_restart();
  Outcome<> publish_pools();
  bool resume_exports();
  Outcome<> keep_house();
  struct Wanted {  // by volume
    std::map<uint64_t, std::string> tombstones;
    std::map<uint64_t, std::string> specs;
    std::map<uint64_t, std::string> records;
  };
  Outcome<> list_values(const std::string& prefix, std::map<uint64_t, std::string>& out);
  Outcome<> look_after(const LocalReplica& replica, const Wanted& wanted);
  Outcome<> forget_disowned(VolumeId volume, PoolId pool);
  bool is_listed(const LocalReplica& replica, const core::VolumeRecord& record,
                 const meta::VolumeSpec& spec) const;

  const ControlContext& context_;
  AlertBook& alerts_;
  NodePorts ports_;
  NodeIdentity identity_;
  PresenceOptions options_;
  const uint64_t started_unix_ms_;
  std::unique_ptr<Lease> lease_;
  std::set<VolumeId> unwanted_;  // in the last pass
  int periods_ = 0;
  bool exports_resumed_ = false;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool joined_ = false;
  bool stopping_ = false;
  std::string problem_;
  std::thread thread_;
};

}  // namespace cleat::control
