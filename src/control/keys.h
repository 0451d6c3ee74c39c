// Where each thing is in the metadata store (docs/formats/metadata.md). Ids are decimals.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/ids.h"

namespace cleat::control {

class Keys {
 public:
  explicit Keys(std::string_view cluster) : root_("/cleat/" + std::string{cluster} + "/") {}

  const std::string& root() const { return root_; }
  std::string cluster() const { return root_ + "cluster"; }
  std::string nodes() const { return root_ + "nodes/"; }
  std::string node(NodeId id) const { return nodes() + text(id.value); }
  std::string node_name(std::string_view name) const {
    return root_ + "node_names/" + std::string{name};
  }
  std::string alive() const { return root_ + "alive/"; }
  std::string alive(NodeId id) const { return alive() + text(id.value); }
  std::string pools() const { return root_ + "pools/"; }
  std::string pool(PoolId id) const { return pools() + text(id.value); }
  std::string specs() const { return root_ + "volumes/"; }
  std::string spec(VolumeId id) const { return specs() + text(id.value); }
  std::string records() const { return root_ + "records/"; }
  std::string record(VolumeId id) const { return records() + text(id.value); }
  std::string name(std::string_view name) const { return root_ + "names/" + std::string{name}; }
  std::string snapshots() const { return root_ + "snapshots/"; }
  std::string snapshot(SnapshotId id) const { return snapshots() + text(id.value); }
  std::string tombstones() const { return root_ + "deleted/"; }
  std::string tombstone(VolumeId id) const { return tombstones() + text(id.value); }
  std::string alerts() const { return root_ + "alerts/"; }
  std::string alert(std::string_view key) const { return alerts() + std::string{key}; }
  std::string election(std::string_view work) const {
    return root_ + "election/" + std::string{work};
  }

  static std::string text(uint64_t id) { return std::to_string(id); }
  // The id at the end of a key; none when it is not a decimal.
  static std::optional<uint64_t> id_of(std::string_view key) {
    std::string_view digits = key.substr(key.rfind('/') + 1);
    uint64_t id = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return id;
  }

 private:
  std::string root_;
};

}  // namespace cleat::control
