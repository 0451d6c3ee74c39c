#include "control/group_snapshots.h"

#include <algorithm>
#include <set>
#include <thread>

#include "common/log.h"
#include "control/api_views.h"
#include "control/typed_store.h"
#include "control/validate.h"

namespace cleat::control {

struct GroupSnapshots::Member {
  VolumeView volume;
  meta::Snapshot snapshot;
  std::shared_ptr<NodeHandle> node;
};

namespace {

// Runs the work for each at the same time; the first failure in the order of the members.
template <class Member, class Work>
Outcome<> on_each(std::vector<Member>& members, Work work) {
  std::vector<Outcome<>> results(members.size());
  {
    std::vector<std::jthread> threads;
    threads.reserve(members.size());
    for (size_t i = 0; i < members.size(); ++i) {
      threads.emplace_back([&, i] { results[i] = work(members[i]); });
    }
  }
  for (auto& result : results) OUTCOME_TRY(result);
  return {};
}

size_t group_size(const ClusterView& view, uint64_t group) {
  size_t count = 0;
  for (const auto& [id, volume] : view.volumes) {
    for (const auto& snapshot : volume.snapshots) count += snapshot.group() == group ? 1 : 0;
  }
  return count;
}

Outcome<> validate_members(const v1::SnapshotGroupRequest& request) {
  if (request.members().empty() || request.members_size() > kGroupMembersMax) {
    return failure(Code::kInvalidArgument, "a group snapshot is of 1 to {} volumes, not of {}",
                   kGroupMembersMax, request.members_size());
  }
  return validate_labels(request.labels());
}

}  // namespace

Outcome<GroupSnapshots::Members> GroupSnapshots::load_members(
    const v1::SnapshotGroupRequest& request) {
  OUTCOME_TRY(validate_members(request));
  const uint64_t group = context_.new_id();
  const uint64_t now = context_.now_unix_ms();
  Members members;
  std::set<VolumeId> seen;
  std::set<std::string> names;
  for (const auto& asked : request.members()) {
    Member member;
    OUTCOME_ASSIGN(member.volume, load_volume(context_, asked.volume()));
    meta::Snapshot& snapshot = member.snapshot;
    snapshot.set_id(context_.new_id());
    snapshot.set_volume(member.volume.id().value);
    snapshot.set_created_unix_ms(now);
    snapshot.set_name(asked.name().empty() ? default_snapshot_name(member.volume.spec.name(), now)
                                           : asked.name());
    *snapshot.mutable_labels() = request.labels();
    snapshot.set_state(meta::Snapshot::CREATING);
    snapshot.set_group(group);
    OUTCOME_TRY(validate_name(snapshot.name(), "snapshot"));
    const bool twice = !seen.insert(member.volume.id()).second;
    if (twice || !names.insert(snapshot.name()).second) {
      return failure(Code::kInvalidArgument, "{} is named twice in the group",
                     twice ? asked.volume() : snapshot.name());
    }
    members.push_back(std::move(member));
  }
  return members;
}

Outcome<std::optional<v1::SnapshotGroupResponse>> GroupSnapshots::existing(const Members& members) {
  Members found;
  for (const Member& member : members) {
    OUTCOME_ASSIGN(auto name,
                   load<meta::Name>(context_.store, context_.keys.name(member.snapshot.name())));
    if (!name) continue;
    const meta::Name& is = name->value;
    if (is.volume() != member.volume.id().value || is.snapshot() == 0) {
      return failure(Code::kAlreadyExists, "the name \"{}\" is taken", member.snapshot.name());
    }
    OUTCOME_ASSIGN(
        auto snapshot,
        load<meta::Snapshot>(context_.store, context_.keys.snapshot(SnapshotId{is.snapshot()})));
    if (!snapshot || snapshot->value.state() != meta::Snapshot::UP) {
      return failure(Code::kConflict, "snapshot {} is being made or deleted: try again",
                     member.snapshot.name());
    }
    found.push_back({member.volume, std::move(snapshot->value), nullptr});
  }
  if (found.empty()) return std::nullopt;
  const uint64_t group = found.front().snapshot.group();
  const bool same = group != 0 && std::all_of(found.begin(), found.end(), [&](const Member& one) {
                      return one.snapshot.group() == group;
                    });
  OUTCOME_ASSIGN(ClusterView view, ClusterView::load(context_));
  if (!same || found.size() != members.size() || group_size(view, group) != members.size()) {
    return failure(Code::kAlreadyExists,
                   "a snapshot named \"{}\" exists, and is not of a group of these volumes: "
                   "choose other names, or delete it",
                   found.front().snapshot.name());
  }
  OUTCOME_ASSIGN(v1::SnapshotGroupResponse out, show(found, group));
  return out;
}

// The specs are written again as they are: a deletion or an attach under way loses its compare.
Outcome<Revision> GroupSnapshots::reserve(Members& members) {
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  Txn txn;
  for (Member& member : members) {
    const VolumeView& volume = member.volume;
    const std::string& name = volume.spec.name();
    if (volume.snapshots.size() >= context_.limits.snapshots_per_volume) {
      return failure(Code::kLimit,
                     "volume {} has {} snapshots already, which is the limit: delete some", name,
                     volume.snapshots.size());
    }
    if (volume.spec.state() != meta::VolumeSpec::UP) {
      return failure(Code::kBusy, "volume {} is being created or deleted", name);
    }
    if ((volume.spec.has_attachment() || volume.in_use()) && !volume.attached()) {
      return failure(Code::kConflict, "volume {} is being attached or detached: try again", name);
    }
    OUTCOME_ASSIGN(member.node, ops_.serving_node(volume, topology));
    meta::Name taken;
    taken.set_volume(volume.id().value);
    taken.set_snapshot(member.snapshot.id());
    txn.require_absent(context_.keys.name(member.snapshot.name()))
        .require(context_.keys.spec(volume.id()), volume.spec_revision)
        .put(context_.keys.name(member.snapshot.name()), taken.SerializeAsString())
        .put(context_.keys.snapshot(SnapshotId{member.snapshot.id()}),
             member.snapshot.SerializeAsString())
        .put(context_.keys.spec(volume.id()), volume.spec.SerializeAsString());
  }
  auto reserved = context_.store.commit(txn);
  if (reserved || reserved.error().code != Code::kConflict) return reserved;
  return failure(Code::kConflict, "a volume or a name of the group was just changed: try again");
}

Outcome<> GroupSnapshots::freeze(Members& members) {
  return on_each(members, [](Member& member) -> Outcome<> {
    const core::SnapshotRecord layer{SnapshotId{member.snapshot.id()}, member.snapshot.name(),
                                     member.snapshot.created_unix_ms(),
                                     member.volume.record.size_blocks};
    auto frozen = member.node->ports().volumes.snapshot(member.volume.id(), layer);
    if (frozen) return {};
    return failure(frozen.error().code, "volume {}: {}", member.volume.spec.name(),
                   frozen.error().message);
  });
}

// Every hold is released, whatever failed; a hold whose release is lost ends by itself.
Outcome<> GroupSnapshots::hold_and_freeze(Members& members) {
  const uint64_t hold = context_.new_id();
  auto held = on_each(members, [&](Member& member) -> Outcome<> {
    if (!member.volume.attached()) return {};
    return member.node->ports().holds.hold(member.volume.id(), hold,
                                           context_.limits.group_hold_max);
  });
  Outcome<> frozen = held;
  if (held) frozen = freeze(members);
  auto released = on_each(members, [&](Member& member) -> Outcome<> {
    if (!member.volume.attached()) return {};
    return member.node->ports().holds.release(member.volume.id(), hold);
  });
  OUTCOME_TRY(frozen);
  return released;
}

Outcome<> GroupSnapshots::commit(Members& members, Revision reserved) {
  Txn txn;
  for (Member& member : members) {
    const std::string key = context_.keys.snapshot(SnapshotId{member.snapshot.id()});
    member.snapshot.set_state(meta::Snapshot::UP);
    txn.require(key, reserved).put(key, member.snapshot.SerializeAsString());
    if (member.volume.attached()) continue;
    txn.require(context_.keys.spec(member.volume.id()), reserved);
  }
  auto written = context_.store.commit(txn);
  if (written) return {};
  if (written.error().code != Code::kConflict) return tl::unexpected(written.error());
  return failure(Code::kConflict,
                 "a volume of the group was attached or changed meanwhile: try again");
}

void GroupSnapshots::undo(const Members& members) {
  for (const Member& member : members) {
    meta::Snapshot creating = member.snapshot;
    creating.set_state(meta::Snapshot::CREATING);
    auto undone = snapshots_.finish(member.volume, creating);
    if (!undone) LOG_INFO("snapshot {}: {}", creating.name(), undone.error().message);
  }
}

Outcome<v1::SnapshotGroupResponse> GroupSnapshots::show(const Members& members, uint64_t group) {
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  v1::SnapshotGroupResponse out;
  out.set_group(Keys::text(group));
  for (const Member& member : members) {
    OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, member.volume.id()));
    *out.add_snapshots() = snapshot_to_api(volume, member.snapshot, topology);
  }
  return out;
}

Outcome<v1::SnapshotGroupResponse> GroupSnapshots::create(const v1::SnapshotGroupRequest& request) {
  OUTCOME_ASSIGN(Members members, load_members(request));
  OUTCOME_ASSIGN(auto known, existing(members));
  if (known) return *known;
  OUTCOME_ASSIGN(Revision reserved, reserve(members));
  const uint64_t begin = context_.now_unix_ms();
  Outcome<> made = hold_and_freeze(members);
  const uint64_t end = context_.now_unix_ms();
  bool known_undone = true;
  if (made) {
    made = commit(members, reserved);
    // A commit of which nothing is known may have happened: then the next call finds it made.
    known_undone = made || made.error().code == Code::kConflict;
  }
  if (!made) {
    if (known_undone) undo(members);
    return failure(made.error().code, "the group snapshot is not made: {}", made.error().message);
  }
  OUTCOME_ASSIGN(v1::SnapshotGroupResponse out, show(members, members.front().snapshot.group()));
  out.set_held_ms(end - begin);
  return out;
}

}  // namespace cleat::control
