#include "control/host_manager.h"

#include <algorithm>

#include "common/log.h"
#include "control/api_views.h"
#include "control/shared_mounts.h"
#include "control/takeover_check.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

Frontend frontend_of(v1::Frontend frontend) {
  return frontend == v1::FRONTEND_NBD ? Frontend::kNbd : Frontend::kFuse;
}

}  // namespace

Outcome<NodeId> HostManager::node_or_self(const std::string& node, const Topology& topology) const {
  if (node.empty()) return context_.self;
  return topology.resolve(node);
}

Outcome<> HostManager::set_attachment(VolumeId volume, const meta::Attachment* attachment) {
  OUTCOME_TRY(update<meta::VolumeSpec>(context_.store, context_.keys.spec(volume), [&](auto& spec) {
    if (attachment == nullptr) {
      if (!spec.has_attachment()) return false;
      spec.clear_attachment();
      return true;
    }
    *spec.mutable_attachment() = *attachment;
    spec.set_attached_unix_ms(context_.now_unix_ms());
    return true;
  }));
  return {};
}

// Says who attaches, before the device exists: a volume that has one is never taken for one that is
// only healed. kConflict when somebody else attached, detached or deleted it meanwhile.
Outcome<> HostManager::claim(const VolumeView& volume, const meta::Attachment& intent) {
  meta::VolumeSpec spec = volume.spec;
  *spec.mutable_attachment() = intent;
  spec.set_attached_unix_ms(context_.now_unix_ms());
  return commit_spec(context_, volume, spec);
}

// Somebody was faster.
Outcome<> HostManager::say_who_has_it(const VolumeView& before, NodeId node,
                                      const Topology& topology) {
  OUTCOME_ASSIGN(VolumeView now, load_volume(context_, before.id()));
  if (!now.attached() || now.record.primary == node) return {};
  OUTCOME_TRY(may_take_over(context_, now, topology, false));
  return {};
}

// An attach whose answer was lost may have happened: then the intent stays. Another one's that came
// after ours stays as well.
void HostManager::take_back(const VolumeView& before, const meta::Attachment& intent,
                            const Failure& why) {
  if (is_answer_lost(why)) return;
  const std::string written = intent.SerializeAsString();
  auto done =
      update<meta::VolumeSpec>(context_.store, context_.keys.spec(before.id()), [&](auto& spec) {
        if (spec.attachment().SerializeAsString() != written) return false;
        spec.clear_attachment();
        if (before.spec.has_attachment()) *spec.mutable_attachment() = before.spec.attachment();
        return true;
      });
  if (!done) LOG_INFO("volume {}: {}", before.spec.name(), done.error().message);
}

Outcome<v1::AttachResponse> HostManager::attach(const v1::AttachRequest& request) {
  constexpr int kTries = 8;
  for (int i = 1;; ++i) {
    auto attached = attach_once(request);
    if (attached || attached.error().code != Code::kConflict || i == kTries) return attached;
  }
}

Outcome<> HostManager::check_attach(const VolumeView& volume, const Topology& topology, NodeId node,
                                    const v1::AttachRequest& request) const {
  if (volume.spec.state() == meta::VolumeSpec::CREATING) {
    return failure(Code::kBusy, "volume {} is still being created", volume.spec.name());
  }
  const NodeView* where = topology.find(node);
  const bool has_device = volume.attachment_on(node) != nullptr;
  const bool there = volume.record.primary == node || has_device;
  if (request.again() && !has_device) {
    return failure(Code::kNotFound, "volume {} is not attached on {} any more", volume.spec.name(),
                   topology.name(node));
  }
  if (where != nullptr && where->node.maintenance() && !there && !request.force()) {
    return failure(Code::kBusy, "node {} is in maintenance", topology.name(node));
  }
  return check_shared_frontend(volume, request.frontend() == v1::FRONTEND_NBD);
}

Outcome<v1::AttachResponse> HostManager::attach_once(const v1::AttachRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  OUTCOME_ASSIGN(NodeId node, node_or_self(request.node(), topology));
  OUTCOME_TRY(check_attach(volume, topology, node, request));
  auto attached = volume.spec.shared() ? shared_.attach(volume, topology, node, request.force())
                                       : attach_alone(volume, topology, node, request);
  OUTCOME_ASSIGN(meta::Attachment attachment, std::move(attached));
  OUTCOME_ASSIGN(volume, load_volume(context_, volume.id()));
  v1::AttachResponse out;
  *out.mutable_attachment() = to_api(attachment, topology);
  out.set_epoch(volume.record.epoch.value);
  out.set_data_local(to_api(volume, topology).data_local());
  return out;
}

