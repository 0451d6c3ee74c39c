// volume resize, update, ha-update, clone, restore, salvage: each answers with the changed volume.
#include <fmt/format.h>

#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/verbs.h"
#include "cli/volume_print.h"
#include "common/units.h"

namespace cleat::cli {
namespace {

using Stub = api::Volumes::Stub;

constexpr Duration kSlowVerb = 600s;  // those that may wait for an etcd change on every replica

// Prints what a change led to: the volume with -j, else `sentence`.
Outcome<> tell(Session& session, const api::Volume& volume, const std::string& sentence) {
  if (session.json) {
    print_json(session.out(), volume);
  } else {
    session.out() << sentence << '\n';
  }
  return {};
}

std::string resized_sentence(const api::Volume& volume) {
  std::string text =
      fmt::format("Volume {} now has {}", volume.name(), format_size(volume.size_bytes()));
  if (volume.fs() == "none") return text + ". What is on its device is yours to grow.";
  if (volume.fs_growth().empty()) return text + ", and so has its file system.";
  return text + ". Its file system is " + volume.fs_growth() + ".";
}

struct ResizeArguments {
  std::string name, size;
};

Outcome<> resize(Session& session, const ResizeArguments& arguments) {
  api::ResizeVolumeRequest request;
  request.set_volume(arguments.name);
  request.set_size_bytes(size_of(arguments.size));
  auto volume = call<api::Volumes>(session, &Stub::Resize, request, kSlowVerb);
  if (!volume) return tl::unexpected<Problem>(volume.error());
  return tell(session, *volume, resized_sentence(*volume));
}

struct UpdateArguments {
  std::string volume, name, size, io_priority, io_profile, follow, shared;
  std::vector<std::string> labels, remove_labels;
  uint32_t scale = 0;
};

bool changes_properties(const UpdateArguments& a) {
  return !a.name.empty() || !a.io_priority.empty() || !a.io_profile.empty() || !a.labels.empty() ||
         !a.remove_labels.empty() || !a.follow.empty() || !a.shared.empty() || a.scale != 0;
}

Outcome<> update(Session& session, const UpdateArguments& arguments) {
  if (!changes_properties(arguments) && arguments.size.empty()) {
    return usage_problem("nothing to update: name what shall change, as --label or --size");
  }
  api::Volume latest;
  if (!arguments.size.empty()) {
    api::ResizeVolumeRequest request;
    request.set_volume(arguments.volume);
    request.set_size_bytes(size_of(arguments.size));
    auto volume = call<api::Volumes>(session, &Stub::Resize, request, kSlowVerb);
    if (!volume) return tl::unexpected<Problem>(volume.error());
    latest = *volume;
  }
  if (changes_properties(arguments)) {
    api::UpdateVolumeRequest request;
    request.set_volume(arguments.volume);
    request.set_name(arguments.name);
    request.set_scale(arguments.scale);
    if (!arguments.follow.empty()) request.set_follow(arguments.follow == kOn);
    if (!arguments.shared.empty()) request.set_shared(arguments.shared == kOn);
    request.set_io_priority(io_priority_of(arguments.io_priority));
    request.set_io_profile(io_profile_of(arguments.io_profile));
    put_labels(arguments.labels, *request.mutable_labels());
    for (const auto& key : arguments.remove_labels) request.add_remove_labels(key);
    auto volume = call<api::Volumes>(session, &Stub::Update, request);
    if (!volume) return tl::unexpected<Problem>(volume.error());
    latest = *volume;
  }
  return tell(session, latest, fmt::format("Volume {} updated.", latest.name()));
}

struct HaArguments {
  std::string volume, node;
  uint32_t ha = 0;
  bool cancel = false;
};

Outcome<> ha_update(Session& session, const HaArguments& arguments) {
  if (arguments.ha == 0 && !arguments.cancel) {
    return usage_problem(
        "no HA level is given: write --ha N, or --cancel to end a change going on");
  }
  api::HaUpdateRequest request;
  request.set_volume(arguments.volume);
  request.set_ha(arguments.ha);
  request.set_node(arguments.node);
  request.set_cancel(arguments.cancel);
  auto volume = call<api::Volumes>(session, &Stub::HaUpdate, request, kSlowVerb);
  if (!volume) return tl::unexpected<Problem>(volume.error());
  std::string sentence =
      arguments.cancel
          ? fmt::format("HA update of volume {} cancelled.", volume->name())
          : fmt::format("HA update of volume {} to {} started. See cleat volume inspect {}.",
                        volume->name(), volume->ha(), volume->name());
  return tell(session, *volume, sentence);
}

struct CloneArguments {
  std::string source, name;
  std::vector<std::string> labels;
};

Outcome<> clone(Session& session, const CloneArguments& arguments) {
  api::CloneVolumeRequest request;
  request.set_source(arguments.source);
  request.set_name(arguments.name);
  put_labels(arguments.labels, *request.mutable_labels());
  auto volume = call<api::Volumes>(session, &Stub::Clone, request, kSlowVerb);
  if (!volume) return tl::unexpected<Problem>(volume.error());
  return tell(session, *volume, "Volume clone successful: " + volume->id());
}

struct RestoreArguments {
  std::string volume, snapshot;
};

Outcome<> restore(Session& session, const RestoreArguments& arguments) {
  api::RestoreVolumeRequest request;
  request.set_volume(arguments.volume);
  request.set_snapshot(arguments.snapshot);
  auto volume = call<api::Volumes>(session, &Stub::Restore, request, kSlowVerb);
  if (!volume) return tl::unexpected<Problem>(volume.error());
  return tell(session, *volume,
              fmt::format("Successfully started restoring volume {} from {}.", volume->name(),
                          arguments.snapshot));
}

struct SalvageArguments {
  std::string volume, node;
  bool accept_data_loss = false;
};

Outcome<> salvage(Session& session, const SalvageArguments& arguments) {
  if (!arguments.accept_data_loss) {
    return usage_problem(
        "salvage serves a replica that may miss acknowledged writes: add --accept-data-loss if no "
        "in-sync replica will ever come back");
  }
  api::SalvageVolumeRequest request;
  request.set_volume(arguments.volume);
  request.set_node(arguments.node);
  request.set_accept_data_loss(true);
  auto volume = call<api::Volumes>(session, &Stub::Salvage, request, kSlowVerb);
  if (!volume) return tl::unexpected<Problem>(volume.error());
  return tell(
      session, *volume,
      fmt::format("Volume {} salvaged: check its data before you trust it.", volume->name()));
}

void add_resize_and_update(CLI::App& volume, Action& chosen) {
  auto resized = std::make_shared<ResizeArguments>();
  CLI::App* resize_verb = add_verb(volume, "resize", "Grow a volume, attached or not");
  add_text(resize_verb, "volume", resized->name, kVolume, "Name or id")->required();
  add_text(resize_verb, "-s,--size", resized->size, kSize, "The new size, not below the old one")
      ->required();
  set_examples(resize_verb, {"cleat volume resize data1 --size 20"});
  on_run(resize_verb, chosen, resized, resize);

  auto updated = std::make_shared<UpdateArguments>();
  CLI::App* verb = add_verb(volume, "update", "Change properties of a volume");
  add_text(verb, "volume", updated->volume, kVolume, "Name or id")->required();
  add_text(verb, "--name", updated->name, kName, "A new name, while it is detached");
  add_text(verb, "-s,--size", updated->size, kSize, "A new size, as resize");
  add_texts(verb, "-l,--label", updated->labels, kLabel, "Set a label; may be repeated");
  add_texts(verb, "--remove-label", updated->remove_labels, kWord, "Remove the label of this key");
  add_choice(verb, "--io-priority,--io_priority", updated->io_priority, {"high", "medium", "low"},
             "I/O priority: shown, no effect yet");
  add_choice(verb, "--io-profile,--io_profile", updated->io_profile,
             {"auto", "sequential", "random", "db"}, "What its I/O is like: shown, no effect yet");
  add_choice(verb, "--follow", updated->follow, {kOn, kOff}, kFollowHelp);
  add_choice(verb, "--shared,--sharedv4", updated->shared, {kOn, kOff},
             "Whether it can be attached on several nodes at once; while it is detached");
  verb->add_option("--scale", updated->scale,
                   "Volumes to be made of it on demand: shown, no effect yet")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  on_run(verb, chosen, updated, update);
}

void add_ha_update(CLI::App& volume, Action& chosen) {
  auto arguments = std::make_shared<HaArguments>();
  CLI::App* verb = add_verb(volume, "ha-update", "Add or remove replicas, also under load");
  add_text(verb, "volume", arguments->volume, kVolume, "Name or id")->required();
  verb->add_option("-r,--ha,--repl", arguments->ha, "The HA level to reach, 1 to 3")
      ->type_name("N")
      ->check(CLI::Range(1, 3));
  add_text(verb, "--node", arguments->node, kNode,
           "Going up: put the new replica there; going down: remove that node's");
  verb->add_flag("--cancel", arguments->cancel, "End a change going up that is not done");
  set_examples(verb, {"cleat volume ha-update data1 --ha 3 --node node4"});
  on_run(verb, chosen, arguments, ha_update);
}

void add_clone_and_restore(CLI::App& volume, Action& chosen) {
  auto cloned = std::make_shared<CloneArguments>();
  CLI::App* clone_verb =
      add_verb(volume, "clone", "Make a writable volume of a snapshot or volume");
  add_text(clone_verb, "source", cloned->source, kVolume, "Snapshot or volume")->required();
  add_text(clone_verb, "--name", cloned->name, kName, "Name of the clone")->required();
  add_texts(clone_verb, "-l,--label", cloned->labels, kLabel, "Label; may be repeated");
  set_examples(clone_verb, {"cleat volume clone data1.before-upgrade --name data1-test"});
  on_run(clone_verb, chosen, cloned, clone);

  auto restored = std::make_shared<RestoreArguments>();
  CLI::App* restore_verb =
      add_verb(volume, "restore", "Turn a detached volume back to one of its snapshots");
  add_text(restore_verb, "volume", restored->volume, kVolume, "Name or id")->required();
  add_text(restore_verb, "-s,--snapshot", restored->snapshot, kSnapshot, "The snapshot")
      ->required();
  on_run(restore_verb, chosen, restored, restore);
}

void add_salvage(CLI::App& volume, Action& chosen) {
  auto arguments = std::make_shared<SalvageArguments>();
  CLI::App* verb = add_verb(volume, "salvage",
                            "Serve a volume from a replica that may miss acknowledged writes, when "
                            "no in-sync one will ever come back");
  add_text(verb, "volume", arguments->volume, kVolume, "Name or id")->required();
  add_text(verb, "--node", arguments->node, kNode, "Whose replica to trust; else the best one");
  verb->add_flag("--accept-data-loss", arguments->accept_data_loss, "Yes, writes may be lost");
  on_run(verb, chosen, arguments, salvage);
}

}  // namespace

void add_volume_change_verbs(CLI::App& volume, Action& chosen) {
  add_resize_and_update(volume, chosen);
  add_ha_update(volume, chosen);
  add_clone_and_restore(volume, chosen);
  add_salvage(volume, chosen);
}

}  // namespace cleat::cli
