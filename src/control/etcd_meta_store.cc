#include "control/etcd_meta_store.h"

#include "api/etcd.grpc.pb.h"
#include "control/etcd_leases.h"
#include "control/etcd_watch.h"

namespace cleat::control {
namespace {

namespace pb = etcdserverpb;

pb::TxnRequest to_proto(const Txn& txn) {
  pb::TxnRequest request;
  for (const auto& compare : txn.compares) {
    auto* out = request.add_compare();
    out->set_key(compare.key);
    out->set_target(pb::Compare::MOD);
    out->set_result(pb::Compare::EQUAL);
    out->set_mod_revision(compare.revision.value);
  }
  for (const auto& key : txn.deletes) {
    request.add_success()->mutable_request_delete_range()->set_key(key);
  }
  for (const auto& put : txn.puts) {
    auto* out = request.add_success()->mutable_request_put();
    out->set_key(put.key);
    out->set_value(put.value);
    out->set_lease(put.lease.value);
  }
  return request;
}

}  // namespace

Outcome<std::unique_ptr<EtcdMetaStore>> EtcdMetaStore::create(EtcdOptions options) {
  OUTCOME_ASSIGN(std::unique_ptr<EtcdClient> client, EtcdClient::create(std::move(options)));
  return std::unique_ptr<EtcdMetaStore>(new EtcdMetaStore(std::move(client)));
}

EtcdMetaStore::EtcdMetaStore(std::unique_ptr<EtcdClient> client)
    : client_(std::move(client)), leases_(std::make_shared<EtcdLeases>(*client_)) {}

EtcdMetaStore::~EtcdMetaStore() { leases_->stop(); }

Outcome<std::optional<Versioned<std::string>>> EtcdMetaStore::get(const std::string& key) {
  pb::RangeRequest request;
  request.set_key(key);
  pb::RangeResponse response;
  OUTCOME_TRY(client_->call("read", [&](const auto& channel, auto& context) {
    return pb::KV::NewStub(channel)->Range(&context, request, &response);
  }));
  if (response.kvs_size() == 0) return std::nullopt;
  auto& entry = *response.mutable_kvs(0);
  return Versioned<std::string>{std::move(*entry.mutable_value()), Revision{entry.mod_revision()}};
}

Outcome<Listing> EtcdMetaStore::list(const std::string& prefix) {
  pb::RangeRequest request;
  request.set_key(prefix);
  request.set_range_end(prefix_end(prefix));
  pb::RangeResponse response;
  OUTCOME_TRY(client_->call("list", [&](const auto& channel, auto& context) {
    return pb::KV::NewStub(channel)->Range(&context, request, &response);
  }));
  Listing out;
  out.revision = Revision{response.header().revision()};
  out.entries.reserve(static_cast<size_t>(response.kvs_size()));
  for (auto& entry : *response.mutable_kvs()) {
    out.entries.push_back({std::move(*entry.mutable_key()), std::move(*entry.mutable_value()),
                           Revision{entry.mod_revision()}});
  }
  return out;
}

Outcome<Revision> EtcdMetaStore::commit(const Txn& txn) {
  pb::TxnRequest request = to_proto(txn);
  pb::TxnResponse response;
  int attempts = 0;
  OUTCOME_TRY(client_->call(
      "change",
      [&](const auto& channel, auto& context) {
        return pb::KV::NewStub(channel)->Txn(&context, request, &response);
      },
      &attempts));
  if (response.succeeded()) return Revision{response.header().revision()};
  if (attempts > 1) {
    OUTCOME_ASSIGN(std::optional<Revision> revision, landed_before(txn));
    if (revision) return *revision;
  }
  return failure(Code::kConflict, "{} was changed by somebody else",
                 txn.compares.empty() ? "the key" : txn.compares.front().key);
}

Outcome<std::optional<Revision>> EtcdMetaStore::landed_before(const Txn& txn) {
  Revision at;
  for (const auto& put : txn.puts) {
    OUTCOME_ASSIGN(auto now, get(put.key));
    if (!now || now->value != put.value) return std::nullopt;
    if (at != Revision{} && at != now->revision) return std::nullopt;
    at = now->revision;
  }
  for (const auto& key : txn.deletes) {
    OUTCOME_ASSIGN(auto now, get(key));
    if (now) return std::nullopt;
  }
  if (at == Revision{}) return std::nullopt;  // only deletes: nothing tells whose they were
  return at;
}

std::unique_ptr<Watch> EtcdMetaStore::watch(const std::string& prefix, Revision after,
                                            WatchCallback callback) {
  return std::make_unique<EtcdWatch>(*client_, prefix, after, std::move(callback));
}

Outcome<std::unique_ptr<Lease>> EtcdMetaStore::grant_lease(Duration ttl) {
  return EtcdLeases::grant(leases_, ttl);
}

Outcome<StoreIdentity> EtcdMetaStore::identity() {
  pb::StatusRequest request;
  pb::StatusResponse response;
  OUTCOME_TRY(client_->call("ask for the status", [&](const auto& channel, auto& context) {
    return pb::Maintenance::NewStub(channel)->Status(&context, request, &response);
  }));
  // The status is a member's own word; a read that needs the quorum tells whether the cluster
  // works.
  pb::RangeRequest probe;
  probe.set_key("cleat-probe");
  pb::RangeResponse answer;
  OUTCOME_TRY(client_->call("read", [&](const auto& channel, auto& context) {
    return pb::KV::NewStub(channel)->Range(&context, probe, &answer);
  }));
  return StoreIdentity{answer.header().cluster_id(), response.version(),
                       Revision{answer.header().revision()}};
}

}  // namespace cleat::control
