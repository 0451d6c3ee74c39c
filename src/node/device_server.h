// Port: makes an open volume reachable as a device, by one frontend.
//
// Threading: the loop.
#pragma once

#include <string>
#include <vector>

#include "control/failure.h"
#include "control/node_types.h"
#include "engine/block_device.h"
#include "io/task.h"

namespace cleat::node {

class DeviceServer {
 public:
  virtual ~DeviceServer() = default;
  // Serves `device` from now on; what an earlier process had no answer for has all reached it when
  // this returns. It must live until withdraw() has returned.
  virtual io::Task<control::Outcome<control::AttachedVolume>> serve(
      VolumeId volume, std::string name, engine::BlockDevice& device) = 0;
  // An earlier process of this node served it, and its users may wait for answers.
  virtual io::Task<control::Outcome<bool>> holds(VolumeId volume) = 0;
  // Ends it. kBusy while it is in use, unless `force`.
  virtual io::Task<control::Outcome<>> withdraw(VolumeId volume, bool force) = 0;
  // False once the device is gone without a withdraw().
  virtual bool serves(VolumeId volume) const = 0;
  // The volume has grown.
  virtual io::Task<control::Outcome<>> resized(VolumeId volume) = 0;
  // Ends all serving. Devices in use stay, without answers, for the next process where the frontend
  // can.
  virtual io::Task<void> leave() = 0;
};

}  // namespace cleat::node
