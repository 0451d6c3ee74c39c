// The way of one write through its primary:
//   change()   enters the gate (R6), takes a seq, sends to every member at once, waits for all
//   send()     one member: call, acknowledge; an error takes the member out of the set (R9)
//   completion every member has it, or has left by a transaction (R1, R2): the frontend is answered
#include <array>

#include "common/log.h"
#include "engine/volume.h"

namespace cleat::engine {
namespace {

constexpr Duration kReturnInterval = 50ms;

uint64_t elapsed_ns(TimePoint from, TimePoint to) {
  return static_cast<uint64_t>((to - from).count());
}

}  // namespace

struct Volume::WriteContext {
  OperationGate::Id id;
  wire::Header header;
  ConstBuffer data;
  core::MemberSet done;
  core::MemberSet no_space;
  Result<void> result;  // of the whole operation, when it can't succeed
};

Result<void> Volume::check_operation(BlockRange range) const {
  if (detaching_) return fail(Code::kClosed, "the volume is being detached");
  if (range.count == 0 || range.count > kIoBlocksMax) {
    return fail(Code::kInvalidArgument, "an operation has 1 to 1024 blocks");
  }
  if (range.end() > record().size_blocks || range.end() < range.first) {
    return fail(Code::kOutOfRange, "beyond the end of the volume");
  }
  return {};
}

io::Task<Result<void>> Volume::write(BlockRange range, ConstBuffer from, WriteFlags flags) {
  TimePoint begun = context_.executor.now();
  auto result = co_await change(wire::Type::kWrite, range, from, flags);
  ++counters_.writes;
  counters_.written_bytes += range.bytes();
  counters_.write_ns += elapsed_ns(begun, context_.executor.now());
  co_return result;
}

io::Task<Result<void>> Volume::zero(BlockRange range, WriteFlags flags) {
  auto result = co_await change(wire::Type::kZero, range, {}, flags);
  ++counters_.discards;
  counters_.discarded_bytes += range.bytes();
  co_return result;
}

io::Task<Result<void>> Volume::change(wire::Type type, BlockRange range, ConstBuffer data,
                                      WriteFlags flags) {
  CO_TRY(check_operation(range));
  CO_TRY_ASSIGN(OperationGate::Id id, co_await gate_.enter(core::OperationKind::kWrite, range));
  WriteContext context;
  context.id = id;
  context.data = data;
  context.header.type = type;
  context.header.range = range;
  context.header.generation = membership_.clock().current();
  context.header.seq = gate_.start(id, membership_.set().wait_for());
  if (flags == WriteFlags::kFua) context.header.flags |= wire::kFua;

  co_await send_to_all(context, membership_.set().send_to());
  settle_no_space(context);
  if (!context.result) expel_ahead(context);
  auto complete = co_await gate_.completion(id);
  gate_.leave(id);
  if (!context.result) ++counters_.io_errors;
  CO_TRY(context.result);
  co_return complete;
}

// The others' frames are on the network, which is the longer way, before the local operation
// begins.
io::Task<void> Volume::send_to_all(WriteContext& context, core::MemberSet members) {
  core::MemberIndex local = local_member();
  bool here = members.contains(local);
  io::TaskGroup sends;
  for (core::MemberIndex member : members) {
    if (member != local) sends.spawn(send(context, member));
  }
  if (here && members.count() > 1) co_await context_.executor.yield();
  if (here) sends.spawn(send(context, local));
  co_await sends.close();
}

io::Task<void> Volume::send(WriteContext& context, core::MemberIndex member) {
  for (;;) {
    auto reply = co_await members_.call(member, context.header, context.data, {});
    if (reply) {
      context.done.add(member);
      gate_.acknowledged(context.id, member);
      co_return;
    }
    if (reply.error().code == Code::kNoSpace) {
      context.no_space.add(member);
      co_return;
    }
    Error final_error{};
    Answered outcome = co_await answered(member, reply.error(), final_error);
    if (outcome == Answered::kGone) co_return;
    if (outcome == Answered::kError) {
      context.result = fail(final_error);
      gate_.acknowledged(context.id, member);
      co_return;
    }
  }
}

// A member said no, or nothing. kYes: try it again; kGone: it leaves the set, or the volume has
// ended; kError: the operation fails with `result`.
io::Task<Volume::Answered> Volume::answered(core::MemberIndex member, Error error, Error& result) {
  using Failed = core::InSyncSet::Failed;
  if (error.code == Code::kNotInSync) {
    bool whole = co_await fence_again(member);
    if (whole) co_return Answered::kYes;
  }
  Failed outcome = membership_.failed(member, error);
  if (outcome != Failed::kLast) co_return Answered::kGone;
  bool may_return = error.code == Code::kUnreachable || error.code == Code::kTimedOut ||
                    error.code == Code::kClosed || error.code == Code::kNotInSync ||
                    error.code == Code::kNotFound;
  if (!may_return) {
    result = error;
    co_return Answered::kError;
  }
  bool again = co_await wait_for_return(member, result);
  co_return again ? Answered::kYes : Answered::kError;
}

// The member's process is a new one, or a call had no answer. True when it lost nothing and serves
// this epoch again.
io::Task<bool> Volume::fence_again(core::MemberIndex member) {
  auto ready = co_await members_.ready(member, kSilenceMax);
  if (!ready && ready.error().code == Code::kStaleEpoch) {
    membership_.failed(member, ready.error());
  }
  co_return ready.has_value();
}

// A full pool changes nothing. When every member is full the application gets ENOSPC and the
// replicas are equal; when only some are, those have missed a write and leave the set (R9).
void Volume::settle_no_space(WriteContext& context) {
  Error full{Code::kNoSpace, 0, "the pool of the replica is full"};
  for (core::MemberIndex member : context.no_space) {
    if (!context.done.empty()) {
      if (membership_.failed(member, full) != core::InSyncSet::Failed::kLast) continue;
    }
    context.result = fail(full);
    gate_.acknowledged(context.id, member);
  }
}

// An operation failed on the replica that stays in sync, so it leaves everywhere else where it may
// have been done: a replica that syncs, which may have been copied to there already, or one that a
// person takes away and that is read until then.
void Volume::expel_ahead(const WriteContext& context) {
  core::InSyncSet& set = membership_.set();
  Error error{Code::kCancelled, 0, "a write failed on the replica that stays in sync"};
  for (core::MemberIndex member : set.syncing() | (set.healthy() & context.done)) {
    membership_.failed(member, error);
  }
}

io::Task<bool> Volume::wait_for_return(core::MemberIndex member, Error& result) {
  TimePoint give_up_at = context_.executor.now() + context_.wait_max;
  ++stalled_;
  bool again = false;
  for (;;) {
    if (gate_.aborted()) {
      result = *gate_.aborted();
      break;
    }
    if (!membership_.set().is_last(member)) {
      again = true;  // others came in: let the set decide again
      break;
    }
    auto ready = co_await members_.ready(member, kSilenceMax);
    if (!ready && ready.error().code == Code::kCorrupt) {
      gate_.abort(Error{Code::kIoError, 0,
                        "the last replica in sync lost power: writes that were not flushed may be "
                        "missing; detach, and attach again"});
      continue;
    }
    if (ready) {
      again = true;
      break;
    }
    if (ready.error().code == Code::kStaleEpoch) membership_.failed(member, ready.error());
    if (context_.executor.now() >= give_up_at) {
      result = Error{Code::kTimedOut, 0, "no replica in sync was reachable for the volume's limit"};
      break;
    }
    co_await context_.executor.sleep(kReturnInterval);
  }
  --stalled_;
  co_return again;
}

core::MemberIndex Volume::read_source(core::MemberSet exclude) {
  core::MemberSet usable = membership_.set().healthy() - exclude;
  core::MemberIndex local = local_member();
  if (usable.contains(local) || usable.empty())
    return usable.contains(local) ? local : core::kNoMember;
  uint64_t skip = next_read_++ % static_cast<uint64_t>(usable.count());
  auto member = usable.begin();
  while (skip-- > 0) ++member;
  return *member;
}

io::Task<Result<void>> Volume::read(BlockRange range, MutableBuffer into) {
  CO_TRY(check_operation(range));
  TimePoint begun = context_.executor.now();
  // Behind the writes that it overlaps: what a read has returned, a later read returns too, from
  // whatever replica.
  CO_TRY_ASSIGN(OperationGate::Id id, co_await gate_.enter(core::OperationKind::kRead, range));
  gate_.start(id, {});
  auto result = co_await read_member(range, into);
  if (result) result = co_await wait_for_lease();
  gate_.leave(id);
  if (!result) ++counters_.io_errors;
  ++counters_.reads;
  counters_.read_bytes += range.bytes();
  counters_.read_ns += elapsed_ns(begun, context_.executor.now());
  co_return result;
}

io::Task<Result<void>> Volume::read_member(BlockRange range, MutableBuffer into) {
  wire::Header request;
  request.type = wire::Type::kRead;
  request.range = range;
  core::MemberSet tried;  // answered with a device error; repaired from another's answer
  Error last{Code::kUnreachable, 0, "no replica in sync is reachable"};
  for (;;) {
    if (gate_.aborted()) co_return fail(*gate_.aborted());
    core::MemberIndex member = read_source(tried);
    if (member == core::kNoMember) co_return fail(last);
    auto reply = co_await members_.call(member, request, {}, into);
    if (reply) {
      for (core::MemberIndex bad : tried) group_.spawn(repair(bad, member, range));
      co_return Result<void>{};
    }
    last = reply.error();
    if (last.code == Code::kIoError || last.code == Code::kCorrupt) {
      tried.add(member);
      continue;
    }
    Error final_error{};
    Answered outcome = co_await answered(member, last, final_error);
    if (outcome == Answered::kError) co_return fail(final_error);
  }
}

// Writes what a good replica holds over what another could not read. While this waited for its
// turn the good one may have missed a write and left.
io::Task<void> Volume::repair(core::MemberIndex bad, core::MemberIndex good, BlockRange range) {
  auto id = co_await gate_.enter(core::OperationKind::kCopy, range);
  if (!id) co_return;
  gate_.start(*id, {});
  core::MemberSet healthy = membership_.set().healthy();
  if (!healthy.contains(good) || !healthy.contains(bad)) {
    gate_.leave(*id);
    co_return;
  }
  io::PooledBuffer data = context_.buffers.take(range.bytes());
  wire::Header request;
  request.type = wire::Type::kRead;
  request.range = range;
  auto read = co_await members_.call(good, request, {}, data.span());
  if (read) {
    request.type = wire::Type::kWrite;
    request.generation = membership_.clock().current();
    auto written = co_await members_.call(bad, request, data.span(), {});
    LOG_WARN("volume {}: replica {} could not read blocks {}+{}: {}", record().id.value, bad,
             range.first, range.count,
             written ? "rewritten from another" : "could not be repaired");
    if (written) ++counters_.read_repairs;
    if (!written) membership_.failed(bad, written.error());
  }
  gate_.leave(*id);
}

io::Task<Result<void>> Volume::wait_for_lease() {
  TimePoint give_up_at = context_.executor.now() + context_.wait_max;
  while (!members_.lease().may_read(membership_.set().lease_from(), context_.executor.now())) {
    if (gate_.aborted()) co_return fail(*gate_.aborted());
    if (context_.executor.now() >= give_up_at) {
      co_return fail(Code::kTimedOut, "R5: a replica in sync did not answer within the limit");
    }
    co_await ticked_.wait();
  }
  if (gate_.aborted()) co_return fail(*gate_.aborted());
  co_return Result<void>{};
}

io::Task<Result<void>> Volume::flush() {
  TimePoint begun = context_.executor.now();
  if (detaching_) co_return fail(Code::kClosed, "the volume is being detached");
  auto result = co_await flush_members();
  ++counters_.flushes;
  counters_.flush_ns += elapsed_ns(begun, context_.executor.now());
  co_return result;
}

// A flush is an operation over no blocks: it waits for every member, or for its removal (R1, R2).
io::Task<Result<void>> Volume::flush_members() {
  CO_TRY_ASSIGN(OperationGate::Id id,
                co_await gate_.enter(core::OperationKind::kRead, BlockRange{}));
  // Looked at only now: who came or left while this waited for its place counts.
  core::MemberSet wait_for = membership_.set().wait_for();
  gate_.start(id, wait_for);
  WriteContext context;
  context.id = id;
  context.header.type = wire::Type::kFlush;
  co_await send_to_all(context, wait_for & membership_.set().send_to());
  settle_no_space(context);
  auto complete = co_await gate_.completion(id);
  gate_.leave(id);
  CO_TRY(context.result);
  co_return complete;
}

}  // namespace cleat::engine
