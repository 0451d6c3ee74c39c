// A MetaStore in memory, for tests and the simulator: deterministic, time only moves by advance().
// Several "nodes" share one by holding the same object. Watch callbacks run inside commit().
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "control/meta_store.h"

namespace cleat::control {

class MemMetaStore final : public MetaStore {
 public:
  Outcome<std::optional<Versioned<std::string>>> get(const std::string& key) override;
  Outcome<Listing> list(const std::string& prefix) override;
  Outcome<Revision> commit(const Txn& txn) override;
  std::unique_ptr<Watch> watch(const std::string& prefix, Revision after,
                               WatchCallback callback) override;
  Outcome<std::unique_ptr<Lease>> grant_lease(Duration ttl) override;
  Outcome<StoreIdentity> identity() override;

  // While set, every call fails with kUnreachable and leases aren't kept alive.
  void set_unreachable(bool unreachable);
  // The next commit happens, but its answer is lost: kUnreachable.
  void lose_next_answer();
  // Leases that nobody keeps alive (their Lease object was abandoned) expire when their time has
  // passed.
  void advance(Duration by);
  // The holder of this lease stops keeping it alive, as when its process dies.
  void abandon(LeaseId lease);
  // A copy of all keys, and putting it back: an etcd restored from a backup.
  std::map<std::string, std::string> dump();
  void restore(const std::map<std::string, std::string>& contents);
  uint64_t operations() const;

 private:
  struct Entry {
    std::string value;
    Revision revision;
    LeaseId lease;
  };
  struct LeaseState {
    Duration ttl{};
    Duration expires{};
    bool abandoned = false;
  };
  class MemWatch;
  class MemLease;
  struct Watcher {
    std::string prefix;
    WatchCallback callback;
  };

  bool reachable();
  void expire_locked(std::vector<WatchEvent>& events);
  void erase_locked(const std::string& key, std::vector<WatchEvent>& events);
  void notify(const std::vector<WatchEvent>& events);
  void end_lease(LeaseId lease);
  bool lease_alive(LeaseId lease);
  void end_watch(uint64_t id);

  std::recursive_mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::map<int64_t, LeaseState> leases_;
  std::map<uint64_t, Watcher> watchers_;
  std::vector<WatchEvent> history_;
  Duration now_{};
  int64_t revision_ = 1;
  int64_t next_lease_ = 1;
  uint64_t next_watch_ = 1;
  std::atomic<uint64_t> operations_{0};
  bool unreachable_ = false;
  bool lose_answer_ = false;
};

}  // namespace cleat::control
