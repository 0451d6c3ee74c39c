// host attach, detach, mount, unmount: volumes as devices of a node.
#include <fmt/format.h>

#include <filesystem>
#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/format.h"
#include "cli/verbs.h"

namespace cleat::cli {
namespace {

using Stub = api::Hosts::Stub;

constexpr Duration kHostVerb =
    120s;  // an attach may wait for a lease; a mount may make a file system

struct Arguments {
  std::string volume, node, path;
  std::string frontend = "fuse";
  std::vector<std::string> options;
  bool force = false;
  bool read_only = false;
};

Outcome<> attach(Session& session, const Arguments& arguments) {
  api::AttachRequest request;
  request.set_volume(arguments.volume);
  request.set_node(arguments.node);
  request.set_force(arguments.force);
  request.set_frontend(arguments.frontend == "nbd" ? api::FRONTEND_NBD : api::FRONTEND_FUSE);
  auto response = call<api::Hosts>(session, &Stub::Attach, request, kHostVerb);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
    return {};
  }
  const auto& attachment = response->attachment();
  session.out() << fmt::format("Volume {} attached on {} (epoch {}).\n", arguments.volume,
                               attachment.node(), response->epoch());
  // The last line is for scripts: device=$(cleat host attach data1 | tail -n 1).
  bool nbd = attachment.frontend() == api::FRONTEND_NBD;
  session.out() << (nbd ? attachment.uri() : attachment.device()) << '\n';
  return {};
}

Outcome<> detach(Session& session, const Arguments& arguments) {
  api::DetachRequest request;
  request.set_volume(arguments.volume);
  request.set_node(arguments.node);
  request.set_force(arguments.force);
  auto response = call<api::Hosts>(session, &Stub::Detach, request, kHostVerb);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    session.out() << "Volume " << arguments.volume << " successfully detached.\n";
  }
  return {};
}

// A path on another node must be whole; here it may be relative to where the person is.
Outcome<std::string> whole_path(const Arguments& arguments) {
  if (arguments.path.empty() || arguments.path.front() == '/') return arguments.path;
  if (!arguments.node.empty()) {
    return usage_problem(fmt::format("the path {} is relative: write an absolute path of node {}",
                                     arguments.path, arguments.node));
  }
  std::error_code status;
  auto path = std::filesystem::absolute(arguments.path, status);
  if (status)
    return usage_problem(fmt::format("the path {} can't be read: {}: write an absolute one",
                                     arguments.path, status.message()));
  return path.lexically_normal().string();
}

Outcome<> mount(Session& session, const Arguments& arguments) {
  auto path = whole_path(arguments);
  if (!path) return tl::unexpected<Problem>(path.error());
  api::MountRequest request;
  request.set_volume(arguments.volume);
  request.set_path(*path);
  request.set_node(arguments.node);
  request.set_read_only(arguments.read_only);
  for (const auto& option : arguments.options) request.add_options(option);
  auto response = call<api::Hosts>(session, &Stub::Mount, request, kHostVerb);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
    return {};
  }
  if (response->formatted()) {
    session.out() << fmt::format("Made an {} file system on {}.\n", response->fs(),
                                 response->device());
  }
  session.out() << fmt::format("Volume {} successfully mounted at {}.\n", arguments.volume,
                               response->path());
  return {};
}

Outcome<> unmount(Session& session, const Arguments& arguments) {
  auto path = whole_path(arguments);
  if (!path) return tl::unexpected<Problem>(path.error());
  api::UnmountRequest request;
  request.set_volume(arguments.volume);
  request.set_path(*path);
  request.set_node(arguments.node);
  auto response = call<api::Hosts>(session, &Stub::Unmount, request, kHostVerb);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    session.out() << "Volume " << arguments.volume << " successfully unmounted.\n";
  }
  return {};
}

void add_attach_and_detach(CLI::App& host, Action& chosen) {
  auto attached = std::make_shared<Arguments>();
  CLI::App* attach_verb =
      add_verb(host, "attach", "Make a volume a device here; prints the device as its last line");
  add_text(attach_verb, "volume", attached->volume, kVolume, "Name or id")->required();
  add_choice(attach_verb, "--frontend", attached->frontend, {"fuse", "nbd"},
             "A device /dev/cleat/NAME, or an NBD export whose URI is printed")
      ->capture_default_str();
  add_text(attach_verb, "--node", attached->node, kNode,
           "Attach on this node instead of here; a shared volume can be on several");
  attach_verb->add_flag("--force", attached->force, "Take it over from a node that is gone");
  set_examples(attach_verb, {"cleat host attach data1", "cleat host attach data1 --frontend nbd"});
  on_run(attach_verb, chosen, attached, attach);

  auto detached = std::make_shared<Arguments>();
  CLI::App* detach_verb = add_verb(host, "detach", "Take the device of a volume away");
  add_text(detach_verb, "volume", detached->volume, kVolume, "Name or id")->required();
  add_text(detach_verb, "--node", detached->node, kNode,
           "Only if it is attached there; else a shared volume is detached on all nodes");
  detach_verb->add_flag("--force", detached->force,
                        "Even while it is open: its I/O then fails; a node that is offline is "
                        "expelled from a shared volume");
  on_run(detach_verb, chosen, detached, detach);
}

void add_mount_and_unmount(CLI::App& host, Action& chosen) {
  auto mounted = std::make_shared<Arguments>();
  CLI::App* mount_verb =
      add_verb(host, "mount", "Mount an attached volume, making its file system the first time");
  add_text(mount_verb, "volume", mounted->volume, kVolume, "Name or id")->required();
  add_text(mount_verb, "path,--path", mounted->path, kPath, "Directory, made when missing")
      ->required();
  add_text(mount_verb, "--node", mounted->node, kNode, "Mount on this node instead of here");
  mount_verb->add_option("-o,--options", mounted->options, "Mount options, as of mount -o")
      ->type_name("OPTIONS")
      ->delimiter(',')
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
  mount_verb->add_flag("--read-only", mounted->read_only,
                       "Mount it read-only, as several nodes can mount a shared volume");
  set_examples(mount_verb, {"cleat host mount data1 /var/lib/cassandra -o noatime"});
  on_run(mount_verb, chosen, mounted, mount);

  auto unmounted = std::make_shared<Arguments>();
  CLI::App* unmount_verb = add_verb(host, "unmount,umount", "Unmount a volume");
  add_text(unmount_verb, "volume", unmounted->volume, kVolume, "Name or id")->required();
  add_text(unmount_verb, "path,--path", unmounted->path, kPath, "Only there; else all its mounts");
  add_text(unmount_verb, "--node", unmounted->node, kNode, "On this node instead of here");
  on_run(unmount_verb, chosen, unmounted, unmount);
}

}  // namespace

void add_host_verbs(CLI::App& root, Action& chosen) {
  CLI::App* host = add_verb(root, "host", "Volumes as devices and mounts of a node");
  add_attach_and_detach(*host, chosen);
  add_mount_and_unmount(*host, chosen);
}

}  // namespace cleat::cli
