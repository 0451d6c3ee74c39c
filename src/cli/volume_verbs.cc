// volume create, list, inspect, delete.
#include <fmt/format.h>

#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/verbs.h"
#include "cli/volume_print.h"

namespace cleat::cli {
namespace {

using Stub = api::Volumes::Stub;

struct CreateArguments {
  std::string name;
  std::string size = "1";
  uint32_t ha = 1;
  std::string fs = "ext4";
  std::vector<std::string> nodes, racks, zones, labels;
  std::string pool_class;
  std::string io_priority;
  std::string io_profile;
  std::string follow = kOff;
  uint32_t scale = 1;
  bool shared = false;
  bool encrypted = false;
};

api::CreateVolumeRequest create_request(const CreateArguments& arguments) {
  api::CreateVolumeRequest request;
  request.set_name(arguments.name);
  request.set_size_bytes(size_of(arguments.size));
  request.set_ha(arguments.ha);
  request.set_fs(arguments.fs);
  request.set_shared(arguments.shared);
  request.set_encrypted(arguments.encrypted);
  request.set_scale(arguments.scale);
  request.set_pool_class(arguments.pool_class);
  request.set_follow(arguments.follow == kOn);
  request.set_io_priority(io_priority_of(arguments.io_priority));
  request.set_io_profile(io_profile_of(arguments.io_profile));
  for (const auto& node : arguments.nodes) request.add_nodes(node);
  for (const auto& rack : arguments.racks) request.add_racks(rack);
  for (const auto& zone : arguments.zones) request.add_zones(zone);
  put_labels(arguments.labels, *request.mutable_labels());
  return request;
}

Outcome<> create(Session& session, const CreateArguments& arguments) {
  auto volume = call<api::Volumes>(session, &Stub::Create, create_request(arguments));
  if (!volume) return tl::unexpected<Problem>(volume.error());
  if (session.json) {
    print_json(session.out(), *volume);
  } else {
    session.out() << "Volume successfully created: " << volume->id() << '\n';
  }
  return {};
}

struct ListArguments {
  bool all = false;
  bool snapshots = false;
  std::vector<std::string> labels;
  std::string node, parent, name;
};

Outcome<> list(Session& session, const ListArguments& arguments) {
  api::ListVolumesRequest request;
  request.set_with_snapshots(arguments.all);
  request.set_only_snapshots(arguments.snapshots);
  request.set_node(arguments.node);
  request.set_parent(arguments.parent);
  request.set_name(arguments.name);
  put_labels(arguments.labels, *request.mutable_labels());
  auto response = call<api::Volumes>(session, &Stub::List, request);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    print_volume_list(session.out(), response->volumes());
  }
  return {};
}

struct NamesArguments {
  std::vector<std::string> names;
  bool if_exists = false;
  bool with_snapshots = false;
};

Outcome<> inspect_one(Session& session, const std::string& name, nlohmann::ordered_json& list) {
  api::InspectVolumeRequest request;
  request.set_volume(name);
  auto volume = call<api::Volumes>(session, &Stub::Inspect, request);
  if (!volume) return tl::unexpected<Problem>(volume.error());
  if (session.json) {
    list.push_back(to_json(*volume));
    return {};
  }
  // Figures of I/O are shown where the volume is attached; without them the rest is still worth
  // showing.
  if (volume->state() == api::VOLUME_STATE_ATTACHED) {
    api::VolumeStatsRequest stats_request;
    stats_request.set_volume(volume->id());
    auto stats = call<api::Volumes>(session, &Stub::Stats, stats_request);
    print_volume(session.out(), *volume, stats ? &*stats : nullptr);
  } else {
    print_volume(session.out(), *volume, nullptr);
  }
  return {};
}

Outcome<> inspect(Session& session, const NamesArguments& arguments) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& name : arguments.names) CLI_TRY(inspect_one(session, name, list));
  if (session.json) print_json(session.out(), list);
  return {};
}

Outcome<> remove(Session& session, const NamesArguments& arguments) {
  for (const auto& name : arguments.names) {
    api::DeleteVolumeRequest request;
    request.set_volume(name);
    request.set_allow_missing(arguments.if_exists);
    request.set_with_snapshots(arguments.with_snapshots);
    CLI_TRY(call<api::Volumes>(session, &Stub::Delete, request));
    if (!session.json) session.out() << "Volume " << name << " successfully deleted.\n";
  }
  if (session.json) print_json(session.out(), {{"deleted", arguments.names}});
  return {};
}

