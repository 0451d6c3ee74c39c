// MetaStore on etcd v3 over gRPC (api/etcd.proto). Several endpoints of one cluster, with failover.
//
// Threading: as MetaStore. One thread keeps the leases alive, and each watch has one.
#pragma once

#include <memory>

#include "control/etcd_client.h"
#include "control/meta_store.h"

namespace cleat::control {

class EtcdLeases;

class EtcdMetaStore final : public MetaStore {
 public:
  // kInvalidArgument for malformed endpoints. Does not connect: identity() tells whether it can.
  static Outcome<std::unique_ptr<EtcdMetaStore>> create(EtcdOptions options);
  ~EtcdMetaStore() override;

  Outcome<std::optional<Versioned<std::string>>> get(const std::string& key) override;
  Outcome<Listing> list(const std::string& prefix) override;
  Outcome<Revision> commit(const Txn& txn) override;
  std::unique_ptr<Watch> watch(const std::string& prefix, Revision after,
                               WatchCallback callback) override;
  Outcome<std::unique_ptr<Lease>> grant_lease(Duration ttl) override;
  Outcome<StoreIdentity> identity() override;

 private:
  explicit EtcdMetaStore(std::unique_ptr<EtcdClient> client);
  // After several tries a lost compare may be our own earlier try that did reach etcd.
  Outcome<std::optional<Revision>> landed_before(const Txn& txn);

  std::unique_ptr<EtcdClient> client_;
  std::shared_ptr<EtcdLeases> leases_;
};

}  // namespace cleat::control
