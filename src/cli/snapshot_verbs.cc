// volume snapshot create, group, list, delete.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/hooks.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "cli/volume_print.h"
#include "common/units.h"

namespace cleat::cli {
namespace {

using Stub = api::Volumes::Stub;

struct CreateArguments {
  std::vector<std::string> volumes, group, labels;
  std::string name;
  Hooks hooks;
};

Outcome<> create_one(Session& session, const CreateArguments& arguments) {
  api::CreateSnapshotRequest request;
  request.set_volume(arguments.volumes.front());
  request.set_name(arguments.name);
  put_labels(arguments.labels, *request.mutable_labels());
  auto snapshot = call<api::Volumes>(session, &Stub::SnapshotCreate, request);
  if (!snapshot) return tl::unexpected<Problem>(snapshot.error());
  if (session.json) {
    print_json(session.out(), *snapshot);
  } else {
    session.out() << fmt::format("Volume snap successful: {} ({})\n", snapshot->id(),
                                 snapshot->name());
  }
  return {};
}

// The volumes named, and those that carry the labels; each once.
Outcome<std::vector<std::string>> members(Session& session, const CreateArguments& arguments) {
  std::vector<std::string> names = arguments.volumes;
  if (arguments.group.empty()) return names;
  api::ListVolumesRequest request;
  put_labels(arguments.group, *request.mutable_labels());
  auto found = call<api::Volumes>(session, &Stub::List, request);
  if (!found) return tl::unexpected<Problem>(found.error());
  for (const auto& volume : found->volumes()) {
    const bool named = std::find(names.begin(), names.end(), volume.name()) != names.end();
    if (!named) names.push_back(volume.name());
  }
  return names;
}

void print_group(Session& session, const api::SnapshotGroupResponse& made) {
  if (session.json) return print_json(session.out(), made);
  for (const auto& snapshot : made.snapshots()) {
    session.out() << fmt::format("Volume {} : Snapshot {}\n", snapshot.snapshot_of(),
                                 snapshot.name());
  }
  session.out() << fmt::format("Group {} : writes were held for {} ms\n", made.group(),
                               made.held_ms());
}

Outcome<> create_together(Session& session, const CreateArguments& arguments,
                          const std::vector<std::string>& names) {
  api::SnapshotGroupRequest request;
  for (const auto& name : names) {
    auto* member = request.add_members();
    member->set_volume(name);
    if (!arguments.name.empty()) member->set_name(fmt::format("{}.{}", arguments.name, name));
  }
  put_labels(arguments.labels, *request.mutable_labels());
  auto made = call<api::Volumes>(session, &Stub::SnapshotGroup, request);
  if (!made) return tl::unexpected<Problem>(made.error());
  print_group(session, *made);
  return {};
}

Outcome<> run_with_hooks(Session& session, const Hooks& hooks,
                         const std::vector<std::string>& names,
                         const std::function<Outcome<>()>& work) {
  if (hooks.before.empty() && hooks.after.empty()) return work();
  std::vector<api::Volume> volumes;
  for (const auto& name : names) {
    api::InspectVolumeRequest request;
    request.set_volume(name);
    auto volume = call<api::Volumes>(session, &Stub::Inspect, request);
    if (!volume) return tl::unexpected<Problem>(volume.error());
    volumes.push_back(std::move(*volume));
  }
  return with_hooks(hooks, volumes, work);
}

Outcome<> create_group(Session& session, const CreateArguments& arguments) {
  auto names = members(session, arguments);
  if (!names) return tl::unexpected<Problem>(names.error());
  if (names->empty()) {
    return failed("not found",
                  "no volume is named or has the labels of --group: look with `cleat volume list`");
  }
  return run_with_hooks(session, arguments.hooks, *names,
                        [&] { return create_together(session, arguments, *names); });
}

Outcome<> create(Session& session, const CreateArguments& arguments) {
  if (!arguments.group.empty() || arguments.volumes.size() > 1) {
    return create_group(session, arguments);
  }
  if (arguments.volumes.empty()) {
    return usage_problem("name a volume, or several by --group KEY=VALUE");
  }
  return run_with_hooks(session, arguments.hooks, arguments.volumes,
                        [&] { return create_one(session, arguments); });
}

struct ListArguments {
  std::string volume;
};

Outcome<> list(Session& session, const ListArguments& arguments) {
  api::ListSnapshotsRequest request;
  request.set_volume(arguments.volume);
  auto response = call<api::Volumes>(session, &Stub::SnapshotList, request);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
    return {};
  }
  Table table({"ID", "NAME", "VOLUME", "SIZE", "CREATED", "LABELS"});
  for (const auto& snapshot : response->snapshots()) {
    table.add({snapshot.id(), snapshot.name(), snapshot.snapshot_of(),
               format_size(snapshot.size_bytes()), format_time(snapshot.created_unix_ms()),
               format_labels(snapshot.labels())});
  }
  table.print(session.out());
  return {};
}

struct DeleteArguments {
  std::vector<std::string> snapshots;
  bool if_exists = false;
};

Outcome<> remove(Session& session, const DeleteArguments& arguments) {
  for (const auto& name : arguments.snapshots) {
    api::DeleteSnapshotRequest request;
    request.set_snapshot(name);
    request.set_allow_missing(arguments.if_exists);
    CLI_TRY(call<api::Volumes>(session, &Stub::SnapshotDelete, request));
    if (!session.json) session.out() << "Snapshot " << name << " successfully deleted.\n";
  }
  if (session.json) print_json(session.out(), {{"deleted", arguments.snapshots}});
  return {};
}

void add_create_options(CLI::App* verb, CreateArguments& arguments) {
  add_texts(verb, "-g,--group", arguments.group, kLabel,
            "All volumes with this label, at one point in time; may be repeated: with all of them");
  add_text(verb, "--name", arguments.name, kName,
           "Name; of several volumes NAME.VOLUME; else VOLUME.snap-DATE-TIME");
  add_texts(verb, "-l,--label", arguments.labels, kLabel, "Label; may be repeated");
  add_hook_options(verb, arguments.hooks);
}

}  // namespace

