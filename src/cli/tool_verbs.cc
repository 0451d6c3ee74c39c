// completion, man, and the hidden verbs that build and completion call.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <ostream>

#include "api/control.grpc.pb.h"
#include "cli/completion.h"
#include "cli/errors.h"
#include "cli/format.h"
#include "cli/manual.h"
#include "cli/verbs.h"

namespace cleat::cli {
namespace {

constexpr size_t kNamesMax = 1000;  // that a shell is offered

template <class Service, class Request, class Response, class Take>
void ask(Session& session,
         grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
         const Request& request, Take take) {
  auto response = session.connection.call<Service>(method, request);
  if (response) take(*response);
}

// Names of a kind; a cluster that doesn't answer has none to offer.
std::vector<std::string> names_of(Session& session, const std::string& kind) {
  std::vector<std::string> names;
  if (kind == kNode) {
    ask<api::Nodes>(session, &api::Nodes::Stub::List, api::ListNodesRequest{},
                    [&names](const api::ListNodesResponse& response) {
                      for (const auto& node : response.nodes()) names.push_back(node.name());
                    });
  } else if (kind == kPool) {
    ask<api::Pools>(session, &api::Pools::Stub::List, api::ListPoolsRequest{},
                    [&names](const api::ListPoolsResponse& response) {
                      for (const auto& pool : response.pools()) names.push_back(pool.id());
                    });
  } else if (kind == kVolume || kind == kSnapshot) {
    api::ListVolumesRequest request;
    request.set_only_snapshots(kind == kSnapshot);
    request.set_with_snapshots(kind == kVolume);
    ask<api::Volumes>(session, &api::Volumes::Stub::List, request,
                      [&names](const api::ListVolumesResponse& response) {
                        for (const auto& volume : response.volumes())
                          names.push_back(volume.name());
                      });
  }
  if (names.size() > kNamesMax) names.resize(kNamesMax);
  return names;
}

void add_completion(CLI::App& root, Action& chosen) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = add_verb(root, "completion", "Print the completion of a shell");
  add_choice(verb, "shell", *shell, {"bash"}, "The shell")->required();
  set_examples(verb, {"source <(cleat completion bash)"});
  verb->callback([&chosen, shell] {
    chosen = [shell](Session& session) -> Outcome<> {
      session.out() << bash_completion();
      return {};
    };
  });

  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* hidden = add_verb(root, "complete", "Print what the last word can become");
  hidden->group("");
  hidden->add_option("words", *words);
  hidden->callback([&chosen, &root, words] {
    chosen = [&root, words](Session& session) -> Outcome<> {
      NameSource names = [&session](const std::string& kind) { return names_of(session, kind); };
      for (const auto& word : complete(root, *words, names)) session.out() << word << '\n';
      return {};
    };
  });
}

Outcome<> write_pages(const CLI::App& root, const std::string& directory) {
  std::error_code status;
  std::filesystem::create_directories(directory, status);
  for (const auto& [name, text] : manual_pages(root, CLEAT_VERSION)) {
    std::string path = directory + "/" + name;
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) {
      return failed("I/O error",
                    fmt::format("cannot write {}: check the directory and its space", path));
    }
  }
  return {};
}

struct ManArguments {
  std::string group, directory;
};

Outcome<> man(Session& session, const CLI::App& root, const ManArguments& arguments) {
  if (!arguments.directory.empty()) return write_pages(root, arguments.directory);
  std::string wanted = arguments.group.empty() ? "cleat.1" : "cleat-" + arguments.group + ".1";
  for (const auto& [name, text] : manual_pages(root, CLEAT_VERSION)) {
    if (name != wanted) continue;
    session.out() << text;
    return {};
  }
  return usage_problem(fmt::format(
      "there is no manual page of '{}': name a group as volume or host", arguments.group));
}

void add_man(CLI::App& root, Action& chosen) {
  auto arguments = std::make_shared<ManArguments>();
  CLI::App* verb = add_verb(root, "man", "Print a manual page, as troff");
  add_text(verb, "group", arguments->group, kWord, "Of this group of verbs; else of cleat");
  add_text(verb, "--dir", arguments->directory, kPath, "Write all pages into this directory");
  set_examples(verb, {"cleat man volume | man -l -"});
  verb->callback([&chosen, &root, arguments] {
    chosen = [&root, arguments](Session& session) { return man(session, root, *arguments); };
  });

  CLI::App* reference = add_verb(root, "reference", "Print docs/cli.md");
  reference->group("");
  reference->callback([&chosen, &root] {
    chosen = [&root](Session& session) -> Outcome<> {
      session.out() << markdown(root);
      return {};
    };
  });
}

}  // namespace

void add_tool_verbs(CLI::App& root, Action& chosen) {
  add_completion(root, chosen);
  add_man(root, chosen);
}

}  // namespace cleat::cli
