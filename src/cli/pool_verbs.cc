// pool create, list, inspect, delete.
#include <fmt/format.h>

#include <filesystem>
#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/node_print.h"
#include "cli/verbs.h"
#include "common/units.h"

namespace cleat::cli {
namespace {

using Stub = api::Pools::Stub;

constexpr Duration kPoolVerb = 600s;  // a pool file is zeroed ahead when it is made

struct CreateArguments {
  std::string path, size, pool_class, node;
  bool overwrite = false;
};

Outcome<> create(Session& session, const CreateArguments& arguments) {
  std::string path = arguments.path;
  if (path.front() != '/' && !arguments.node.empty()) {
    return usage_problem(fmt::format("the path {} is relative: write an absolute path of node {}",
                                     path, arguments.node));
  }
  std::error_code status;
  if (path.front() != '/')
    path = std::filesystem::absolute(path, status).lexically_normal().string();
  if (status) {
    return usage_problem(fmt::format("the path {} can't be read: {}: write an absolute one",
                                     arguments.path, status.message()));
  }
  api::CreatePoolRequest request;
  request.set_path(path);
  request.set_node(arguments.node);
  if (!arguments.size.empty()) request.set_size_bytes(size_of(arguments.size));
  request.set_pool_class(arguments.pool_class);
  request.set_overwrite(arguments.overwrite);
  auto pool = call<api::Pools>(session, &Stub::Create, request, kPoolVerb);
  if (!pool) return tl::unexpected<Problem>(pool.error());
  if (session.json) {
    print_json(session.out(), *pool);
  } else {
    session.out() << fmt::format("Pool {} successfully created on {}: {}, {}\n", pool->id(),
                                 pool->node(), pool->path(),
                                 format_size(pool->capacity().total_bytes()));
  }
  return {};
}

struct PoolArguments {
  std::string pool, node;
};

Outcome<> list(Session& session, const PoolArguments& arguments) {
  api::ListPoolsRequest request;
  request.set_node(arguments.node);
  auto response = call<api::Pools>(session, &Stub::List, request);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    print_pool_list(session.out(), response->pools());
  }
  return {};
}

Outcome<> inspect(Session& session, const PoolArguments& arguments) {
  api::InspectPoolRequest request;
  request.set_pool(arguments.pool);
  auto pool = call<api::Pools>(session, &Stub::Inspect, request);
  if (!pool) return tl::unexpected<Problem>(pool.error());
  if (session.json) {
    print_json(session.out(), *pool);
  } else {
    print_pool(session.out(), *pool);
  }
  return {};
}

Outcome<> remove(Session& session, const PoolArguments& arguments) {
  api::DeletePoolRequest request;
  request.set_pool(arguments.pool);
  auto response = call<api::Pools>(session, &Stub::Delete, request);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), {{"deleted", {arguments.pool}}});
  } else {
    session.out() << "Pool " << arguments.pool << " successfully deleted.\n";
  }
  return {};
}

}  // namespace

void add_pool_verbs(CLI::App& root, Action& chosen) {
  CLI::App* pool = add_verb(root, "pool,p", "Pools: files and block devices that hold replicas");
  auto created = std::make_shared<CreateArguments>();
  CLI::App* create_verb = add_verb(*pool, "create,c", "Make a pool of a file or a block device");
  add_text(create_verb, "path", created->path, kPath, "File, made when missing, or block device")
      ->required();
  add_text(create_verb, "-s,--size", created->size, kSize, "Its capacity; of a device: all of it");
  add_text(create_verb, "--class", created->pool_class, kWord, "Its class, a free word: ssd, hdd");
  add_text(create_verb, "--node", created->node, kNode, "On this node instead of here");
  create_verb->add_flag("--overwrite", created->overwrite,
                        "Even over an old pool: its data is lost");
  set_examples(create_verb, {"cleat pool create /var/lib/cleat/pool0 --size 100 --class ssd",
                             "cleat pool create /dev/nvme1n1"});
  on_run(create_verb, chosen, created, create);

  auto listed = std::make_shared<PoolArguments>();
  CLI::App* list_verb = add_verb(*pool, "list,l", "List pools with their exact usage");
  add_text(list_verb, "--node", listed->node, kNode, "Of this node; else of all");
  on_run(list_verb, chosen, listed, list);

  auto inspected = std::make_shared<PoolArguments>();
  CLI::App* inspect_verb = add_verb(*pool, "inspect,i", "Show a pool and the replicas in it");
  add_text(inspect_verb, "pool", inspected->pool, kPool, "Id")->required();
  on_run(inspect_verb, chosen, inspected, inspect);

  auto deleted = std::make_shared<PoolArguments>();
  CLI::App* delete_verb = add_verb(*pool, "delete,d", "Forget a pool that holds no replicas");
  add_text(delete_verb, "pool", deleted->pool, kPool, "Id")->required();
  on_run(delete_verb, chosen, deleted, remove);
}

}  // namespace cleat::cli
