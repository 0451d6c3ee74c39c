#include "core/in_sync_set.h"

#include "common/check.h"

namespace cleat::core {

InSyncSet::InSyncSet(const VolumeRecord& record) { adopt(record); }

void InSyncSet::adopt(const VolumeRecord& record) {
  MemberSet known;
  for (const ReplicaRecord& replica : record.replicas) {
    known.add(replica.index);
    if (replica.state == ReplicaState::kInSync) {
      in_sync_.add(replica.index);
      behind_.remove(replica.index);
      syncing_.remove(replica.index);
      joining_.remove(replica.index);
    } else {
      in_sync_.remove(replica.index);
      leaving_.remove(replica.index);
      if (!syncing_.contains(replica.index)) behind_.add(replica.index);
    }
  }
  for (MemberSet* set : {&in_sync_, &leaving_, &syncing_, &behind_, &joining_}) *set = *set & known;
}

InSyncSet::Failed InSyncSet::fail(MemberIndex member) {
  if (syncing_.contains(member)) {
    // A join under way may still be committed: then the member is in sync and leaves by a
    // transaction.
    if (under_way_ && pending_.joined.contains(member)) {
      leaving_.add(member);
      return Failed::kLeaving;
    }
    syncing_.remove(member);
    joining_.remove(member);
    behind_.add(member);
    return Failed::kDropped;
  }
  if (!healthy().contains(member)) return Failed::kAlready;
  if ((staying() - MemberSet{member}).empty()) return Failed::kLast;
  leaving_.add(member);
  return Failed::kLeaving;
}

void InSyncSet::begin_sync(MemberIndex member) {
  CHECK(behind_.contains(member), "only a member that is behind starts to sync");
  behind_.remove(member);
  syncing_.add(member);
}

void InSyncSet::request_join(MemberIndex member) {
  if (syncing_.contains(member)) joining_.add(member);
}

std::optional<VolumeRecord> InSyncSet::next_change(const VolumeRecord& current,
                                                   Generation left_at) {
  MemberSet leave = leaving_ & in_sync_;
  if (under_way_ || (leave.empty() && joining_.empty())) return std::nullopt;
  CHECK(!healthy().empty(), "R10: the last healthy member never leaves");

  VolumeRecord next = current;
  for (ReplicaRecord& replica : next.replicas) {
    if (leave.contains(replica.index)) {
      replica.state = ReplicaState::kStale;
      replica.left_at = left_at;
    } else if (joining_.contains(replica.index)) {
      replica.state = ReplicaState::kInSync;
      replica.left_at = Generation{};
      replica.complete_from = left_at;
    }
  }
  under_way_ = true;
  pending_ = Outcome{leave, joining_};
  return next;
}

InSyncSet::Outcome InSyncSet::committed() {
  CHECK(under_way_, "a change was under way");
  under_way_ = false;
  Outcome outcome = std::exchange(pending_, {});
  in_sync_ = (in_sync_ - outcome.left) | outcome.joined;
  leaving_ = leaving_ - outcome.left;
  syncing_ = syncing_ - outcome.joined;
  joining_ = joining_ - outcome.joined;
  behind_ = behind_ | outcome.left;
  return outcome;
}

void InSyncSet::conflicted(const VolumeRecord& stored) {
  CHECK(under_way_, "a change was under way");
  under_way_ = false;
  MemberSet failed = pending_.joined & leaving_;
  pending_ = {};
  adopt(stored);
  // What failed while its join was under way is behind again if it did not join. If it did, it goes
  // on leaving, and only a transaction takes it out (R2).
  failed = failed & syncing_;
  leaving_ = leaving_ - failed;
  joining_ = joining_ - failed;
  syncing_ = syncing_ - failed;
  behind_ = behind_ | failed;
}

}  // namespace cleat::core
