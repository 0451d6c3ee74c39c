// engine::VolumeRegistry over control::RecordStore, whose calls block: they run on the blocking
// pool.
//
// Threading: the loop.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <string>

#include "control/keys.h"
#include "control/record_store.h"
#include "engine/volume_registry.h"
#include "node/blocking_pool.h"

namespace cleat::node {

class EtcdRegistry final : public engine::VolumeRegistry {
 public:
  // `resolve` is called on a blocking thread for each node that a loaded record names.
  EtcdRegistry(BlockingPool& blocking, control::MetaStore& store, control::Keys keys,
               std::function<void(NodeId)> resolve);

  io::Task<Result<engine::VersionedRecord>> load(VolumeId volume) override;
  io::Task<Result<uint64_t>> compare_and_store(uint64_t revision,
                                               const core::VolumeRecord& next) override;
  // With the volume's spec as load() last saw it (R11).
  std::string encode(const core::VolumeRecord& record) const override;

 private:
  BlockingPool& blocking_;
  control::MetaStore& store_;
  control::Keys keys_;
  control::RecordStore records_;
  std::function<void(NodeId)> resolve_;
  absl::flat_hash_map<VolumeId, std::string> specs_;
};

}  // namespace cleat::node
