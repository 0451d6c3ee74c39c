// The primaries of the explorer: what src/engine does around the rules, without its waiting.
#include <algorithm>

#include "test/explorer/world.h"

namespace cleat::core::explorer {
namespace {

constexpr BlockRange kBlock{0, 1};

}  // namespace

// R3: the transaction, then a fence to every member in sync.
void World::attach(int number) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  record_.epoch = record_.epoch.next();
  primary.epoch = record_.epoch;
  primary.set.emplace(record_);
  primary.phase = Primary::Phase::kFencing;
  for (MemberIndex member : primary.set->in_sync()) {
    Message message;
    message.primary = number;
    message.member = member;
    message.at = FenceAt{primary.epoch, ++primary.last_fence};
    send(message);
  }
}

void World::answer(const Message& message) {
  Primary& primary = primaries_[static_cast<size_t>(message.primary)];
  if (primary.phase == Primary::Phase::kIdle || primary.phase == Primary::Phase::kEnded) return;
  if (message.at.epoch != primary.epoch) return;
  if (message.stale) {
    primary.phase = Primary::Phase::kEnded;
    return;
  }
  if (!message.admitted) return;  // the member has to be fenced again: fail() and resync() do
  if (message.kind == Message::Kind::kFence) {
    fenced(message.primary, message);
  } else if (message.operation == 0) {
    primary.to_copy.remove(message.member);
    open_if_equal(message.primary);
  } else {
    auto same = [&message](const Operation& o) { return o.number == message.operation; };
    auto operation = std::ranges::find_if(primary.operations, same);
    if (operation == primary.operations.end()) return;
    if (operation->kind == OperationKind::kCopy) {
      primary.set->request_join(operation->target);
      finish(message.primary, message.operation);
    } else if (primary.pipeline.acknowledged(operation->id, message.member)) {
      acknowledge(message.primary, message.operation);
    }
  }
}

void World::fenced(int number, const Message& message) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  MemberIndex member = message.member;
  primary.fences[member] = std::max(primary.fences[member], message.at.number);
  if (primary.phase == Primary::Phase::kFencing && primary.set->healthy().contains(member)) {
    if (primary.answered.contains(member)) return;
    primary.answered.add(member);
    FenceReply reply;
    reply.member = member;
    if (message.value > 0) {
      reply.recent.push_back(RecentWrite{Seq(static_cast<uint64_t>(message.value)), kBlock});
    }
    primary.replies.push_back(reply);
    return;
  }
  if (primary.phase != Primary::Phase::kOpen || !primary.set->behind().contains(member)) return;
  primary.set->begin_sync(member);
  if (mutation_ == Mutation::kJoinWithoutCopy) {
    primary.set->request_join(member);
    return;
  }
  Operation copy;
  copy.number = ++primary.last_operation;
  copy.kind = OperationKind::kCopy;
  copy.target = member;
  copy.id = primary.pipeline.submit(OperationKind::kCopy, kBlock);
  primary.operations.push_back(copy);
  if (primary.pipeline.may_start(copy.id)) start(number, primary.operations.back());
}

// The primary holds the member for failed; its connection is given up, what it carried may still
// come.
void World::fail(int number, MemberIndex member) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  InSyncSet::Failed outcome = primary.set->fail(member);
  primary.fences[member] = 0;
  bool forget = outcome == InSyncSet::Failed::kDropped || mutation_ == Mutation::kNoRemoval;
  if (!forget) return;
  std::vector<WritePipeline::Id> completed;
  primary.pipeline.member_left(member, completed);
  std::vector<int> numbers;
  for (const Operation& operation : primary.operations) {
    if (std::ranges::count(completed, operation.id) > 0) numbers.push_back(operation.number);
  }
  for (int done : numbers) acknowledge(number, done);
}

bool World::can_commit(const Primary& primary) const {
  InSyncSet copy = *primary.set;
  return mutation_ != Mutation::kNoRemoval && copy.next_change(record_, Generation(1)).has_value();
}

// R2: one transaction on the epoch.
void World::commit(int number) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  if (record_.epoch != primary.epoch) {
    primary.phase = Primary::Phase::kEnded;
    return;
  }
  record_ = *primary.set->next_change(record_, Generation(1));
  InSyncSet::Outcome outcome = primary.set->committed();
  std::vector<WritePipeline::Id> completed;
  for (MemberIndex member : outcome.left) primary.pipeline.member_left(member, completed);
  std::vector<int> numbers;
  for (const Operation& operation : primary.operations) {
    if (std::ranges::count(completed, operation.id) > 0) numbers.push_back(operation.number);
  }
  for (int done : numbers) acknowledge(number, done);
  if (primary.phase == Primary::Phase::kEqualising) open_if_equal(number);
}

