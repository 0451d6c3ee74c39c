#include "control/record_store.h"

#include "common/log.h"
#include "control/record_codec.h"

namespace cleat::control {

Outcome<Versioned<core::VolumeRecord>> RecordStore::load(VolumeId volume) {
  OUTCOME_ASSIGN(auto found, store_.get(keys_.record(volume)));
  if (!found) return failure(Code::kNotFound, "volume {} has no record in etcd", volume.value);
  OUTCOME_ASSIGN(core::VolumeRecord record, decode_record(found->value));
  if (record.id != volume) {
    return failure(Code::kCorrupt, "the record of volume {} names volume {}", volume.value,
                   record.id.value);
  }
  return Versioned<core::VolumeRecord>{std::move(record), found->revision};
}

Outcome<Revision> RecordStore::compare_and_store(Revision expected,
                                                 const core::VolumeRecord& record) {
  const std::string key = keys_.record(record.id);
  auto done = store_.commit(Txn{}.require(key, expected).put(key, encode_record(record)));
  if (done || done.error().code != Code::kConflict) return done;
  // An earlier call whose answer was lost may have stored just this.
  OUTCOME_ASSIGN(auto now, load(record.id));
  if (now.value == record) return now.revision;
  return failure(Code::kConflict, "the record of volume {} was changed by another node",
                 record.id.value);
}

Outcome<std::unique_ptr<Watch>> RecordStore::watch(Changed changed) {
  OUTCOME_ASSIGN(StoreIdentity now, store_.identity());
  return store_.watch(keys_.records(), now.revision, [changed](const auto& events) {
    for (const auto& event : events) {
      auto id = Keys::id_of(event.key);
      if (!id) continue;
      if (!event.value) {
        changed(VolumeId{*id}, std::nullopt);
        continue;
      }
      auto record = decode_record(*event.value);
      if (!record) {
        LOG_WARN("etcd holds a record of volume {} that can't be read: {}", *id,
                 record.error().message);
        continue;
      }
      changed(VolumeId{*id}, Versioned<core::VolumeRecord>{std::move(*record), event.revision});
    }
  });
}

}  // namespace cleat::control
