// node list, inspect, maintenance, decommission.
#include <fmt/format.h>

#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/node_print.h"
#include "cli/verbs.h"

namespace cleat::cli {
namespace {

using Stub = api::Nodes::Stub;

struct Arguments {
  std::string node;
  bool enter = false;
  bool leave = false;
  bool force = false;
  bool cancel = false;
};

Outcome<> list(Session& session, const Arguments&) {
  auto response = call<api::Nodes>(session, &Stub::List, api::ListNodesRequest{});
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    print_node_list(session.out(), response->nodes());
  }
  return {};
}

Outcome<> inspect(Session& session, const Arguments& arguments) {
  api::InspectNodeRequest request;
  request.set_node(arguments.node);
  auto node = call<api::Nodes>(session, &Stub::Inspect, request);
  if (!node) return tl::unexpected<Problem>(node.error());
  if (session.json) {
    print_json(session.out(), *node);
  } else {
    print_node(session.out(), *node);
  }
  return {};
}

Outcome<> maintenance(Session& session, const Arguments& arguments) {
  if (arguments.enter == arguments.leave) {
    return usage_problem("say which: --enter starts maintenance of the node, --exit ends it");
  }
  api::MaintenanceRequest request;
  request.set_node(arguments.node);
  request.set_enter(arguments.enter);
  request.set_force(arguments.force);
  auto node = call<api::Nodes>(session, &Stub::Maintenance, request);
  if (!node) return tl::unexpected<Problem>(node.error());
  if (session.json) {
    print_json(session.out(), *node);
  } else {
    session.out() << fmt::format("Node {} is now {}.\n", node->name(), word(node->state()));
  }
  return {};
}

Outcome<> decommission(Session& session, const Arguments& arguments) {
  api::DecommissionRequest request;
  request.set_node(arguments.node);
  request.set_force(arguments.force);
  request.set_cancel(arguments.cancel);
  auto response = call<api::Nodes>(session, &Stub::Decommission, request);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
    return {};
  }
  auto& out = session.out();
  if (arguments.cancel) {
    out << fmt::format("Node {} stays. {} replicas had been moved.\n", arguments.node,
                       response->replicas_moved());
    return {};
  }
  if (response->done()) {
    out << fmt::format("Node {} is decommissioned: stop cleatd there.\n", arguments.node);
    return {};
  }
  out << fmt::format("Node {} is being emptied: {} replicas moved, {} left. Repeat to see more.\n",
                     arguments.node, response->replicas_moved(), response->replicas_left());
  for (const auto& move : response->moves()) {
    out << fmt::format("  {} to {}: {}\n", move.volume(), move.to_node(), format_progress(move));
  }
  if (!response->waiting_for().empty()) out << "Waiting: " << response->waiting_for() << '\n';
  return {};
}

CLI::App* add_one(CLI::App& parent, const std::string& names, const std::string& description,
                  Action& chosen, Outcome<> (*run)(Session&, const Arguments&),
                  const std::shared_ptr<Arguments>& arguments) {
  CLI::App* verb = add_verb(parent, names, description);
  add_text(verb, "node", arguments->node, kNode, "Name or id")->required();
  on_run(verb, chosen, arguments, run);
  return verb;
}

}  // namespace

void add_node_verbs(CLI::App& root, Action& chosen) {
  CLI::App* node = add_verb(root, "node", "Nodes of the cluster");
  auto listed = std::make_shared<Arguments>();
  on_run(add_verb(*node, "list,l", "List nodes"), chosen, listed, list);
  add_one(*node, "inspect,i", "Show everything known of a node", chosen, inspect,
          std::make_shared<Arguments>());

  auto maintained = std::make_shared<Arguments>();
  CLI::App* verb = add_one(*node, "maintenance", "Keep new replicas and attaches off a node",
                           chosen, maintenance, maintained);
  verb->add_flag("-e,--enter", maintained->enter, "Start maintenance");
  verb->add_flag("-x,--exit", maintained->leave, "End maintenance");
  verb->add_flag("--force", maintained->force, "Even while volumes are attached there");

  auto emptied = std::make_shared<Arguments>();
  verb = add_one(*node, "decommission", "Move all replicas off a node, then forget it", chosen,
                 decommission, emptied);
  verb->add_flag("--force", emptied->force,
                 "It is gone for ever: forget it at once, and replicas that are only there");
  verb->add_flag("--cancel", emptied->cancel, "Stop moving replicas off it");
}

}  // namespace cleat::cli
