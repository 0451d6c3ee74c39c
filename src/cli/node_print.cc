#include "cli/node_print.h"

#include <fmt/format.h>

#include "cli/table.h"
#include "common/units.h"

namespace cleat::cli {
namespace {

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& words) {
  return fmt::format("{}", fmt::join(words.begin(), words.end(), ", "));
}

std::string with_problem(std::string state, const std::string& problem) {
  return problem.empty() ? state : state + ": " + problem;
}

}  // namespace

void print_node_list(std::ostream& out,
                     const google::protobuf::RepeatedPtrField<api::Node>& nodes) {
  Table table({"ID", "NAME", "ADDRESS", "RACK", "ZONE", "POOLS", "USED", "CAPACITY", "REPLICAS",
               "ATTACHED", "VERSION", "STATE"});
  for (const auto& node : nodes) {
    table.add({node.id(), node.name(), node.address(), node.rack().empty() ? "-" : node.rack(),
               node.zone().empty() ? "-" : node.zone(), fmt::format("{}", node.pools_size()),
               format_size(node.capacity().used_bytes()),
               format_size(node.capacity().total_bytes()), fmt::format("{}", node.replica_count()),
               fmt::format("{}", node.attached_count()), node.version(),
               with_problem(word(node.state()), node.problem())});
  }
  table.print(out);
}

void print_node(std::ostream& out, const api::Node& node) {
  Fields fields(out);
  fields.title("Node", node.id());
  fields.add("Name", node.name());
  fields.add("Address", node.address());
  fields.add("Rack", node.rack());
  fields.add("Zone", node.zone());
  fields.add("State", with_problem(word(node.state()), node.problem()));
  fields.add("Health", word(node.health()));
  fields.add("Version", node.version());
  fields.add("Kernel", node.kernel());
  fields.add("Started", format_time(node.started_unix_ms()));
  fields.add("Last seen", format_time(node.last_seen_unix_ms()));
  fields.add("Capacity used",
             format_share(node.capacity().used_bytes(), node.capacity().total_bytes()));
  fields.add("Replicas", fmt::format("{}", node.replica_count()));
  if (node.replica_volumes_size() > 0) fields.add("Replicas of", joined(node.replica_volumes()));
  if (node.attached_volumes_size() > 0) fields.add("Attached", joined(node.attached_volumes()));
  if (node.pools_size() == 0) return;
  fields.line("Pools:");
  for (const auto& pool : node.pools()) {
    fields.line(
        fmt::format("{}  {}  {}  {}", pool.id(), pool.path(),
                    format_share(pool.capacity().used_bytes(), pool.capacity().total_bytes()),
                    with_problem(word(pool.state()), pool.problem())),
        2);
  }
}

void print_pool_list(std::ostream& out,
                     const google::protobuf::RepeatedPtrField<api::Pool>& pools) {
  Table table({"ID", "NODE", "PATH", "CLASS", "CAPACITY", "USED", "FREE", "PROVISIONED",
               "RECLAIMABLE", "REPLICAS", "STATE"});
  for (const auto& pool : pools) {
    const auto& capacity = pool.capacity();
    table.add({pool.id(), pool.node(), pool.path(),
               pool.pool_class().empty() ? "-" : pool.pool_class(),
               format_size(capacity.total_bytes()), format_size(capacity.used_bytes()),
               format_size(capacity.free_bytes()), format_size(capacity.provisioned_bytes()),
               format_size(pool.reclaimable_bytes()), fmt::format("{}", pool.replica_count()),
               with_problem(word(pool.state()), pool.problem())});
  }
  table.print(out);
}

void print_pool(std::ostream& out, const api::Pool& pool) {
  Fields fields(out);
  fields.title("Pool", pool.id());
  fields.add("Node", pool.node());
  fields.add("Path", pool.path());
  fields.add("Class", pool.pool_class());
  fields.add("State", with_problem(word(pool.state()), pool.problem()));
  fields.add("Capacity", format_size(pool.capacity().total_bytes()));
  fields.add("Used", format_size(pool.capacity().used_bytes()));
  fields.add("Free", format_size(pool.capacity().free_bytes()));
  fields.add("Provisioned", format_size(pool.capacity().provisioned_bytes()));
  fields.add("Reclaimable", format_size(pool.reclaimable_bytes()));
  fields.add("Replicas", fmt::format("{}", pool.replica_count()));
  for (const auto& replica : pool.replicas()) {
    fields.line(fmt::format("{}  {}  {} used, {} shared, {} reclaimable", replica.volume_id(),
                            replica.volume().empty() ? "(not in etcd)" : replica.volume(),
                            format_size(replica.usage().used_bytes()),
                            format_size(replica.usage().shared_bytes()),
                            format_size(replica.usage().reclaimable_bytes())),
                2);
  }
}

void print_alert_list(std::ostream& out,
                      const google::protobuf::RepeatedPtrField<api::Alert>& alerts) {
  Table table({"ID", "SEVERITY", "KIND", "RESOURCE", "COUNT", "LAST SEEN", "MESSAGE"});
  for (const auto& alert : alerts) {
    std::string message = alert.message();
    if (alert.cleared_unix_ms() != 0) message += " (cleared)";
    table.add({alert.id(), upper(word(alert.severity())), alert.kind(),
               alert.resource_kind() + " " + alert.resource(), fmt::format("{}", alert.count()),
               format_time(alert.last_seen_unix_ms()), message});
  }
  table.print(out);
}

}  // namespace cleat::cli
