// The replicas of this node, as primaries use them: over the wire (wire::RequestHandler) and from
// this process (LocalMember). Enforces R4: an operation passes only at the epoch that fenced the
// replica.
//
// Threading: the loop that owns the pools. Ownership: borrows the pools' replicas; remove() a
// replica here before it is deleted from its pool.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <vector>

#include "core/replica_fsm.h"
#include "engine/member.h"
#include "engine/payloads.h"
#include "io/buffer_pool.h"
#include "io/executor.h"
#include "io/sync.h"
#include "io/task_group.h"
#include "store/replica_store.h"
#include "wire/request_handler.h"

namespace cleat::engine {

class ReplicaService final : public wire::RequestHandler {
 public:
  ReplicaService(io::Executor& executor, io::BufferPool& buffers);
  ~ReplicaService() override;

  void add(store::ReplicaStore& store);
  // Waits until nothing runs on it. Later requests are answered kNotFound.
  io::Task<void> remove(VolumeId volume);
  store::ReplicaStore* find(VolumeId volume);

  // From the wire.
  io::Task<wire::Reply> handle(wire::Message request) override;

  // From this process. As Member::call and Member::query.
  io::Task<Result<wire::Header>> call(const wire::Header& request, ConstBuffer payload,
                                      MutableBuffer into);
  io::Task<Result<Answer>> query(const wire::Header& request, ConstBuffer payload);
  // As query(), which borrows no memory: kTimedOut when it takes longer, and it ends by itself.
  io::Task<Result<Answer>> query_within(const wire::Header& request, Duration timeout);

 private:
  struct Query;
  struct Replica {
    Replica(io::Executor& executor, store::ReplicaStore& replica_store, TimePoint now)
        : store(replica_store), fsm(replica_store.epoch()), ended(executor), last_answer(now) {}
    store::ReplicaStore& store;
    core::ReplicaFsm fsm;
    io::WaitQueue ended;    // an operation has ended
    TimePoint last_answer;  // to any epoch, or the start of this process (R5)
    uint32_t users = 0;     // calls that hold a pointer to this
  };

  Replica* lookup(VolumeId volume);
  io::Task<void> run(std::shared_ptr<Query> asked);
  io::Task<Result<Answer>> fence(Replica& replica, core::FenceAt at);
  io::Task<Result<wire::Header>> admitted_call(Replica& replica, const wire::Header& request,
                                               ConstBuffer payload, MutableBuffer into);
  io::Task<Result<void>> execute(store::ReplicaStore& store, const wire::Header& request,
                                 ConstBuffer payload, MutableBuffer into, wire::Header& reply);
  io::Task<Result<void>> write(store::ReplicaStore& store, const wire::Header& request,
                               ConstBuffer payload);
  io::Task<Result<void>> digest(store::ReplicaStore& store, const wire::Header& request,
                                MutableBuffer into);
  Answer regions(store::ReplicaStore& store, const wire::Header& request);
  void leave(Replica& replica);

  io::Executor& executor_;
  io::BufferPool& buffers_;
  absl::flat_hash_map<VolumeId, std::unique_ptr<Replica>> replicas_;
  io::TaskGroup queries_;
};

// This node's replica as a Member.
class LocalMember final : public Member {
 public:
  explicit LocalMember(ReplicaService& service) : service_(service) {}
  io::Task<Result<wire::Header>> call(const wire::Header& request, ConstBuffer payload,
                                      MutableBuffer into, Duration timeout) override;
  io::Task<Result<Answer>> query(const wire::Header& request, ConstBuffer payload,
                                 Duration timeout) override;
  // A disk's operation can't be given up: its memory is the kernel's until it ends. Volume::tick()
  // takes out a replica whose disk is stuck; only those who wait for its calls go on waiting.
  void give_up() override {}

 private:
  ReplicaService& service_;
};

}  // namespace cleat::engine
