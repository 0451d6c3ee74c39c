// Whether a volume is well, in the two shapes that CSI has for it. Pure.
#pragma once

#include <string>
#include <vector>

#include "csi/capabilities.h"
#include "csi/cleatd.h"

namespace cleat::csi {

struct Problem {
  spec::VolumeHealthErrorType kind = spec::UNKNOWN_VOLUME_HEALTH_TYPE;
  std::string reason;   // one word
  std::string message;  // a sentence
};

// What the volume itself has; `stalled` is known from Inspect only.
std::vector<Problem> problems_of(const api::Volume& volume);
// The file system is smaller than the device, and can't grow while it is mounted.
Problem growth_pending(uint64_t fs_bytes, uint64_t device_bytes);

spec::VolumeCondition to_condition(const std::vector<Problem>& problems);
spec::VolumeHealth to_health(const std::string& volume_id, const std::vector<Problem>& problems);

// Where it is published: the node it is attached to.
std::vector<std::string> published_nodes(const api::Volume& volume);

}  // namespace cleat::csi
