// VolumeController::create(): from nothing, from a snapshot, from another volume.
#include <fmt/format.h>

#include "common/log.h"
#include "csi/attachments.h"
#include "csi/names.h"
#include "csi/views.h"
#include "csi/volume_controller.h"

namespace cleat::csi {

// A request that is understood.
struct VolumeController::Wish {
  const spec::CreateVolumeRequest& request;
  std::string name;  // Cleat's
  SizeRange range;
  Usage usage;
  Parameters parameters;
  std::string created_as;

  bool has_source() const { return request.has_volume_content_source(); }
  bool shared() const { return usage.many_nodes || parameters.shared.value_or(false); }
  // By the class, in either way; empty: whichever, or a raw device.
  std::string fs_asked() const {
    if (usage.block) return {};
    return parameters.fs.empty() ? usage.fs : parameters.fs;
  }
  // What the volume is made with; empty: no file system.
  std::string fs() const {
    if (usage.block) return {};
    return fs_asked().empty() ? "ext4" : fs_asked();
  }
  uint64_t size_least() const {
    if (usage.block) return kSizeMin;
    return fs() == "xfs" ? kXfsSizeMin : kExt4SizeMin;
  }
};

namespace {

std::string source_text(const spec::VolumeContentSource& source) {
  if (source.has_snapshot()) return "snapshot " + source.snapshot().snapshot_id();
  if (source.has_volume()) return "volume " + source.volume().volume_id();
  return {};
}

// The provisioner asks again after any other: after this one it may forget the volume.
bool is_final(Code code) {
  return code != Code::kConflict && code != Code::kUnreachable && code != Code::kTimedOut &&
         code != Code::kCancelled;
}

void add_claim_labels(const ParameterMap& parameters, std::map<std::string, std::string>& labels) {
  for (auto [key, label] : {std::pair{"csi.storage.k8s.io/pvc/name", kLabelClaim},
                            std::pair{"csi.storage.k8s.io/pvc/namespace", kLabelNamespace}}) {
    auto found = parameters.find(key);
    if (found != parameters.end()) labels.try_emplace(label, found->second);
  }
}

}  // namespace

Outcome<> VolumeController::check_shared(const Wish& wish) {
  const std::optional<bool>& asked = wish.parameters.shared;
  if (asked && *asked && !wish.usage.many_nodes && !wish.usage.block) {
    return failure(
        Code::kInvalidArgument,
        "parameter shared (sharedv4) is true, but the claim is for a file system that "
        "one node writes: ask for a raw device (volumeMode: Block), for ReadOnlyMany, or "
        "leave the parameter out");
  }
  if (asked && !*asked && wish.usage.many_nodes) {
    return failure(Code::kInvalidArgument,
                   "parameter shared (sharedv4) is false, but the claim's access mode is one of "
                   "several nodes: ask for ReadWriteOnce, or leave the parameter out");
  }
  return {};
}

Outcome<VolumeController::Wish> VolumeController::read_wish(
    const spec::CreateVolumeRequest& request) const {
  if (request.name().empty()) return failure(Code::kInvalidArgument, "the volume has no name");
  Wish wish{request, cleat_name(request.name()), {}, {}, {}, {}};
  OUTCOME_ASSIGN(wish.usage, parse_capabilities(request.volume_capabilities()));
  OUTCOME_ASSIGN(wish.range, parse_range(request.capacity_range()));
  OUTCOME_ASSIGN(wish.parameters,
                 parse_parameters(request.parameters(), request.mutable_parameters()));
  const std::string& fs = wish.parameters.fs;
  if (!wish.usage.block && !fs.empty() && !wish.usage.fs.empty() && fs != wish.usage.fs) {
    return failure(Code::kInvalidArgument,
                   "parameter fs is {}, but csi.storage.k8s.io/fstype is {}: leave one of them out",
                   fs, wish.usage.fs);
  }
  OUTCOME_TRY(check_shared(wish));
  if (wish.has_source() && source_text(request.volume_content_source()).empty()) {
    return failure(Code::kInvalidArgument,
                   "the volume's source is neither a snapshot nor a volume: those are possible");
  }
  wish.created_as = fingerprint({&request.parameters(), &request.mutable_parameters()},
                                fmt::format("{} {}", wish.usage.block ? "device" : wish.fs(),
                                            source_text(request.volume_content_source())));
  return wish;
}

std::map<std::string, std::string> VolumeController::labels_for(const Wish& wish,
                                                                uint64_t size) const {
  std::map<std::string, std::string> labels = wish.parameters.labels;
  add_claim_labels(wish.request.parameters(), labels);
  if (!wish.parameters.group.empty()) labels[kLabelGroup] = wish.parameters.group;
  if (wish.parameters.group_enforced) labels[kLabelApart] = "true";
  if (!wish.parameters.mount_options.empty()) {
    labels[kLabelMountOptions] = fmt::format("{}", fmt::join(wish.parameters.mount_options, ","));
  }
  labels[kLabelCreatedAs] = wish.created_as;
  labels[kLabelAskedBytes] = fmt::format("{}", size);
  return labels;
}

Outcome<spec::CreateVolumeResponse> VolumeController::create(
    const spec::CreateVolumeRequest& request) {
  OUTCOME_ASSIGN(Wish wish, read_wish(request));
  OUTCOME_ASSIGN(auto turn, in_flight_.begin("volume " + wish.name));
  OUTCOME_ASSIGN(auto found, cleatd_.by_name(wish.name));
  api::Volume volume;
  if (found) {
    OUTCOME_ASSIGN(volume, confirm(wish, *found));
  } else if (wish.has_source()) {
    OUTCOME_ASSIGN(volume, create_from(wish));
  } else {
    OUTCOME_ASSIGN(volume, create_empty(wish));
  }
  auto finished = finish(wish, volume);
  if (!finished && !found && is_final(finished.error().code)) {
    // Nobody would ever delete it, and it pins its source.
    auto dropped = delete_with_base(volume);
    if (!dropped) LOG_WARN("volume {} stays: {}", volume.name(), dropped.error().message);
  }
  OUTCOME_ASSIGN(volume, std::move(finished));
  spec::CreateVolumeResponse out;
  *out.mutable_volume() = to_csi_volume(volume);
  if (wish.has_source()) {
    *out.mutable_volume()->mutable_content_source() = request.volume_content_source();
  }
  return out;
}

Outcome<api::Volume> VolumeController::confirm(const Wish& wish, const api::Volume& found) {
  const std::string asked = label_of(found, kLabelAskedBytes);
  const uint64_t asked_bytes = is_id(asked) ? std::stoull(asked) : found.size_bytes();
  if (!found.snapshot_of_id().empty() || label_of(found, kLabelCreatedAs) != wish.created_as ||
      !wish.range.holds(asked_bytes)) {
    return failure(Code::kAlreadyExists,
                   "a {} named {} exists, and was made with another size, other parameters or from "
                   "another source ({}, repl {})",
                   found.snapshot_of_id().empty() ? "volume" : "snapshot", found.name(),
                   format_size(asked_bytes), found.ha());
  }
  if (found.state() == api::VOLUME_STATE_DELETING ||
      (found.state() == api::VOLUME_STATE_CREATING && wish.has_source())) {
    return failure(Code::kConflict, "volume {} is being made or deleted: try again", found.name());
  }
  if (found.state() != api::VOLUME_STATE_CREATING) return found;
  api::CreateVolumeRequest again;  // the same values: cleatd makes what is missing
  again.set_name(found.name());
  again.set_size_bytes(found.size_bytes());
  again.set_ha(found.ha());
  again.set_fs(found.fs());
  again.set_shared(found.shared());
  *again.mutable_labels() = found.labels();
  return cleatd_.call<api::Volumes>(&api::Volumes::Stub::Create, again);
}

Outcome<api::Volume> VolumeController::create_empty(const Wish& wish) {
  const Parameters& parameters = wish.parameters;
  OUTCOME_ASSIGN(uint64_t size, choose_size(wish.range, wish.size_least()));
  auto labels = labels_for(wish, size);
  api::CreateVolumeRequest create;
  create.set_name(wish.name);
  create.set_size_bytes(size);
  create.set_ha(parameters.ha);
  create.set_fs(wish.fs().empty() ? "none" : wish.fs());
  create.mutable_labels()->insert(labels.begin(), labels.end());
  create.set_io_priority(parameters.io_priority);
  create.set_io_profile(parameters.io_profile);
  create.set_follow(parameters.follow.value_or(false));
  create.set_shared(wish.shared());
  for (const std::string& node : parameters.nodes) create.add_nodes_allowed(node);
  for (const std::string& rack : parameters.racks) create.add_racks(rack);
  for (const std::string& zone : parameters.zones) create.add_zones(zone);
  return place(wish, std::move(create));
}

Outcome<api::Volume> VolumeController::place(const Wish& wish, api::CreateVolumeRequest request) {
  OUTCOME_ASSIGN(auto nodes, cleatd_.nodes());
  OUTCOME_ASSIGN(std::string wanted, wanted_node(wish.request.accessibility_requirements(), nodes));
  const std::string& group = wish.parameters.group;
  std::vector<std::vector<std::string>> others;
  std::vector<api::Pool> pools;
  std::optional<InFlight::Turn> turn;
  if (!group.empty()) {
    // Two volumes of a group at once would not see each other's nodes.
    OUTCOME_ASSIGN(auto taken, in_flight_.begin("group " + group));
    turn.emplace(std::move(taken));
    OUTCOME_ASSIGN(auto members, cleatd_.volumes({{kLabelGroup, group}}));
    for (const api::Volume& member : members) {
      others.emplace_back();
      for (const auto& replica : member.replicas()) others.back().push_back(replica.node());
    }
    OUTCOME_ASSIGN(pools, cleatd_.pools());
  }
  auto choices = choose_places(wish.parameters, wanted, pools, nodes, others);
  Outcome<api::Volume> made =
      failure(Code::kNoSpace,
              "there are not {} nodes with room for a volume of group {} that keep it apart from "
              "the {} others (fg): add nodes or pools, or leave fg out",
              wish.parameters.ha, group, others.size());
  for (const Places& places : choices) {
    request.clear_nodes();
    for (const std::string& node : places.nodes) request.add_nodes(node);
    request.set_nodes_only(places.only);
    made = cleatd_.call<api::Volumes>(&api::Volumes::Stub::Create, request);
    if (made || made.error().code != Code::kNoSpace) break;
  }
  return made;
}

Outcome<api::Volume> VolumeController::source_of(const Wish& wish) const {
  const auto& source = wish.request.volume_content_source();
  if (source.has_snapshot()) return cleatd_.snapshot(source.snapshot().snapshot_id());
  return cleatd_.volume(source.volume().volume_id());
}

// The hidden snapshot of a clone is made under a name of its own, so that a repeated call finds it.
Outcome<api::Volume> VolumeController::hidden_base(const Wish& wish, const api::Volume& source) {
  api::CreateSnapshotRequest request;
  request.set_volume(source.id());
  request.set_name(cleat_name("base." + wish.name));
  (*request.mutable_labels())[kLabelBaseOf] = wish.name;
  return cleatd_.call<api::Volumes>(&api::Volumes::Stub::SnapshotCreate, request);
}

Outcome<api::Volume> VolumeController::create_from(const Wish& wish) {
  OUTCOME_ASSIGN(auto nodes, cleatd_.nodes());
  OUTCOME_TRY(wanted_node(wish.request.accessibility_requirements(), nodes));
  OUTCOME_ASSIGN(api::Volume base, source_of(wish));
  const std::string fs = wish.fs_asked();
  if (!fs.empty() && base.fs() != "none" && base.fs() != fs) {
    return failure(Code::kInvalidArgument,
                   "{} is asked for (fs or csi.storage.k8s.io/fstype), but the source has {}: what "
                   "is made from it has so too",
                   fs, base.fs());
  }
  OUTCOME_ASSIGN(uint64_t size, choose_size(wish.range, base.size_bytes()));
  auto labels = labels_for(wish, size);
  // A clone begins with the labels of its source: these are not its own.
  for (const char* label :
       {kLabelBase, kLabelUnpublished, kLabelReadOnly, kLabelFormatting, kLabelFormatted}) {
    labels[label] = "";
  }
  // These are as the class says; what it leaves out is not the source's either.
  for (const char* label : {kLabelGroup, kLabelApart, kLabelMountOptions}) {
    labels.try_emplace(label, "");
  }
  if (wish.request.volume_content_source().has_volume()) {
    OUTCOME_ASSIGN(base, hidden_base(wish, base));
    labels[kLabelBase] = base.id();
  }
  api::CloneVolumeRequest clone;
  clone.set_source(base.id());
  clone.set_name(wish.name);
  clone.mutable_labels()->insert(labels.begin(), labels.end());
  return cleatd_.call<api::Volumes>(&api::Volumes::Stub::Clone, clone);
}

// A clone has the size and the values of its source at first.
Outcome<api::Volume> VolumeController::finish(const Wish& wish, api::Volume volume) {
  if (!wish.has_source()) return volume;
  const std::string asked = label_of(volume, kLabelAskedBytes);
  const uint64_t size = is_id(asked) ? std::stoull(asked) : volume.size_bytes();
  if (volume.size_bytes() < size) {
    api::ResizeVolumeRequest resize;
    resize.set_volume(volume.id());
    resize.set_size_bytes(size);
    OUTCOME_ASSIGN(volume, cleatd_.call<api::Volumes>(&api::Volumes::Stub::Resize, resize));
  }
  if (volume.shared() != wish.shared() && attachments_of(volume).empty()) {
    OUTCOME_ASSIGN(volume, cleatd_.set_shared(volume.id(), wish.shared()));
  }
  return apply(wish.parameters, volume);
}

}  // namespace cleat::csi
