#include "engine/replica_service.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "common/check.h"
#include "wire/codec.h"

namespace cleat::engine {
namespace {

core::FenceAt fence_of(const wire::Header& request) {
  return core::FenceAt{request.epoch, request.fence};
}

store::View view_of(const wire::Header& request) { return store::View{request.snapshot}; }

bool is_query(wire::Type type) {
  switch (type) {
    case wire::Type::kFence:
    case wire::Type::kDirtyRegions:
    case wire::Type::kIntentRegions:
    case wire::Type::kGetRecord: return true;
    default: return false;
  }
}

size_t reply_bytes(const wire::Header& request) {
  if (request.type == wire::Type::kRead) return request.range.bytes();
  if (request.type == wire::Type::kDigest) return request.range.count * sizeof(uint64_t);
  return 0;
}

}  // namespace

ReplicaService::ReplicaService(io::Executor& executor, io::BufferPool& buffers)
    : executor_(executor), buffers_(buffers) {}

ReplicaService::~ReplicaService() = default;

void ReplicaService::add(store::ReplicaStore& store) {
  auto replica = std::make_unique<Replica>(executor_, store, executor_.now());
  bool added = replicas_.emplace(store.volume(), std::move(replica)).second;
  CHECK(added, "one replica of a volume on a node");
}

io::Task<void> ReplicaService::remove(VolumeId volume) {
  auto found = replicas_.find(volume);
  if (found == replicas_.end()) co_return;
  std::unique_ptr<Replica> replica = std::move(found->second);
  replicas_.erase(found);
  while (replica->users > 0) co_await replica->ended.wait();
}

ReplicaService::Replica* ReplicaService::lookup(VolumeId volume) {
  auto found = replicas_.find(volume);
  return found == replicas_.end() ? nullptr : found->second.get();
}

store::ReplicaStore* ReplicaService::find(VolumeId volume) {
  Replica* replica = lookup(volume);
  return replica == nullptr ? nullptr : &replica->store;
}

void ReplicaService::leave(Replica& replica) {
  --replica.users;
  replica.ended.notify_all();
}

io::Task<wire::Reply> ReplicaService::handle(wire::Message request) {
  if (is_query(request.header.type)) {
    auto answer = co_await query(request.header, request.payload());
    if (!answer) co_return wire::Reply::failed(answer.error());
    if (answer->payload.empty()) co_return wire::Reply(answer->header);
    if (answer->payload.size() > wire::kPayloadBytesMax) {
      co_return wire::Reply::failed(Error{Code::kLimit, 0, "the answer is too long for one frame"});
    }
    io::PooledBuffer buffer = buffers_.take(answer->payload.size());
    std::memcpy(buffer.data(), answer->payload.data(), answer->payload.size());
    auto size = static_cast<uint32_t>(answer->payload.size());
    co_return wire::Reply(answer->header, std::move(buffer), size);
  }
  size_t size = reply_bytes(request.header);
  if (size > io::BufferPool::kBytesMax) {
    co_return wire::Reply::failed(Error{Code::kLimit, 0, "the range is too long for one answer"});
  }
  io::PooledBuffer buffer;
  if (size > 0) buffer = buffers_.take(size);
  auto reply = co_await call(request.header, request.payload(), buffer.span());
  if (!reply) co_return wire::Reply::failed(reply.error());
  co_return wire::Reply(*reply, std::move(buffer), static_cast<uint32_t>(size));
}

io::Task<Result<wire::Header>> ReplicaService::call(const wire::Header& request,
                                                    ConstBuffer payload, MutableBuffer into) {
  Replica* replica = lookup(request.volume);
  if (replica == nullptr) co_return fail(Code::kNotFound, "no replica of the volume on this node");
  ++replica->users;
  auto reply = co_await admitted_call(*replica, request, payload, into);
  leave(*replica);
  co_return reply;
}

io::Task<Result<wire::Header>> ReplicaService::admitted_call(Replica& replica,
                                                             const wire::Header& request,
                                                             ConstBuffer payload,
                                                             MutableBuffer into) {
  switch (replica.fsm.admit(fence_of(request))) {
    case core::ReplicaFsm::Admission::kAdmitted: break;
    case core::ReplicaFsm::Admission::kStale:
      co_return fail(Code::kStaleEpoch, "R4: a higher epoch has fenced this replica");
    case core::ReplicaFsm::Admission::kNotFenced:
      co_return fail(Code::kNotInSync, "R4: it must be fenced first, or was fenced again since");
  }
  wire::Header reply = request;
  replica.store.known_everywhere(request.known_everywhere);
  // A merge may take long, changes nothing that can be read, and goes on after a crash: no fence
  // waits.
  bool fences_wait = request.type != wire::Type::kDeleteSnapshot;
  if (!fences_wait) replica.fsm.end_operation();
  auto done = co_await execute(replica.store, request, payload, into, reply);
  if (fences_wait) {
    replica.fsm.end_operation();
  } else if (replica.fsm.overtaken(fence_of(request))) {
    // The fence's answer said how long this replica had been quiet: an answer to an older primary
    // would prolong its lease (R5).
    bool stale = request.epoch < replica.fsm.highest_seen();
    co_return fail(stale ? Code::kStaleEpoch : Code::kNotInSync, "R4: fenced meanwhile");
  }
  replica.last_answer = executor_.now();
  if (!done) co_return fail(done.error());
  co_return reply;
}

io::Task<Result<void>> ReplicaService::execute(store::ReplicaStore& store,
                                               const wire::Header& request, ConstBuffer payload,
                                               MutableBuffer into, wire::Header& reply) {
  switch (request.type) {
    case wire::Type::kHeartbeat: co_return Result<void>{};
    case wire::Type::kWrite:
    case wire::Type::kZero: co_return co_await write(store, request, payload);
    case wire::Type::kRead: co_return co_await store.read(view_of(request), request.range, into);
    case wire::Type::kFlush: co_return co_await store.flush();
    case wire::Type::kDigest: co_return co_await digest(store, request, into);
    case wire::Type::kFreeze: co_return co_await store.freeze(request.snapshot);
    case wire::Type::kDeleteSnapshot: co_return co_await store.delete_snapshot(request.snapshot);
    case wire::Type::kRestore: co_return co_await store.restore(request.snapshot);
    case wire::Type::kResize: {
      // A growth that was given up may have left it larger than the volume is to be. It is durable
      // when this one returns.
      uint64_t size_blocks = std::max(store.size_blocks(), request.range.first);
      co_return co_await store.resize(size_blocks);
    }
    case wire::Type::kSetGeneration: store.set_generation(request.generation); break;
    case wire::Type::kForgetDirty: store.forget_dirty(request.generation); break;
    case wire::Type::kClearRecent: store.clear_recent(); break;
    case wire::Type::kSetRecord: {
      std::string record(reinterpret_cast<const char*>(payload.data()), payload.size());
      co_return co_await store.set_record(std::move(record));
    }
    case wire::Type::kNextChanged: {
      std::optional<store::View> base;
      if (!payload.empty()) {
        wire::Reader reader(payload);
        CO_TRY_ASSIGN(uint64_t snapshot, reader.u64());
        base = store::View{SnapshotId(snapshot)};
      }
      CO_TRY_ASSIGN(reply.range, store.next_changed(view_of(request), base, request.range.first,
                                                    request.range.count));
      break;
    }
    default: co_return fail(Code::kUnsupported, "a message that a replica does not answer");
  }
  co_return Result<void>{};
}

io::Task<Result<void>> ReplicaService::write(store::ReplicaStore& store,
                                             const wire::Header& request, ConstBuffer payload) {
  store::WriteAt at{request.range, request.generation, request.seq};
  if (request.type == wire::Type::kZero) {
    CO_TRY(co_await store.zero(at));
  } else {
    CO_TRY(co_await store.write(at, payload));
  }
  if (request.has(wire::kFua)) co_return co_await store.flush();
  co_return Result<void>{};
}

io::Task<Result<void>> ReplicaService::digest(store::ReplicaStore& store,
                                              const wire::Header& request, MutableBuffer into) {
  if (request.range.bytes() > io::BufferPool::kBytesMax) {
    co_return fail(Code::kLimit, "the range is too long for one digest");
  }
  io::PooledBuffer blocks = buffers_.take(request.range.bytes());
  CO_TRY(co_await store.read(view_of(request), request.range, blocks.span()));
  for (uint32_t i = 0; i < request.range.count; ++i) {
    uint64_t hash = XXH3_64bits(blocks.data() + i * kBlockSize, kBlockSize);
    std::memcpy(into.data() + i * sizeof hash, &hash, sizeof hash);
  }
  co_return Result<void>{};
}

io::Task<Result<Answer>> ReplicaService::query(const wire::Header& request, ConstBuffer payload) {
  Replica* replica = lookup(request.volume);
  if (replica == nullptr) co_return fail(Code::kNotFound, "no replica of the volume on this node");
  ++replica->users;
  Result<Answer> answer = fail(Code::kUnsupported, "a message that a replica does not answer");
  if (request.type == wire::Type::kFence) {
    answer = co_await fence(*replica, fence_of(request));
  } else {
    switch (replica->fsm.admit(fence_of(request))) {
      case core::ReplicaFsm::Admission::kStale:
        answer = fail(Code::kStaleEpoch, "R4: a higher epoch has fenced this replica");
        break;
      case core::ReplicaFsm::Admission::kNotFenced:
        answer = fail(Code::kNotInSync, "R4: it must be fenced first, or was fenced again since");
        break;
      case core::ReplicaFsm::Admission::kAdmitted:
        answer = regions(replica->store, request);
        replica->last_answer = executor_.now();
        replica->fsm.end_operation();
    }
  }
  (void)payload;
  leave(*replica);
  co_return answer;
}

// Shared by who asks and what was begun: either may end first.
struct ReplicaService::Query {
  struct Waiting {
    ReplicaService& service;
    Query& asked;
    bool await_ready() const { return asked.answer.has_value(); }
    void await_suspend(std::coroutine_handle<> handle) {
      asked.timer.waiter = handle;
      service.executor_.arm(asked.timer);
    }
    void await_resume() const {}
  };
  wire::Header request;
  std::optional<Result<Answer>> answer;
  io::Timer timer;
};

io::Task<void> ReplicaService::run(std::shared_ptr<Query> asked) {
  asked->answer = co_await query(asked->request, {});
  if (!asked->timer.armed) co_return;
  executor_.cancel(asked->timer);
  executor_.post(asked->timer.waiter);
}

io::Task<Result<Answer>> ReplicaService::query_within(const wire::Header& request,
                                                      Duration timeout) {
  auto asked = std::make_shared<Query>();
  asked->request = request;
  asked->timer.at = executor_.now() + timeout;
  queries_.spawn(run(asked));
  co_await Query::Waiting{*this, *asked};
  if (!asked->answer) co_return fail(Code::kTimedOut, "the disk of this node's replica is stuck");
  co_return *std::move(asked->answer);
}

io::Task<Result<Answer>> ReplicaService::fence(Replica& replica, core::FenceAt at) {
  constexpr const char* kOvertaken = "R4: a later fence came meanwhile";
  switch (replica.fsm.fence(at)) {
    case core::ReplicaFsm::Fence::kStale:
      co_return fail(Code::kStaleEpoch, "R4: a higher epoch has fenced this replica");
    case core::ReplicaFsm::Fence::kLate: co_return fail(Code::kNotInSync, kOvertaken);
    case core::ReplicaFsm::Fence::kAnswer: break;
    case core::ReplicaFsm::Fence::kDrain: {
      replica.ended.notify_all();  // fences before it need not wait any more
      while (!replica.fsm.drained() && !replica.fsm.overtaken(at)) co_await replica.ended.wait();
      if (!replica.fsm.overtaken(at) && replica.store.epoch() < at.epoch) {
        CO_TRY(co_await replica.store.set_epoch(at.epoch));
      }
      if (replica.fsm.overtaken(at) || !replica.fsm.fenced(at)) {
        bool stale = at.epoch < replica.fsm.highest_seen();
        co_return fail(stale ? Code::kStaleEpoch : Code::kNotInSync, kOvertaken);
      }
    }
  }
  FenceAnswer answer;
  answer.reply.recent_lost = replica.store.recent_lost();
  answer.reply.generation = replica.store.generation();
  answer.reply.quiet_for = executor_.now() - replica.last_answer;
  answer.reply.recent = coarse_recent(replica.store.recent(), kRecentWritesMax);
  answer.size_blocks = replica.store.size_blocks();
  answer.snapshots = replica.store.snapshots();
  replica.last_answer = executor_.now();
  wire::Header header;
  header.type = wire::Type::kFence;
  header.volume = replica.store.volume();
  header.epoch = at.epoch;
  header.fence = at.number;
  co_return Answer{header, encode_fence(answer)};
}

Answer ReplicaService::regions(store::ReplicaStore& store, const wire::Header& request) {
  Answer answer{request, {}};
  if (request.type == wire::Type::kGetRecord) {
    const std::string& record = store.record();
    auto bytes = std::as_bytes(std::span(record));
    answer.payload.assign(bytes.begin(), bytes.end());
    return answer;
  }
  if (request.type == wire::Type::kDirtyRegions) {
    std::vector<core::DirtyRegion> page =
        store.dirty_regions(request.generation, request.range.first, kRegionsPerPage + 1);
    if (page.size() > kRegionsPerPage) {
      answer.header.flags |= wire::kMore;
      page.pop_back();
    }
    answer.payload = encode_dirty(page);
    return answer;
  }
  std::vector<uint64_t> all = store.intent_regions();
  auto begin = std::ranges::lower_bound(all, request.range.first);
  auto left = static_cast<size_t>(all.end() - begin);
  std::vector<uint64_t> page(begin, begin + static_cast<int64_t>(std::min(left, kRegionsPerPage)));
  if (left > kRegionsPerPage) answer.header.flags |= wire::kMore;
  answer.payload = encode_numbers(page);
  return answer;
}

io::Task<Result<wire::Header>> LocalMember::call(const wire::Header& request, ConstBuffer payload,
                                                 MutableBuffer into, Duration) {
  return service_.call(request, payload, into);
}

io::Task<Result<Answer>> LocalMember::query(const wire::Header& request, ConstBuffer,
                                            Duration timeout) {
  return service_.query_within(request, timeout);
}

}  // namespace cleat::engine
