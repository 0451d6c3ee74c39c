// Which ways of using a volume there are. Pure.
//
// Modes of several nodes make the volume a shared one. Writing from several nodes is possible for
// raw devices only: two nodes that mount one ext4 or xfs destroy it.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>

#include "api/csi.pb.h"
#include "common/failure.h"

namespace cleat::csi {

namespace spec = ::csi::v1;

struct Usage {
  bool block = false;      // a raw device, else a mounted file system
  bool read_only = false;  // by the access mode
  bool single_writer = false;
  bool many_nodes = false;  // published to several nodes at once
  std::string fs;           // asked for; empty: not
};

// kInvalidArgument says what is missing or not possible.
Outcome<Usage> parse_capability(const spec::VolumeCapability& capability);
// All of one list, which must agree on device or file system.
Outcome<Usage> parse_capabilities(
    const google::protobuf::RepeatedPtrField<spec::VolumeCapability>& capabilities);

}  // namespace cleat::csi