// The one device that a volume has which isn't shared.
Outcome<meta::Attachment> HostManager::attach_alone(const VolumeView& volume,
                                                    const Topology& topology, NodeId node,
                                                    const v1::AttachRequest& request) {
  AttachOptions options;
  options.frontend = frontend_of(request.frontend());
  options.volume_name = volume.spec.name();
  if (volume.record.primary.value != 0 && volume.record.primary != node) {
    OUTCOME_ASSIGN(options.take_over, may_take_over(context_, volume, topology, request.force()));
  }
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  meta::Attachment attachment;
  attachment.set_node(node.value);
  attachment.set_frontend(static_cast<uint32_t>(options.frontend));
  if (volume.attached() && volume.record.primary == node) attachment = volume.spec.attachment();
  OUTCOME_TRY(claim(volume, attachment));
  auto attached = handle->ports().attach.attach(volume.id(), options);
  if (!attached) {
    take_back(volume, attachment, attached.error());
    if (attached.error().code == Code::kBusy) OUTCOME_TRY(say_who_has_it(volume, node, topology));
    return tl::unexpected(attached.error());
  }
  attachment.set_frontend(static_cast<uint32_t>(attached->frontend));
  attachment.set_device(attached->device);
  attachment.set_uri(attached->uri);
  OUTCOME_TRY(set_attachment(volume.id(), &attachment));
  return attachment;
}

// After a detach of what `before` shows. What was attached anew since (at a higher epoch) stays.
Outcome<> HostManager::forget_attachment(const VolumeView& before) {
  constexpr int kTries = 16;
  for (int i = 0; i < kTries; ++i) {
    OUTCOME_ASSIGN(VolumeView now, load_volume(context_, before.id()));
    const bool same = now.record.epoch == before.record.epoch &&
                      now.spec.attachment().node() == before.record.primary.value;
    if (!now.spec.has_attachment() || !same) return {};
    now.spec.clear_attachment();
    auto done = commit_spec(context_, now, now.spec);
    if (done || done.error().code != Code::kConflict) return done;
  }
  return failure(Code::kConflict, "volume {} is changed by others all the time: try again",
                 before.spec.name());
}

Outcome<> HostManager::detach(const v1::DetachRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  if (volume.spec.shared()) return detach_shared(volume, topology, request);
  const NodeId primary = volume.record.primary;
  if (primary.value == 0) return set_attachment(volume.id(), nullptr);
  if (!request.node().empty()) {
    OUTCOME_ASSIGN(NodeId node, topology.resolve(request.node()));
    if (node != primary) {
      return failure(Code::kBusy, "volume {} is not attached on {} but on {}", volume.spec.name(),
                     request.node(), topology.name(primary));
    }
  }
  if (!topology.alive(primary)) {
    return failure(Code::kUnreachable,
                   "volume {} is attached on {}, which is offline: to use it "
                   "elsewhere, attach it there with --force",
                   volume.spec.name(), topology.name(primary));
  }
  OUTCOME_ASSIGN(auto node, context_.nodes.node(primary));
  if (volume.attached() && !request.force()) {
    auto paths = node->mounts().mounts(volume.spec.attachment().device());
    if (paths && !paths->empty()) {
      return failure(Code::kBusy,
                     "volume {} is mounted on {} at {}: unmount it first (`cleat host "
                     "unmount {}`)",
                     volume.spec.name(), topology.name(primary), paths->front().path,
                     volume.spec.name());
    }
  }
  OUTCOME_TRY(node->ports().attach.detach(volume.id(), request.force()));
  return forget_attachment(volume);
}

Outcome<> HostManager::detach_shared(const VolumeView& volume, const Topology& topology,
                                     const v1::DetachRequest& request) {
  if (request.node().empty()) return shared_.detach_all(volume, topology, request.force());
  OUTCOME_ASSIGN(NodeId node, topology.resolve(request.node()));
  return shared_.detach_from(volume.id(), topology, node, request.force());
}

// A first mount of the device has grown the file system; if it was mounted already, it may not
// grow.
Outcome<> HostManager::grew(const VolumeView& volume, const std::string& device, NodeHandle& node) {
  OUTCOME_ASSIGN(Growth growth, node.mounts().grow_file_system(device));
  if (!growth.grown) return {};
  OUTCOME_TRY(
      update<meta::VolumeSpec>(context_.store, context_.keys.spec(volume.id()), [&](auto& spec) {
        spec.set_fs_to_grow(false);
        return true;
      }));
  return {};
}

