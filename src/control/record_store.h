// The volumes' records (core::VolumeRecord) as the engine needs them: load, and compare-and-set
// (R2, R3). Specs live in other keys, so a record is changed without touching what people asked
// for.
//
// Threading: any thread; calls block for at most the store's call timeout (5 s with etcd). An
// engine on an event loop calls it on a helper thread and posts the answer back.
#pragma once

#include "control/keys.h"
#include "control/meta_store.h"
#include "core/types.h"

namespace cleat::control {

class RecordStore {
 public:
  RecordStore(MetaStore& store, Keys keys) : store_(store), keys_(std::move(keys)) {}

  // kNotFound, kCorrupt, kUnreachable, kTimedOut.
  Outcome<Versioned<core::VolumeRecord>> load(VolumeId volume);
  // The record's new revision. kConflict: it changed since `expected`, load again. kNotFound: the
  // volume was deleted. kUnreachable, kTimedOut: unknown whether it happened; call again with the
  // same values, which succeeds if it did.
  Outcome<Revision> compare_and_store(Revision expected, const core::VolumeRecord& record);
  // Calls back with each change of any record after now; a nullopt record: deleted. On a store's
  // thread.
  using Changed = std::function<void(VolumeId, std::optional<Versioned<core::VolumeRecord>>)>;
  Outcome<std::unique_ptr<Watch>> watch(Changed changed);

 private:
  MetaStore& store_;
  Keys keys_;
};

}  // namespace cleat::control
