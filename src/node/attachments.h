// The volumes that are open on this node: attached (with a device), or open without one for a
// while, to heal or for one change. And the devices of shared volumes (ADR 9), which may be open on
// another node.
//
// Threading: the loop. Calls for one volume are taken in turn.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/node_types.h"
#include "engine/shared_device.h"
#include "io/task_group.h"
#include "node/device_server.h"
#include "node/open_volume.h"

namespace cleat::node {

class Attachments {
 public:
  Attachments(engine::VolumeContext context, engine::ShareLink& link, engine::ShareService& shares,
              DeviceServer& fuse, DeviceServer& nbd);
  ~Attachments();

  io::Task<control::Outcome<control::AttachedVolume>> attach(VolumeId volume,
                                                             control::AttachOptions options);
  // A volume whose device an earlier process of this node served; the device is still there.
  // kStaleEpoch: another node may have had the volume since, so the device can only end.
  io::Task<control::Outcome<control::AttachedVolume>> resume(VolumeId volume,
                                                             control::AttachOptions options);
  io::Task<control::Outcome<>> detach(VolumeId volume, bool force);
  io::Task<control::Outcome<>> heal(VolumeId volume);
  std::vector<control::AttachedVolume> attached() const;

  // Calls `change` with the volume open, which a detached one is for as long as that takes; with
  // `heal`, until its replicas are in sync.
  using Change = std::function<io::Task<Result<void>>(engine::Volume&)>;
  io::Task<control::Outcome<>> with_volume(VolumeId volume, Change change, bool heal = false);
  // kBusy when it has a device here, or is about to have one.
  io::Task<control::Outcome<>> with_detached_volume(VolumeId volume, Change change);
  // Devices that ended by themselves: what is left of them goes, and their volumes are open without
  // one until the next attach or detach.
  io::Task<void> drop_lost_devices();
  // Of an attached volume; control::HoldPort has the contract.
  io::Task<control::Outcome<>> hold_writes(VolumeId volume, uint64_t hold, Duration hold_max);
  control::Outcome<> release_writes(VolumeId volume, uint64_t hold);
  // Tells the device that its volume has grown.
  io::Task<control::Outcome<>> resized(VolumeId volume);
  // control::AttachPort has the contract.
  io::Task<control::Outcome<>> expel(VolumeId volume, NodeId node);
  // Shared volumes that another node took over: their devices go on through that one.
  io::Task<void> retire_fenced();

  // An attach is under way: the volume may not be open yet, and has no device.
  bool is_attaching(VolumeId volume) const;
  // Null when it is not open.
  engine::Volume* find(VolumeId volume);
  const control::AttachedVolume* device(VolumeId volume) const;
  std::vector<VolumeId> open_volumes() const;

  // Orderly: every volume is detached; a device that is in use stays, without answers, for the next
  // process (the keeper holds it).
  io::Task<void> close();

 private:
  struct Entry;
  class Turn;

  io::Task<Turn> enter(VolumeId volume);
  io::Task<control::Outcome<>> open(Entry& entry, engine::AttachRequest request);
  io::Task<control::Outcome<>> open_for_a_while(Entry& entry);
  io::Task<control::Outcome<>> change_in_turn(Entry& entry, Change change, bool heal);
  // A device of an earlier process, that nobody serves yet.
  io::Task<control::Outcome<bool>> device_waits(Entry& entry);
  io::Task<control::Outcome<>> withdraw_waiting(Entry& entry, bool force);
  io::Task<control::Outcome<>> shut(Entry& entry);
  struct Attaching {
    control::AttachOptions options;
    engine::AttachRequest request;
    engine::SharedDevice::Begin begin = engine::SharedDevice::Begin::kNew;
  };
  io::Task<control::Outcome<control::AttachedVolume>> resume_in_turn(
      Entry& entry, control::AttachOptions options);
  io::Task<control::Outcome<control::AttachedVolume>> attach_marked(Entry& entry, Attaching how);
  io::Task<control::Outcome<control::AttachedVolume>> attach_in_turn(Entry& entry, Attaching how);
  io::Task<control::Outcome<>> open_for(Entry& entry, const Attaching& how);
  io::Task<control::Outcome<control::AttachedVolume>> make_device(Entry& entry,
                                                                  const Attaching& how);
  io::Task<control::Outcome<>> become_sharer(Entry& entry, engine::SharedDevice::Begin begin);
  io::Task<void> leave_share(Entry& entry);
  io::Task<control::Outcome<>> end_over(Entry& entry);
  std::vector<VolumeId> in_use() const;
  std::vector<VolumeId> known() const;
  io::Task<void> stop_volume(VolumeId volume);
  io::Task<control::Outcome<>> withdraw(Entry& entry, bool force);
  io::Task<void> heal_and_shut(VolumeId volume);
  DeviceServer& server(control::Frontend frontend);

  engine::VolumeContext context_;
  engine::ShareLink& link_;
  engine::ShareService& shares_;
  DeviceServer& fuse_;
  DeviceServer& nbd_;
  io::TaskGroup group_;
  bool closing_ = false;
  absl::flat_hash_map<VolumeId, std::unique_ptr<Entry>> entries_;
};

}  // namespace cleat::node
