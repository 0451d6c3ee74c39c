#include "node/etcd_registry.h"

#include "control/record_codec.h"

namespace cleat::node {
namespace {

struct Loaded {
  control::Outcome<control::Versioned<core::VolumeRecord>> record;
  std::string spec;
};

tl::unexpected<Error> code_of(const control::Failure& failure) {
  return fail(failure.code, "the metadata store refused or did not answer");
}

}  // namespace

EtcdRegistry::EtcdRegistry(BlockingPool& blocking, control::MetaStore& store, control::Keys keys,
                           std::function<void(NodeId)> resolve)
    : blocking_(blocking),
      store_(store),
      keys_(keys),
      records_(store, keys),
      resolve_(std::move(resolve)) {}

io::Task<Result<engine::VersionedRecord>> EtcdRegistry::load(VolumeId volume) {
  auto work = [this, volume] {
    Loaded loaded{records_.load(volume), {}};
    if (!loaded.record) return loaded;
    const core::VolumeRecord& record = loaded.record->value;
    for (const core::ReplicaRecord& replica : record.replicas) resolve_(replica.node);
    // Its sharers ask it, wherever the replicas are.
    if (record.primary != NodeId{}) resolve_(record.primary);
    auto spec = store_.get(keys_.spec(volume));
    if (spec && *spec) loaded.spec = (*spec)->value;
    return loaded;
  };
  Loaded loaded = co_await blocking_.run(work);
  if (!loaded.record) co_return code_of(loaded.record.error());
  if (!loaded.spec.empty()) specs_[volume] = std::move(loaded.spec);
  engine::VersionedRecord record;
  record.record = std::move(loaded.record->value);
  record.revision = static_cast<uint64_t>(loaded.record->revision.value);
  co_return record;
}

io::Task<Result<uint64_t>> EtcdRegistry::compare_and_store(uint64_t revision,
                                                           const core::VolumeRecord& next) {
  auto work = [this, revision, &next] {
    for (const core::ReplicaRecord& replica : next.replicas) resolve_(replica.node);
    return records_.compare_and_store(control::Revision(static_cast<int64_t>(revision)), next);
  };
  auto stored = co_await blocking_.run(work);
  if (!stored) co_return code_of(stored.error());
  co_return static_cast<uint64_t>(stored->value);
}

std::string EtcdRegistry::encode(const core::VolumeRecord& record) const {
  auto spec = specs_.find(record.id);
  return control::catalog_record(spec == specs_.end() ? std::string_view{} : spec->second, record);
}

}  // namespace cleat::node
