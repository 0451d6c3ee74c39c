// alerts: list (also when no verb is given) and clear.
#include <fmt/format.h>

#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/node_print.h"
#include "cli/verbs.h"

namespace cleat::cli {
namespace {

using Stub = api::Alerts::Stub;

struct ListArguments {
  std::string severity, resource;
  bool all = false;
};

Outcome<> list(Session& session, const ListArguments& arguments) {
  api::ListAlertsRequest request;
  request.set_at_least(arguments.severity == "alarm"     ? api::ALERT_SEVERITY_ALARM
                       : arguments.severity == "warning" ? api::ALERT_SEVERITY_WARNING
                                                         : api::ALERT_SEVERITY_UNSPECIFIED);
  request.set_resource(arguments.resource);
  request.set_with_cleared(arguments.all);
  auto response = call<api::Alerts>(session, &Stub::List, request);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    print_alert_list(session.out(), response->alerts());
  }
  return {};
}

struct ClearArguments {
  std::vector<std::string> ids;
  bool all = false;
};

Outcome<> clear(Session& session, const ClearArguments& arguments) {
  if (arguments.ids.empty() != arguments.all) {
    return usage_problem("say which alerts to clear: their ids, or --all");
  }
  api::ClearAlertsRequest request;
  for (const auto& id : arguments.ids) request.add_ids(id);
  request.set_all(arguments.all);
  auto response = call<api::Alerts>(session, &Stub::Clear, request);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    session.out() << fmt::format("{} alerts cleared.\n", response->cleared());
  }
  return {};
}

}  // namespace

void add_alert_verbs(CLI::App& root, Action& chosen) {
  CLI::App* alerts = add_verb(root, "alerts", "What was raised and not cleared yet");
  auto unfiltered = std::make_shared<ListArguments>();
  alerts->callback([alerts, unfiltered, &chosen] {
    if (!alerts->get_subcommands().empty()) return;
    chosen = [unfiltered](Session& session) { return list(session, *unfiltered); };
  });

  auto listed = std::make_shared<ListArguments>();
  CLI::App* list_verb = add_verb(*alerts, "list,l", "List alerts, as alerts alone does");
  add_choice(list_verb, "--severity", listed->severity, {"notice", "warning", "alarm"},
             "At least this severe");
  add_text(list_verb, "--resource", listed->resource, kResource, "Of this volume, node or pool");
  list_verb->add_flag("-a,--all", listed->all, "Cleared ones too");
  on_run(list_verb, chosen, listed, list);

  auto cleared = std::make_shared<ClearArguments>();
  CLI::App* clear_verb = add_verb(*alerts, "clear", "Clear alerts that were dealt with");
  add_texts(clear_verb, "ids", cleared->ids, kAlert, "Ids of alerts");
  clear_verb->add_flag("-a,--all", cleared->all, "All of them");
  on_run(clear_verb, chosen, cleared, clear);
}

}  // namespace cleat::cli
