// status, and cluster status, list, rebuild-metadata.
#include <fmt/format.h>

#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/node_print.h"
#include "cli/status_print.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace cleat::cli {
namespace {

using Stub = api::Cluster::Stub;

constexpr Duration kRebuildVerb = 600s;

struct NoArguments {};

Outcome<> status(Session& session, const NoArguments&) {
  auto response = call<api::Cluster>(session, &Stub::Status, api::StatusRequest{});
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    print_status(session.out(), *response);
  }
  return {};
}

Outcome<> list(Session& session, const NoArguments&) {
  auto response = call<api::Nodes>(session, &api::Nodes::Stub::List, api::ListNodesRequest{});
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    print_node_list(session.out(), response->nodes());
  }
  return {};
}

struct RebuildArguments {
  bool dry_run = false;
  bool force = false;
  bool accept_data_loss = false;
};

void print_rebuilt(std::ostream& out, const api::RebuildMetadataResponse& response, bool dry_run) {
  Table table({"ID", "NAME", "EPOCH", "REPLICAS", "RESULT"});
  for (const auto& item : response.volumes()) {
    std::string result = !item.problem().empty() ? "not written: " + item.problem()
                         : item.written()        ? "written"
                         : dry_run               ? "would be written"
                                                 : "unchanged";
    table.add({item.volume_id(), item.name(), fmt::format("{}", item.epoch()),
               fmt::format("{}", item.replicas_found()), result});
  }
  table.print(out);
  out << fmt::format("{} volumes from {} nodes.\n", response.volumes_size(),
                     response.nodes_asked_size());
  if (response.nodes_missing_size() > 0) {
    out << fmt::format(
        "Nodes that did not answer: {}. What only they hold is not in this list: "
        "repeat when they are back.\n",
        fmt::join(response.nodes_missing().begin(), response.nodes_missing().end(), ", "));
  }
}

Outcome<> rebuild(Session& session, const RebuildArguments& arguments) {
  api::RebuildMetadataRequest request;
  request.set_dry_run(arguments.dry_run);
  request.set_force(arguments.force);
  request.set_accept_data_loss(arguments.accept_data_loss);
  auto response = call<api::Cluster>(session, &Stub::RebuildMetadata, request, kRebuildVerb);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    print_rebuilt(session.out(), *response, arguments.dry_run);
  }
  return {};
}

}  // namespace

void add_status_verb(CLI::App& root, Action& chosen) {
  CLI::App* verb = add_verb(
      root, "status", "What there is, what is degraded, why, and what Cleat is doing about it");
  on_run(verb, chosen, std::make_shared<NoArguments>(), status);
}

void add_cluster_verbs(CLI::App& root, Action& chosen) {
  CLI::App* cluster = add_verb(root, "cluster", "The cluster as a whole");
  on_run(add_verb(*cluster, "status", "The same as cleat status"), chosen,
         std::make_shared<NoArguments>(), status);
  on_run(add_verb(*cluster, "list,l", "List its nodes"), chosen, std::make_shared<NoArguments>(),
         list);
  auto arguments = std::make_shared<RebuildArguments>();
  CLI::App* verb = add_verb(*cluster, "rebuild-metadata",
                            "Write volumes that etcd has lost back from the replicas' catalogs");
  verb->add_flag("--dry-run", arguments->dry_run, "Only say what would be written");
  verb->add_flag("--force", arguments->force,
                 "Also replace records in etcd that are older than the replicas', and take over an "
                 "etcd that lost the cluster");
  verb->add_flag("--accept-data-loss", arguments->accept_data_loss,
                 "Also volumes of which an in-sync replica was not found");
  on_run(verb, chosen, arguments, rebuild);
}

}  // namespace cleat::cli
