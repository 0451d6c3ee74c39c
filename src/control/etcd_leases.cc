#include "control/etcd_leases.h"

#include <algorithm>

#include "api/etcd.grpc.pb.h"
#include "control/grpc_channel.h"

namespace cleat::control {
namespace {

namespace pb = etcdserverpb;
using SteadyClock = std::chrono::steady_clock;
constexpr Duration kPeriodMax = 2s;
constexpr Duration kConnectTime = 1s;

class EtcdLease final : public Lease {
 public:
  EtcdLease(std::shared_ptr<EtcdLeases> leases, LeaseId id) : leases_(std::move(leases)), id_(id) {}
  ~EtcdLease() override { leases_->revoke(id_); }
  LeaseId id() const override { return id_; }
  bool alive() const override { return leases_->alive(id_); }

 private:
  std::shared_ptr<EtcdLeases> leases_;
  LeaseId id_;
};

}  // namespace

EtcdLeases::EtcdLeases(EtcdClient& client) : client_(client), thread_([this] { run(); }) {}

EtcdLeases::~EtcdLeases() { stop(); }

void EtcdLeases::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Outcome<std::unique_ptr<Lease>> EtcdLeases::grant(const std::shared_ptr<EtcdLeases>& self,
                                                  Duration ttl) {
  pb::LeaseGrantRequest request;
  request.set_ttl(std::max<int64_t>(1, std::chrono::ceil<std::chrono::seconds>(ttl).count()));
  pb::LeaseGrantResponse response;
  SteadyTime sent;
  OUTCOME_TRY(self->client_.call("grant a lease", [&](const auto& channel, auto& context) {
    sent = SteadyClock::now();
    return pb::Lease::NewStub(channel)->LeaseGrant(&context, request, &response);
  }));
  std::lock_guard lock(self->mutex_);
  self->leases_[response.id()] = {std::chrono::seconds{response.ttl()}, sent, false};
  self->wake_.notify_all();
  return std::make_unique<EtcdLease>(self, LeaseId{response.id()});
}

bool EtcdLeases::alive(LeaseId id) {
  std::lock_guard lock(mutex_);
  auto it = leases_.find(id.value);
  if (it == leases_.end() || it->second.lost) return false;
  if (SteadyClock::now() < it->second.confirmed + it->second.ttl) return true;
  it->second.lost = true;
  return false;
}

void EtcdLeases::revoke(LeaseId id) {
  {
    std::lock_guard lock(mutex_);
    leases_.erase(id.value);
    if (stopping_) return;
  }
  pb::LeaseRevokeRequest request;
  request.set_id(id.value);
  pb::LeaseRevokeResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{1});
  // One try: a lease that can't be revoked runs out by itself.
  pb::Lease::NewStub(client_.current().channel)->LeaseRevoke(&context, request, &response);
}

void EtcdLeases::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    Duration period = kPeriodMax;
    for (const auto& [id, lease] : leases_) period = std::min(period, lease.ttl / 4);
    wake_.wait_for(lock, period);
    if (stopping_) break;
    lock.unlock();
    keep_alive();
    lock.lock();
  }
}

void EtcdLeases::keep_alive() {
  std::vector<int64_t> ids;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, lease] : leases_) {
      if (!lease.lost) ids.push_back(id);
    }
  }
  if (ids.empty()) return;
  for (size_t tries = 0; tries < client_.options().endpoints.size(); ++tries) {
    if (exchange(ids)) return;
  }
}

bool EtcdLeases::exchange(const std::vector<int64_t>& ids) {
  auto endpoint = client_.current();
  connect_now(*endpoint.channel, kConnectTime);
  const auto sent = SteadyClock::now();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{1});
  auto stub = pb::Lease::NewStub(endpoint.channel);
  auto stream = stub->LeaseKeepAlive(&context);
  size_t answered = 0;
  for (int64_t id : ids) {
    pb::LeaseKeepAliveRequest request;
    request.set_id(id);
    pb::LeaseKeepAliveResponse response;
    if (!stream->Write(request) || !stream->Read(&response)) break;
    ++answered;
    std::lock_guard lock(mutex_);
    auto it = leases_.find(response.id());
    if (it == leases_.end()) continue;
    if (response.ttl() <= 0) {
      it->second.lost = true;
    } else {
      it->second.confirmed = sent;
    }
  }
  context.TryCancel();
  stream->Finish();
  if (answered == ids.size()) return true;
  client_.failed(endpoint.index);
  return false;
}

}  // namespace cleat::control
