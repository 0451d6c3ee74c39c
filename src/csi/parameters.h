// What a StorageClass (`parameters`) and a VolumeAttributesClass (mutable parameters) ask for, in
// the keys that users of Portworx know. Pure.
#pragma once

#include <google/protobuf/map.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/control.pb.h"
#include "common/failure.h"

namespace cleat::csi {

using ParameterMap = google::protobuf::Map<std::string, std::string>;

struct Parameters {
  uint32_t ha = 1;
  bool ha_given = false;
  std::string fs;  // empty: not given
  cleat::control::v1::IoPriority io_priority = cleat::control::v1::IO_PRIORITY_UNSPECIFIED;
  cleat::control::v1::IoProfile io_profile = cleat::control::v1::IO_PROFILE_UNSPECIFIED;
  std::string group;
  bool group_enforced = false;  // fg
  std::optional<bool> follow;
  std::optional<bool> shared;
  std::vector<std::string> nodes;
  std::vector<std::string> racks;
  std::vector<std::string> zones;
  std::map<std::string, std::string> labels;
  std::vector<std::string> mount_options;
};

// The mutable ones go before the others. kInvalidArgument names the key, the nearest known one and
// what to do. Keys of the sidecars (csi.storage.k8s.io/...) are passed over.
Outcome<Parameters> parse_parameters(const ParameterMap& parameters,
                                     const ParameterMap& mutable_parameters);
// Those alone that can change while the volume lives: repl, priority_io, io_profile, follow,
// labels.
Outcome<Parameters> parse_mutable_parameters(const ParameterMap& mutable_parameters);
// Of a VolumeSnapshotClass or VolumeGroupSnapshotClass: labels.
Outcome<std::map<std::string, std::string>> parse_snapshot_parameters(
    const ParameterMap& parameters);

// A text that is the same for the same wishes, whatever the order of the keys.
std::string fingerprint(const std::vector<const ParameterMap*>& maps, const std::string& more);

}  // namespace cleat::csi
