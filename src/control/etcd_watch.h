// One watch of a prefix, on a thread of its own. Goes on at another endpoint after a failure, from
// the revision after the last event it gave.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "control/etcd_client.h"
#include "control/meta_store.h"

namespace cleat::control {

// The key after all keys with this prefix: what etcd wants as the end of a range.
std::string prefix_end(std::string prefix);

class EtcdWatch final : public Watch {
 public:
  EtcdWatch(EtcdClient& client, std::string prefix, Revision after, WatchCallback callback);
  ~EtcdWatch() override;

 private:
  void run();
  void stream_events();

  EtcdClient& client_;
  const std::string prefix_;
  const WatchCallback callback_;
  int64_t next_revision_;
  std::mutex mutex_;
  std::condition_variable wake_;
  grpc::ClientContext* context_ = nullptr;  // of the stream under way
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cleat::control
