// Devices of a shared volume on several nodes (ADR 9): how one more comes, one goes, and another
// node becomes primary. What may race is decided by compare-and-set: an entry stands in the spec
// before its device exists, and goes after it.
//
// Threading: any thread.
#pragma once

#include <set>

#include "control/cluster_view.h"

namespace cleat::control {

class SharedAttachments {
 public:
  explicit SharedAttachments(const ControlContext& context) : context_(context) {}

  // A device on `node`: through the primary, or else the node becomes primary itself. With `force`
  // also in place of a primary that is gone, which is expelled before this succeeds. kConflict: it
  // lost against another change, and is to be tried again. kLimit: too many nodes have it.
  Outcome<meta::Attachment> attach(const VolumeView& volume, const Topology& topology, NodeId node,
                                   bool force);

  // Success when there is none. Where the primary's device goes, another sharer becomes primary.
  // With `force` also that of a node that is offline: it is expelled.
  Outcome<> detach_from(VolumeId volume, const Topology& topology, NodeId node, bool force);
  Outcome<> detach_all(const VolumeView& volume, const Topology& topology, bool force);

  // Where no primary that is online serves the devices there are: one of them becomes it. Success
  // when there is nothing to do, or nobody to do it. With `force` also in place of one that is only
  // just offline. `lost`: nor does the one that is online.
  Outcome<> promote(VolumeId volume, bool force, NodeId lost = {});
  // Who is leaving is expelled, and sharers of the record that no entry names.
  Outcome<> expel_leavers(VolumeId volume);
  // The reconciler's part: all of this that was left half done or became due. True: a primary is
  // still lacking though a sharer is online.
  bool needs_care(const VolumeView& volume, const Topology& topology) const;
  Outcome<bool> look_after(const VolumeView& volume, const Topology& topology);

 private:
  struct Claim {
    meta::Attachment entry;
    bool take_over = false;
    bool anew = false;  // asked for by somebody; else the entry was there, and may go meanwhile
  };
  Outcome<meta::Attachment> attach_through(const VolumeView& volume, const meta::Attachment& known);
  Outcome<meta::Attachment> make_primary(const VolumeView& volume, Claim claim);
  Outcome<> record_device(VolumeId volume, const Claim& claim);
  Outcome<> undo_device(VolumeId volume, NodeId node);
  void take_back(const VolumeView& before, const meta::Attachment& entry, bool as_primary,
                 const Failure& why);
  // Whether the primary of the record answers and has the volume open for devices.
  bool is_served(const VolumeView& volume, const Topology& topology) const;
  Outcome<> adopt(const VolumeView& volume);
  bool is_primary_gone(const VolumeView& volume, const Topology& topology) const;

  Outcome<> detach_once(const VolumeView& volume, const Topology& topology, NodeId node,
                        bool force);
  Outcome<> detach_offline(const VolumeView& volume, const Topology& topology, NodeId node,
                           bool force);
  Outcome<> expel_offline(const VolumeView& volume, const Topology& topology, NodeId node);
  Outcome<> forget_entry(const VolumeView& before, const meta::Attachment& entry);
  Outcome<> drop_from_record(const VolumeView& volume, NodeId node);
  Outcome<> expel_strangers(VolumeId volume, const Topology& topology);

  const ControlContext& context_;
};

// Why a shared volume can't be served by NBD, or nothing.
Outcome<> check_shared_frontend(const VolumeView& volume, bool nbd);

}  // namespace cleat::control