void add_snapshot_verbs(CLI::App& volume, Action& chosen) {
  CLI::App* snapshot = add_verb(volume, "snapshot,s", "Snapshots of volumes");
  auto created = std::make_shared<CreateArguments>();
  CLI::App* create_verb = add_verb(
      *snapshot, "create,c", "Freeze what a volume holds now, or several at one point in time");
  add_texts(create_verb, "volumes", created->volumes, kVolume, "Names or ids");
  add_create_options(create_verb, *created);
  set_examples(create_verb, {"cleat v s create data1 --name data1.before-upgrade",
                             "cleat v s create --group group=cassandra_vg --name nightly"});
  on_run(create_verb, chosen, created, create);

  auto grouped = std::make_shared<CreateArguments>();
  CLI::App* group_verb =
      add_verb(*snapshot, "group,g", "Freeze several volumes at one point in time");
  add_texts(group_verb, "volumes", grouped->volumes, kVolume, "Names or ids");
  add_create_options(group_verb, *grouped);
  set_examples(group_verb, {"cleat v s group data1 log1 --name before-upgrade",
                            "cleat v s group data1 log1 --pre-hook 'fsfreeze -f /mnt/$CLEAT_VOLUME'"
                            " --post-hook 'fsfreeze -u /mnt/$CLEAT_VOLUME'"});
  on_run(group_verb, chosen, grouped, create_group);

  auto listed = std::make_shared<ListArguments>();
  CLI::App* list_verb = add_verb(*snapshot, "list,l", "List snapshots");
  add_text(list_verb, "volume", listed->volume, kVolume, "Of this volume; else of all");
  on_run(list_verb, chosen, listed, list);

  auto deleted = std::make_shared<DeleteArguments>();
  CLI::App* delete_verb = add_verb(*snapshot, "delete,d", "Delete snapshots");
  add_texts(delete_verb, "snapshots", deleted->snapshots, kSnapshot, "Names or ids")->required();
  delete_verb->add_flag("--if-exists", deleted->if_exists, "No error when there is none");
  on_run(delete_verb, chosen, deleted, remove);
}

}  // namespace cleat::cli
