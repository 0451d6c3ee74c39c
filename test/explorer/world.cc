#include "test/explorer/world.h"

#include <algorithm>

namespace cleat::core::explorer {

std::string describe(const Action& action) {
  static constexpr std::array<const char*, 10> kNames = {
      "attach", "deliver",    "drop",  "duplicate", "fail",
      "commit", "make equal", "write", "resync",    "crash"};
  return std::string(kNames[static_cast<size_t>(action.kind)]) + " " + std::to_string(action.a) +
         " " + std::to_string(action.b);
}

World::World(Limits limits, Mutation mutation) : limits_(limits), mutation_(mutation) {
  record_.epoch = Epoch(1);
  record_.size_blocks = 1;
  for (MemberIndex member = 0; member < kReplicas; ++member) {
    record_.replicas.push_back(
        ReplicaRecord{member, NodeId(member + 1u), PoolId(1), ReplicaState::kInSync, Generation{}});
  }
}

std::vector<Action> World::actions() const {
  using Kind = Action::Kind;
  std::vector<Action> all;
  for (int i = 0; i < static_cast<int>(network_.size()); ++i) {
    all.push_back({Kind::kDeliver, i, 0});
    if (limits_.drops > 0) all.push_back({Kind::kDrop, i, 0});
    // The connection refuses a request that comes twice (docs/protocol.md); answers and fences may.
    const Message& message = network_[static_cast<size_t>(i)];
    bool may_repeat = message.reply || message.kind == Message::Kind::kFence;
    if (limits_.duplicates > 0 && may_repeat) all.push_back({Kind::kDuplicate, i, 0});
  }
  for (int p = 0; p < kPrimaries; ++p) {
    const Primary& primary = primaries_[static_cast<size_t>(p)];
    using Phase = Primary::Phase;
    bool next = p == 0 || primaries_[static_cast<size_t>(p - 1)].phase != Phase::kIdle;
    if (primary.phase == Phase::kIdle && next && limits_.attaches > 0)
      all.push_back({Kind::kAttach, p, 0});
    if (primary.phase == Phase::kIdle || primary.phase == Phase::kEnded) continue;
    if (can_commit(primary)) all.push_back({Kind::kCommit, p, 0});
    MemberSet healthy = primary.set->healthy();
    bool may_fail = limits_.failures > 0 && !primary.answered.empty();
    for (int m = 0; m < kReplicas && may_fail; ++m) {
      auto member = static_cast<MemberIndex>(m);
      bool last = healthy == MemberSet{member};
      MemberSet in = healthy | primary.set->syncing();
      if (in.contains(member) && !last) all.push_back({Kind::kFail, p, m});
    }
    bool all_answered = (healthy - primary.answered).empty() && primary.set->leaving().empty();
    if (primary.phase == Phase::kFencing && all_answered) all.push_back({Kind::kMakeEqual, p, 0});
    if (primary.phase != Phase::kOpen) continue;
    if (limits_.writes > 0) all.push_back({Kind::kWrite, p, 0});
    for (MemberIndex member : primary.set->behind()) {
      if (limits_.resyncs > 0) all.push_back({Kind::kResync, p, member});
    }
  }
  for (int host = 0; host < kReplicas && limits_.crashes > 0; ++host) {
    all.push_back({Kind::kCrash, host, 0});
  }
  return all;
}

void World::apply(const Action& action) {
  using Kind = Action::Kind;
  auto member = static_cast<MemberIndex>(action.b);
  switch (action.kind) {
    case Kind::kAttach:
      --limits_.attaches;
      attach(action.a);
      break;
    case Kind::kDuplicate:
    case Kind::kDeliver: {
      Message message = network_[static_cast<size_t>(action.a)];
      if (action.kind == Kind::kDuplicate) {
        --limits_.duplicates;
      } else {
        network_.erase(network_.begin() + action.a);
      }
      deliver(message);
      break;
    }
    case Kind::kDrop:
      --limits_.drops;
      network_.erase(network_.begin() + action.a);
      break;
    case Kind::kFail:
      --limits_.failures;
      fail(action.a, member);
      break;
    case Kind::kCommit: commit(action.a); break;
    case Kind::kMakeEqual: make_equal(action.a); break;
    case Kind::kWrite:
      --limits_.writes;
      write(action.a);
      break;
    case Kind::kResync:
      --limits_.resyncs;
      begin_resync(action.a, member);
      break;
    case Kind::kCrash:
      --limits_.crashes;
      crash(action.a);
      break;
  }
  check();
}

void World::deliver(const Message& message) {
  if (message.reply) {
    answer(message);
  } else {
    request(message);
  }
}

bool World::admits(Replica& replica, FenceAt at, bool& stale) {
  ReplicaFsm::Admission admission = replica.fsm.admit(at);
  stale = admission == ReplicaFsm::Admission::kStale;
  if (admission == ReplicaFsm::Admission::kAdmitted) {
    replica.fsm.end_operation();
    return true;
  }
  bool older = at.epoch < replica.fsm.highest_seen();
  if (mutation_ == Mutation::kIgnoreEpoch && older) return true;
  return mutation_ == Mutation::kIgnoreFenceNumber && !older;
}

void World::request(const Message& message) {
  Replica& replica = replicas_[message.member];
  Message reply = message;
  reply.reply = true;
  if (message.kind == Message::Kind::kFence) {
    ReplicaFsm::Fence fence = replica.fsm.fence(message.at);
    reply.stale = fence == ReplicaFsm::Fence::kStale;
    reply.admitted = fence == ReplicaFsm::Fence::kAnswer;
    // Nothing is under way between two steps, so it is drained; durable and answered in one step.
    if (fence == ReplicaFsm::Fence::kDrain) reply.admitted = replica.fsm.fenced(message.at);
    reply.value = replica.value;
  } else {
    reply.admitted = admits(replica, message.at, reply.stale);
    if (reply.admitted) replica.value = message.value;
  }
  send(reply);
}

// The process of a host ends and another starts: its connections are gone with what they carried to
// it.
void World::crash(int host) {
  auto member = static_cast<MemberIndex>(host);
  std::erase_if(network_, [member](const Message& message) { return message.member == member; });
  Replica& replica = replicas_[member];
  replica.fsm = ReplicaFsm(replica.fsm.durable());
  if (host >= kPrimaries) return;
  Primary& primary = primaries_[static_cast<size_t>(host)];
  if (primary.phase != Primary::Phase::kIdle) primary.phase = Primary::Phase::kEnded;
}

void World::violated(std::string what) {
  if (violation_.empty()) violation_ = std::move(what);
}

void World::check() {
  for (const ReplicaRecord& replica : record_.replicas) {
    if (replica.state != ReplicaState::kInSync) continue;
    if (replicas_[replica.index].value < acknowledged_) {
      violated("replica " + std::to_string(replica.index) + " is in sync and lacks write " +
               std::to_string(acknowledged_));
    }
  }
}

std::string World::key() const {
  std::string key;
  auto put = [&key](auto value) { key += std::to_string(value) + ","; };
  auto put_set = [&put](MemberSet set) {
    for (MemberIndex member : set) put(int{member});
    put(-1);
  };
  for (int left : {limits_.writes, limits_.drops, limits_.duplicates, limits_.crashes,
                   limits_.failures, limits_.resyncs, limits_.attaches, writes_, acknowledged_}) {
    put(left);
  }
  put(record_.epoch.value);
  for (const ReplicaRecord& replica : record_.replicas) put(static_cast<int>(replica.state));
  for (const Replica& replica : replicas_) {
    put(replica.value);
    put(replica.fsm.durable().value);
    put(replica.fsm.highest_seen().value);
    for (const Primary& primary : primaries_) {
      // Which of the fences in use it would admit is what the rest of its state means.
      for (uint32_t fence = 1; fence <= primary.last_fence; ++fence) {
        ReplicaFsm copy = replica.fsm;
        put(static_cast<int>(copy.admit(FenceAt{primary.epoch, fence})));
        put(static_cast<int>(copy.fence(FenceAt{primary.epoch, fence})));
      }
    }
  }
  for (const Primary& primary : primaries_) {
    put(static_cast<int>(primary.phase));
    if (!primary.set) continue;
    put(primary.epoch.value);
    for (MemberSet set : {primary.set->in_sync(), primary.set->leaving(), primary.set->syncing(),
                          primary.set->behind(), primary.answered, primary.to_copy}) {
      put_set(set);
    }
    put(can_commit(primary));
    for (uint32_t fence : primary.fences) put(fence);
    put(primary.last_fence);
    for (const Operation& operation : primary.operations) {
      put(operation.number);
      put(operation.value);
      put(int{operation.target});
      put(operation.after_successor);
      put(primary.pipeline.may_start(operation.id));
      put_set(primary.pipeline.waiting(operation.id));
    }
  }
  std::vector<Message> sorted = network_;
  std::ranges::sort(sorted);
  for (const Message& m : sorted) {
    put(static_cast<int>(m.kind));
    put(m.reply + 2 * m.admitted + 4 * m.stale);
    put(m.primary);
    put(int{m.member});
    put(m.at.number);
    put(m.value);
    put(m.operation);
  }
  return key;
}

}  // namespace cleat::core::explorer