void add_create(CLI::App& volume, Action& chosen) {
  auto arguments = std::make_shared<CreateArguments>();
  CLI::App* verb = add_verb(volume, "create,c", "Create a volume");
  add_text(verb, "name", arguments->name, kName, "Its name")->required();
  add_text(verb, "-s,--size", arguments->size, kSize, "Size: a bare number is GiB; 512M, 10Gi")
      ->capture_default_str();
  verb->add_option("-r,--ha,--repl", arguments->ha, "HA level: the number of replicas, 1 to 3")
      ->type_name("N")
      ->check(CLI::Range(1, 3))
      ->capture_default_str();
  add_choice(verb, "--fs", arguments->fs, {"ext4", "xfs", "none"},
             "File system, made at the first mount")
      ->capture_default_str();
  add_texts(verb, "--nodes", arguments->nodes, kNode, "Put replicas on these nodes first");
  add_texts(verb, "--racks", arguments->racks, kWord, "Put replicas on nodes of these racks only");
  add_texts(verb, "--zones", arguments->zones, kWord, "Put replicas on nodes of these zones only");
  add_text(verb, "--class", arguments->pool_class, kWord,
           "Put replicas in pools of this class only");
  add_texts(verb, "-l,--label", arguments->labels, kLabel, "Label; may be repeated");
  add_choice(verb, "--io-priority,--io_priority", arguments->io_priority, {"high", "medium", "low"},
             "I/O priority: shown, no effect yet");
  add_choice(verb, "--io-profile,--io_profile", arguments->io_profile,
             {"auto", "sequential", "random", "db"}, "What its I/O is like: shown, no effect yet");
  add_choice(verb, "--follow", arguments->follow, {kOn, kOff}, kFollowHelp)->capture_default_str();
  verb->add_option("--scale", arguments->scale,
                   "Volumes to be made of it on demand: shown, no effect yet")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  verb->add_flag("--shared,--sharedv4", arguments->shared,
                 "It can be attached on several nodes at once");
  verb->add_flag("--secure,--encrypted", arguments->encrypted,
                 "Encrypt its data: not in this version");
  set_examples(verb, {"cleat volume create data1 --size 10 --ha 2 --fs xfs --label app=cassandra",
                      "cleat v c scratch --size 512M --nodes node1"});
  on_run(verb, chosen, arguments, create);
}

void add_list(CLI::App& volume, Action& chosen) {
  auto arguments = std::make_shared<ListArguments>();
  CLI::App* verb = add_verb(volume, "list,l", "List volumes");
  verb->add_flag("-a,--all", arguments->all, "Volumes and snapshots");
  verb->add_flag("-s,--snapshots", arguments->snapshots, "Snapshots only");
  add_texts(verb, "-l,--label", arguments->labels, kLabel,
            "Those with this label; may be repeated");
  add_text(verb, "--node", arguments->node, kNode, "Those attached there or with a replica there");
  add_text(verb, "-p,--parent", arguments->parent, kVolume, "Snapshots and clones of this volume");
  add_text(verb, "--name", arguments->name, kVolume, "This one, if it exists");
  set_examples(verb, {"cleat v l", "cleat volume list --label app=cassandra -j"});
  on_run(verb, chosen, arguments, list);
}

void add_inspect_and_delete(CLI::App& volume, Action& chosen) {
  auto inspected = std::make_shared<NamesArguments>();
  CLI::App* inspect_verb =
      add_verb(volume, "inspect,i", "Show everything known of volumes or snapshots");
  add_texts(inspect_verb, "volumes", inspected->names, kVolume, "Names or ids")->required();
  on_run(inspect_verb, chosen, inspected, inspect);

  auto deleted = std::make_shared<NamesArguments>();
  CLI::App* delete_verb = add_verb(volume, "delete,d", "Delete volumes that are detached");
  add_texts(delete_verb, "volumes", deleted->names, kVolume, "Names or ids")->required();
  delete_verb->add_flag("--if-exists", deleted->if_exists, "No error when there is none");
  delete_verb->add_flag("--with-snapshots", deleted->with_snapshots, "Their snapshots too");
  on_run(delete_verb, chosen, deleted, remove);
}

}  // namespace

void add_volume_verbs(CLI::App& root, Action& chosen) {
  CLI::App* volume = add_verb(root, "volume,v", "Volumes and their snapshots");
  add_create(*volume, chosen);
  add_list(*volume, chosen);
  add_inspect_and_delete(*volume, chosen);
  add_volume_change_verbs(*volume, chosen);
  add_volume_check_verbs(*volume, chosen);
  add_snapshot_verbs(*volume, chosen);
}

}  // namespace cleat::cli