Outcome<std::string> HostManager::device_to_mount(const VolumeView& volume,
                                                  const Topology& topology, NodeId node) const {
  const std::string& name = volume.spec.name();
  const meta::Attachment* entry = volume.attachment_on(node);
  if (entry == nullptr) {
    return failure(Code::kBusy,
                   "volume {} is not attached on {}: attach it first (`cleat host attach {}`)",
                   name, topology.name(node), name);
  }
  if (entry->device().empty()) {
    return failure(Code::kUnsupported,
                   "volume {} is attached by NBD and has no device to mount: attach "
                   "it with --frontend fuse",
                   name);
  }
  if (volume.spec.fs().empty()) {
    return failure(Code::kInvalidArgument,
                   "volume {} was created without a file system (--fs none): "
                   "mount its device {} yourself",
                   name, entry->device());
  }
  return entry->device();
}

Outcome<> HostManager::check_device(const VolumeView& volume, const Topology& topology, NodeId node,
                                    NodeHandle& handle) const {
  bool lost = false;
  if (volume.record.primary == node) {
    auto runtime = handle.ports().inspect.runtime(volume.id());
    lost = runtime ? !runtime->attached : runtime.error().code == Code::kNotFound;
  } else {  // it reaches the volume on another node
    OUTCOME_ASSIGN(auto devices, handle.ports().attach.attached());
    lost = std::none_of(devices.begin(), devices.end(),
                        [&](const auto& device) { return device.volume == volume.id(); });
  }
  if (!lost) return {};
  const std::string& name = volume.spec.name();
  return failure(Code::kBusy,
                 "volume {} has no device on {} any more, which started anew: attach it again "
                 "(`cleat host attach {}`)",
                 name, topology.name(node), name);
}

// Of two nodes that mount at once for writing, at least one finds the other afterwards.
Outcome<MountInfo> HostManager::mount_shared(const VolumeView& volume, const Topology& topology,
                                             NodeId node, MountRequestInfo info,
                                             NodeHandle& handle) {
  const bool read_only = is_read_only(info);
  OUTCOME_TRY(check_other_mounts(context_, volume, topology, node, read_only));
  add_reading_options(info);
  OUTCOME_ASSIGN(MountInfo mounted, handle.mounts().mount(info));
  OUTCOME_ASSIGN(VolumeView now, load_volume(context_, volume.id()));
  auto alone = check_other_mounts(context_, now, topology, node, read_only);
  if (alone) return mounted;
  auto undone = handle.mounts().unmount(info.device, mounted.path);
  if (!undone) LOG_WARN("volume {}: {}", volume.spec.name(), undone.error().message);
  return tl::unexpected(alone.error());
}

Outcome<v1::MountResponse> HostManager::mount(const v1::MountRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  OUTCOME_ASSIGN(NodeId node, node_or_self(request.node(), topology));
  OUTCOME_ASSIGN(std::string device, device_to_mount(volume, topology, node));
  MountRequestInfo info{device,
                        request.path(),
                        volume.spec.fs(),
                        {request.options().begin(), request.options().end()}};
  if (request.read_only()) info.options.push_back("ro");
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  OUTCOME_TRY(check_device(volume, topology, node, *handle));
  auto done = volume.spec.shared() ? mount_shared(volume, topology, node, info, *handle)
                                   : handle->mounts().mount(info);
  OUTCOME_ASSIGN(MountInfo mounted, std::move(done));
  if (volume.spec.fs_to_grow() && !is_read_only(info)) OUTCOME_TRY(grew(volume, device, *handle));
  v1::MountResponse out;
  out.set_device(mounted.device);
  out.set_path(mounted.path);
  out.set_fs(mounted.fs);
  out.set_formatted(mounted.formatted);
  return out;
}

Outcome<> HostManager::unmount(const v1::UnmountRequest& request) {
  OUTCOME_ASSIGN(VolumeView volume, load_volume(context_, request.volume()));
  OUTCOME_ASSIGN(Topology topology, Topology::load(context_));
  NodeId node = volume.record.primary;
  const bool here = volume.spec.shared() && volume.attachment_on(context_.self) != nullptr;
  if (!request.node().empty()) {
    OUTCOME_ASSIGN(node, topology.resolve(request.node()));
  } else if (here) {
    node = context_.self;
  }
  const meta::Attachment* entry = volume.attachment_on(node);
  if (entry == nullptr && !volume.spec.shared() && volume.attached()) {
    entry = &volume.spec.attachment();  // left there by an earlier attach
  }
  if (entry == nullptr || entry->device().empty()) return {};
  OUTCOME_ASSIGN(auto handle, context_.nodes.node(node));
  return handle->mounts().unmount(entry->device(), request.path());
}

}  // namespace cleat::control
