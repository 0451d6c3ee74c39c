#include "control/record_codec.h"

#include <set>

namespace cleat::control {
namespace {

constexpr int kSnapshotsMax = 4096;

bool parse(google::protobuf::MessageLite& message, std::string_view bytes) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

meta::ReplicaState to_proto(core::ReplicaState state) {
  switch (state) {
    case core::ReplicaState::kInSync: return meta::IN_SYNC;
    case core::ReplicaState::kStale: return meta::STALE;
    case core::ReplicaState::kNew: return meta::NEW;
  }
  return meta::REPLICA_STATE_UNKNOWN;
}

Outcome<core::ReplicaState> from_proto(meta::ReplicaState state) {
  switch (state) {
    case meta::IN_SYNC: return core::ReplicaState::kInSync;
    case meta::STALE: return core::ReplicaState::kStale;
    case meta::NEW: return core::ReplicaState::kNew;
    default: return failure(Code::kCorrupt, "a replica has the unknown state {}", int{state});
  }
}

}  // namespace

meta::Replica to_proto(const core::ReplicaRecord& replica) {
  meta::Replica out;
  out.set_index(replica.index);
  out.set_node(replica.node.value);
  out.set_pool(replica.pool.value);
  out.set_state(to_proto(replica.state));
  out.set_left_at(replica.left_at.value);
  out.set_complete_from(replica.complete_from.value);
  return out;
}

meta::VolumeRecord to_proto(const core::VolumeRecord& record) {
  meta::VolumeRecord out;
  out.set_id(record.id.value);
  out.set_size_blocks(record.size_blocks);
  out.set_epoch(record.epoch.value);
  out.set_primary(record.primary.value);
  out.set_clean(record.clean);
  out.set_opened(record.opened.value);
  out.set_generation(record.generation.value);
  for (const auto& replica : record.replicas) *out.add_replicas() = to_proto(replica);
  for (const auto& snapshot : record.snapshots) {
    auto* entry = out.add_snapshots();
    entry->set_id(snapshot.id.value);
    entry->set_name(snapshot.name);
    entry->set_created_unix_ms(snapshot.created_unix_ms);
    entry->set_size_blocks(snapshot.size_blocks);
    entry->set_taken_at(snapshot.taken_at.value);
  }
  for (NodeId sharer : record.sharers) out.add_sharers(sharer.value);
  out.set_restoring(record.restoring.value);
  out.set_parent_volume(record.parent_volume.value);
  out.set_parent_snapshot(record.parent_snapshot.value);
  return out;
}

Outcome<core::ReplicaRecord> from_proto(const meta::Replica& replica) {
  if (replica.index() >= core::kNoMember) {
    return failure(Code::kCorrupt, "a replica has the impossible index {}", replica.index());
  }
  core::ReplicaRecord out;
  OUTCOME_ASSIGN(out.state, from_proto(replica.state()));
  out.index = static_cast<core::MemberIndex>(replica.index());
  out.node = NodeId{replica.node()};
  out.pool = PoolId{replica.pool()};
  out.left_at = Generation{replica.left_at()};
  out.complete_from = Generation{replica.complete_from()};
  return out;
}

Outcome<core::VolumeRecord> from_proto(const meta::VolumeRecord& record) {
  if (record.replicas_size() > static_cast<int>(core::kReplicasMax) ||
      record.snapshots_size() > kSnapshotsMax || record.id() == 0 ||
      record.sharers_size() > static_cast<int>(core::kSharersMax)) {
    return failure(
        Code::kCorrupt, "volume {} has {} replicas, {} snapshots and {} sharers in its record",
        record.id(), record.replicas_size(), record.snapshots_size(), record.sharers_size());
  }
  core::VolumeRecord out;
  out.id = VolumeId{record.id()};
  out.size_blocks = record.size_blocks();
  out.epoch = Epoch{record.epoch()};
  out.primary = NodeId{record.primary()};
  out.clean = record.clean();
  out.opened = Epoch{record.opened()};
  out.generation = Generation{record.generation()};
  std::set<core::MemberIndex> seen;
  for (const auto& replica : record.replicas()) {
    OUTCOME_ASSIGN(core::ReplicaRecord entry, from_proto(replica));
    if (!seen.insert(entry.index).second) {
      return failure(Code::kCorrupt, "volume {} has two replicas with index {}", record.id(),
                     entry.index);
    }
    out.replicas.push_back(entry);
  }
  for (const auto& snapshot : record.snapshots()) {
    out.snapshots.push_back({SnapshotId{snapshot.id()}, snapshot.name(), snapshot.created_unix_ms(),
                             snapshot.size_blocks(), Generation{snapshot.taken_at()}});
  }
  for (uint64_t sharer : record.sharers()) out.sharers.push_back(NodeId{sharer});
  out.restoring = SnapshotId{record.restoring()};
  out.parent_volume = VolumeId{record.parent_volume()};
  out.parent_snapshot = SnapshotId{record.parent_snapshot()};
  return out;
}

std::string encode_record(const core::VolumeRecord& record) {
  return to_proto(record).SerializeAsString();
}

Outcome<core::VolumeRecord> decode_record(std::string_view bytes) {
  meta::VolumeRecord record;
  if (!parse(record, bytes)) {
    return failure(Code::kCorrupt, "a volume's record of {} bytes can't be read", bytes.size());
  }
  return from_proto(record);
}

std::string catalog_record(std::string_view spec, const core::VolumeRecord& record) {
  meta::CatalogRecord out;
  *out.mutable_record() = to_proto(record);
  out.set_spec(std::string{spec});
  return out.SerializeAsString();
}

std::string replace_record(std::string_view catalog, const core::VolumeRecord& record) {
  meta::CatalogRecord out;
  if (!parse(out, catalog)) out.Clear();
  *out.mutable_record() = to_proto(record);
  return out.SerializeAsString();
}

std::string replace_spec(std::string_view catalog, std::string_view spec) {
  meta::CatalogRecord out;
  if (!parse(out, catalog)) out.Clear();
  out.set_spec(std::string{spec});
  return out.SerializeAsString();
}

Outcome<CatalogContents> decode_catalog(std::string_view catalog) {
  meta::CatalogRecord stored;
  if (!parse(stored, catalog)) {
    return failure(Code::kCorrupt, "a replica's catalog entry of {} bytes can't be read",
                   catalog.size());
  }
  CatalogContents out;
  OUTCOME_ASSIGN(out.record, from_proto(stored.record()));
  if (!parse(out.spec, stored.spec())) {
    return failure(Code::kCorrupt,
                   "the spec in a replica's catalog entry of volume {} can't be read",
                   out.record.id.value);
  }
  return out;
}

std::string catalog_spec(std::string_view catalog) {
  meta::CatalogRecord stored;
  return parse(stored, catalog) ? stored.spec() : std::string{};
}

}  // namespace cleat::control