// R7.
void World::make_equal(int number) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  primary.phase = Primary::Phase::kEqualising;
  std::vector<FenceReply> replies;
  for (const FenceReply& reply : primary.replies) {
    if (primary.set->healthy().contains(reply.member)) replies.push_back(reply);
  }
  ReconcilePlan plan = reconcile_plan(replies, static_cast<MemberIndex>(number));
  if (mutation_ != Mutation::kNoTakeover && !plan.rewrite.empty()) {
    primary.to_copy = plan.targets;
    for (MemberIndex target : plan.targets) send_copy(number, plan.source, target, 0);
  }
  open_if_equal(number);
}

void World::open_if_equal(int number) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  if (primary.phase != Primary::Phase::kEqualising) return;
  primary.to_copy = primary.to_copy & primary.set->in_sync();
  if (primary.to_copy.empty() && primary.set->leaving().empty()) open(number);
}

void World::open(int number) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  primary.phase = Primary::Phase::kOpen;
  if (record_.epoch != primary.epoch) return;  // a later attach is on its way
  int first = replicas_[primary.set->in_sync().first()].value;
  for (MemberIndex member : primary.set->in_sync()) {
    if (replicas_[member].value != first) violated("members differ when the volume opens");
  }
}

void World::write(int number) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  Operation operation;
  operation.number = ++primary.last_operation;
  operation.id = primary.pipeline.submit(OperationKind::kWrite, kBlock);
  primary.operations.push_back(operation);
  if (primary.pipeline.may_start(operation.id)) start(number, primary.operations.back());
}

void World::start(int number, Operation& operation) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  if (operation.kind == OperationKind::kCopy) {
    primary.pipeline.start(operation.id, {});
    send_copy(number, primary.set->healthy().first(), operation.target, operation.number);
    return;
  }
  operation.value = ++writes_;
  operation.after_successor = has_open_successor(primary);
  primary.pipeline.start(operation.id, primary.set->wait_for());
  for (MemberIndex member : primary.set->send_to()) {
    Message message;
    message.kind = Message::Kind::kWrite;
    message.primary = number;
    message.member = member;
    message.at = FenceAt{primary.epoch, primary.fences[member]};
    message.value = operation.value;
    message.operation = operation.number;
    send(message);
  }
  if (mutation_ == Mutation::kAcknowledgeEarly) acknowledge(number, operation.number);
}

// A late answer to a write that every member had before the fence is no harm; a new write is.
bool World::has_open_successor(const Primary& primary) const {
  return std::ranges::any_of(primaries_, [&primary](const Primary& other) {
    return other.phase == Primary::Phase::kOpen && other.epoch > primary.epoch;
  });
}

// The source is read at once, if it lets this primary read.
void World::send_copy(int number, MemberIndex from, MemberIndex to, int operation) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  bool stale = false;
  if (!admits(replicas_[from], FenceAt{primary.epoch, primary.fences[from]}, stale)) {
    if (stale) primary.phase = Primary::Phase::kEnded;
    return;
  }
  Message message;
  message.kind = Message::Kind::kCopy;
  message.primary = number;
  message.member = to;
  message.at = FenceAt{primary.epoch, primary.fences[to]};
  message.value = replicas_[from].value;
  message.operation = operation;
  send(message);
}

// R1: the application hears that the write is done.
void World::acknowledge(int number, int operation_number) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  auto same = [operation_number](const Operation& o) { return o.number == operation_number; };
  auto operation = std::ranges::find_if(primary.operations, same);
  if (operation == primary.operations.end()) return;
  acknowledged_ = std::max(acknowledged_, operation->value);
  if (operation->after_successor) violated("R4: a fenced primary acknowledged a write");
  finish(number, operation_number);
}

void World::finish(int number, int operation_number) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  auto same = [operation_number](const Operation& o) { return o.number == operation_number; };
  auto operation = std::ranges::find_if(primary.operations, same);
  std::vector<WritePipeline::Id> startable;
  primary.pipeline.finish(operation->id, startable);
  primary.operations.erase(operation);
  for (WritePipeline::Id id : startable) {
    auto waiting = std::ranges::find(primary.operations, id, &Operation::id);
    if (waiting != primary.operations.end()) start(number, *waiting);
  }
}

void World::begin_resync(int number, MemberIndex member) {
  Primary& primary = primaries_[static_cast<size_t>(number)];
  Message message;
  message.primary = number;
  message.member = member;
  message.at = FenceAt{primary.epoch, ++primary.last_fence};
  send(message);
}

}  // namespace cleat::core::explorer
