// Port: the cluster's metadata, a small part of what etcd offers. etcd_meta_store speaks to etcd,
// mem_meta_store is for tests and the simulator.
//
// Threading: any thread. Errors: kUnreachable (no endpoint answered; nothing is known about a
// commit that was under way), kTimedOut (etcd answers but has no quorum; the same holds),
// kUnsupported (not an etcd).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/strong.h"
#include "common/time.h"
#include "control/failure.h"

namespace cleat::control {

// A point in the history of the whole store. 0: the key does not exist.
using Revision = Strong<struct RevisionTag, int64_t>;
using LeaseId = Strong<struct LeaseIdTag, int64_t>;

template <class T>
struct Versioned {
  T value;
  Revision revision;  // of the newest change of this key
};

struct KeyValue {
  std::string key;
  std::string value;
  Revision revision;
};

struct Listing {
  std::vector<KeyValue> entries;  // sorted by key
  Revision revision;              // of the store at that moment: where a watch goes on
};

// All or nothing, if every compare holds.
struct Txn {
  struct Compare {
    std::string key;
    Revision revision;  // 0: must not exist
  };
  struct Put {
    std::string key;
    std::string value;
    LeaseId lease;  // 0: none
  };
  std::vector<Compare> compares;
  std::vector<Put> puts;
  std::vector<std::string> deletes;

  Txn& require(std::string key, Revision revision) {
    compares.push_back({std::move(key), revision});
    return *this;
  }
  Txn& require_absent(std::string key) { return require(std::move(key), Revision{}); }
  Txn& put(std::string key, std::string value, LeaseId lease = {}) {
    puts.push_back({std::move(key), std::move(value), lease});
    return *this;
  }
  Txn& erase(std::string key) {
    deletes.push_back(std::move(key));
    return *this;
  }
};

struct WatchEvent {
  std::string key;
  std::optional<std::string> value;  // none: deleted
  Revision revision;
};

class Watch {
 public:
  virtual ~Watch() = default;  // no callback runs after it returns
};

// Kept alive in the background until destroyed, which revokes it.
class Lease {
 public:
  virtual ~Lease() = default;
  virtual LeaseId id() const = 0;
  // False once the store may have let it expire: what it guarded is no longer ours. It never comes
  // back.
  virtual bool alive() const = 0;
};

struct StoreIdentity {
  uint64_t cluster_id = 0;  // of etcd itself
  std::string version;
  Revision revision;
};

// An empty vector: events were lost (compacted, reconnected too late); list again.
using WatchCallback = std::function<void(const std::vector<WatchEvent>&)>;

class MetaStore {
 public:
  virtual ~MetaStore() = default;
  virtual Outcome<std::optional<Versioned<std::string>>> get(const std::string& key) = 0;
  virtual Outcome<Listing> list(const std::string& prefix) = 0;
  // The revision of the change. kConflict: a compare failed, nothing was changed.
  virtual Outcome<Revision> commit(const Txn& txn) = 0;
  // Changes of keys with this prefix after `after`, in order, on a thread of the store.
  virtual std::unique_ptr<Watch> watch(const std::string& prefix, Revision after,
                                       WatchCallback callback) = 0;
  virtual Outcome<std::unique_ptr<Lease>> grant_lease(Duration ttl) = 0;
  // Who answers: also the way to ask whether the store can be reached.
  virtual Outcome<StoreIdentity> identity() = 0;
};

}  // namespace cleat::control
