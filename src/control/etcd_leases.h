// Keeps the leases of one EtcdMetaStore alive, on one thread.
//
// A lease counts as alive for its TTL after the last confirmed keep-alive was sent: so never longer
// here than in etcd, whatever the answer's way took.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "control/etcd_client.h"
#include "control/meta_store.h"

namespace cleat::control {

class EtcdLeases {
 public:
  explicit EtcdLeases(EtcdClient& client);
  ~EtcdLeases();
  // No keep-alive after it returns; the leases run out by themselves.
  void stop();

  static Outcome<std::unique_ptr<Lease>> grant(const std::shared_ptr<EtcdLeases>& self,
                                               Duration ttl);
  bool alive(LeaseId id);
  void revoke(LeaseId id);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct State {
    Duration ttl{};
    SteadyTime confirmed;
    bool lost = false;
  };
  void run();
  void keep_alive();
  bool exchange(const std::vector<int64_t>& ids);

  EtcdClient& client_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<int64_t, State> leases_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cleat::control
