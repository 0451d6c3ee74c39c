// What every part of the control logic works with. Everything comes in here: no clock, randomness
// or environment is reached for elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/time.h"
#include "control/keys.h"
#include "control/meta_store.h"
#include "control/node_directory.h"
#include "core/placement.h"

namespace cleat::control {

struct ControlLimits {
  core::PlacementLimits placement;
  Duration node_lease = 6s;        // a node is offline when its lease ran out
  Duration replica_delay = 600s;   // an offline node's replicas are made elsewhere after this
  Duration follow_delay = 30s;     // a volume that follows stays attached for this long before
  uint32_t follow_copies_max = 4;  // replicas that are being built on a node it follows to
  Duration half_done_after = 60s;  // a create that didn't finish in this time is undone
  // A primary whose node is offline for this long is replaced by a sharer; one that is only
  // restarted is not: it would be expelled. After an orderly stop that left devices in use, as that
  // of an upgrade, it may be away for longer.
  Duration takeover_after = 4s;
  Duration takeover_after_stop = 60s;
  Duration lost_device_after = 15s;  // a primary without its device is replaced by a sharer
  Duration alert_kept = std::chrono::hours{24};
  double pool_nearly_full = 0.85;  // used share that raises an alert
  uint32_t snapshots_per_volume = 256;
  Duration group_hold_max = 2s;  // writes of a group being snapshotted go on after this
};

struct ControlContext {
  MetaStore& store;
  Keys keys;
  NodeDirectory& nodes;
  NodeId self;
  std::string cluster;
  std::string version;
  std::function<uint64_t()> now_unix_ms;
  std::function<uint64_t()> random;
  ControlLimits limits;

  // Random decimals of up to 18 digits, never 0.
  uint64_t new_id() const { return 1 + random() % 999'999'999'999'999'999ULL; }
};

}  // namespace cleat::control
