// Snapshots of several volumes at one point in time: SnapshotGroup of api/control.proto.
//
// Why the state is one: the writes of every attached member are held before the first is frozen,
// and released after the last; each release confirms that its hold was on all the time, so there
// was a moment at which no member could acknowledge a write, and every snapshot holds exactly what
// was acknowledged before it. A member that is detached has no writes: the transaction at the end
// only happens if nobody asked for its device meanwhile (every attach writes the spec first).
// Why all or none: one transaction makes all of them UP; until then they are CREATING with a group,
// which SnapshotManager::finish() only ever takes back.
//
// Threading: any thread; one more for each member while it runs.
#pragma once

#include "api/control.pb.h"
#include "control/snapshot_manager.h"

namespace cleat::control {

inline constexpr int kGroupMembersMax = 32;  // 4 keys each in one transaction of etcd (128)

class GroupSnapshots {
 public:
  GroupSnapshots(const ControlContext& context, VolumeManager& volumes, SnapshotManager& snapshots)
      : context_(context), ops_(context), volumes_(volumes), snapshots_(snapshots) {}

  Outcome<v1::SnapshotGroupResponse> create(const v1::SnapshotGroupRequest& request);

 private:
  struct Member;
  using Members = std::vector<Member>;

  Outcome<Members> load_members(const v1::SnapshotGroupRequest& request);
  // The answer of a repeated call; nothing when none of the snapshots exists.
  Outcome<std::optional<v1::SnapshotGroupResponse>> existing(const Members& members);
  Outcome<Revision> reserve(Members& members);
  Outcome<> hold_and_freeze(Members& members);
  Outcome<> freeze(Members& members);
  Outcome<> commit(Members& members, Revision reserved);
  void undo(const Members& members);
  Outcome<v1::SnapshotGroupResponse> show(const Members& members, uint64_t group);

  const ControlContext& context_;
  VolumeOps ops_;
  VolumeManager& volumes_;
  SnapshotManager& snapshots_;
};

}  // namespace cleat::control
