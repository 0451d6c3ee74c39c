// Devices and mounts: the Hosts service of api/control.proto.
//
// Threading: any thread.
#pragma once

#include "api/control.pb.h"
#include "control/cluster_view.h"
#include "control/mount_port.h"
#include "control/shared_attachments.h"

namespace cleat::control {

class HostManager {
 public:
  explicit HostManager(const ControlContext& context) : context_(context), shared_(context) {}

  Outcome<v1::AttachResponse> attach(const v1::AttachRequest& request);
  Outcome<> detach(const v1::DetachRequest& request);
  Outcome<v1::MountResponse> mount(const v1::MountRequest& request);
  Outcome<> unmount(const v1::UnmountRequest& request);

 private:
  Outcome<NodeId> node_or_self(const std::string& node, const Topology& topology) const;
  Outcome<> set_attachment(VolumeId volume, const meta::Attachment* attachment);
  Outcome<> grew(const VolumeView& volume, const std::string& device, NodeHandle& node);
  Outcome<std::string> device_to_mount(const VolumeView& volume, const Topology& topology,
                                       NodeId node) const;
  Outcome<> check_device(const VolumeView& volume, const Topology& topology, NodeId node,
                         NodeHandle& handle) const;
  Outcome<MountInfo> mount_shared(const VolumeView& volume, const Topology& topology, NodeId node,
                                  MountRequestInfo info, NodeHandle& handle);
  Outcome<v1::AttachResponse> attach_once(const v1::AttachRequest& request);
  Outcome<> check_attach(const VolumeView& volume, const Topology& topology, NodeId node,
                         const v1::AttachRequest& request) const;
  Outcome<meta::Attachment> attach_alone(const VolumeView& volume, const Topology& topology,
                                         NodeId node, const v1::AttachRequest& request);
  Outcome<> detach_shared(const VolumeView& volume, const Topology& topology,
                          const v1::DetachRequest& request);
  Outcome<> say_who_has_it(const VolumeView& before, NodeId node, const Topology& topology);
  Outcome<> forget_attachment(const VolumeView& before);
  Outcome<> claim(const VolumeView& volume, const meta::Attachment& intent);
  void take_back(const VolumeView& before, const meta::Attachment& intent, const Failure& why);
  const ControlContext& context_;
  SharedAttachments shared_;
};

}  // namespace cleat::control
