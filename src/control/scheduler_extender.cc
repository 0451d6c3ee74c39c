#include "control/scheduler_extender.h"

#include <nlohmann/json.hpp>

#include "control/pod_placement.h"

namespace cleat::control {
namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 64;  // of brackets: what is written back is written by recursion

struct Question {
  PodClaims pod;
  Json whole_nodes;  // v1.NodeList; null when names were given
  std::vector<std::string> nodes;
};

tl::unexpected<Failure> bad(const std::string& what) {
  return failure(Code::kInvalidArgument,
                 "this is no ExtenderArgs of kube-scheduler: {}; only a scheduler calls this",
                 what);
}

// The member of an object, or null. Go writes the names of the outer fields as they stand in its
// types, older versions of them began with a small letter.
const Json& member(const Json& object, const std::string& key) {
  static const Json null;
  if (!object.is_object()) return null;
  auto found = object.find(key);
  if (found != object.end()) return *found;
  std::string small = key;
  small[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(small[0])));
  found = object.find(small);
  return found == object.end() ? null : *found;
}

std::string text(const Json& object, const std::string& key) {
  const Json& value = member(object, key);
  return value.is_string() ? value.get<std::string>() : std::string{};
}

// Claims by name, and those that a pod has for itself: POD-VOLUME.
Outcome<PodClaims> read_pod(const Json& pod) {
  const Json& metadata = member(pod, "metadata");
  PodClaims out{text(metadata, "name"), text(metadata, "namespace"), {}};
  if (out.pod.empty() && text(metadata, "generateName").empty()) return bad("its Pod has no name");
  if (out.name_space.empty()) return bad("its Pod has no namespace");
  const Json& volumes = member(member(pod, "spec"), "volumes");
  if (!volumes.is_array() && !volumes.is_null()) return bad("the Pod's volumes are no list");
  if (volumes.size() > SchedulerExtender::kVolumesMax) {
    return failure(Code::kInvalidArgument, "the Pod has {} volumes, {} are the most",
                   volumes.size(), SchedulerExtender::kVolumesMax);
  }
  for (const Json& volume : volumes) {
    const std::string claim = text(member(volume, "persistentVolumeClaim"), "claimName");
    if (!claim.empty()) out.claims.push_back(claim);
    if (member(volume, "ephemeral").is_object()) {
      out.claims.push_back(out.pod + "-" + text(volume, "name"));
    }
  }
  return out;
}

Outcome<std::vector<std::string>> read_names(const Json& names) {
  std::vector<std::string> out;
  for (const Json& name : names) {
    if (!name.is_string()) return bad("a name in its NodeNames is no text");
    out.push_back(name.get<std::string>());
  }
  return out;
}

Outcome<std::vector<std::string>> read_nodes(const Json& items) {
  std::vector<std::string> out;
  for (const Json& node : items) {
    out.push_back(text(member(node, "metadata"), "name"));
    if (out.back().empty()) return bad("one of its Nodes has no name");
  }
  return out;
}

Outcome<Json> parse(const std::string& body) {
  bool too_deep = false;
  auto keep = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kDepthMax;
    return !too_deep;
  };
  Json out = Json::parse(body, keep, false);
  if (too_deep) return bad(fmt::format("brackets stand in more than {} others", kDepthMax));
  return out;
}

Outcome<Question> read_question(const std::string& body) {
  OUTCOME_ASSIGN(Json args, parse(body));
  if (!args.is_object()) return bad("it is no JSON object");
  Question out;
  if (!member(args, "Pod").is_object()) return bad("it has no Pod");
  OUTCOME_ASSIGN(out.pod, read_pod(member(args, "Pod")));
  const Json& names = member(args, "NodeNames");
  const Json& items = member(member(args, "Nodes"), "items");
  if (!names.is_array() && !items.is_array()) return bad("it has neither NodeNames nor Nodes");
  const size_t count = names.is_array() ? names.size() : items.size();
  if (count > SchedulerExtender::kNodesMax) {
    return failure(Code::kInvalidArgument, "it names {} nodes, {} are the most", count,
                   SchedulerExtender::kNodesMax);
  }
  if (names.is_array()) {
    OUTCOME_ASSIGN(out.nodes, read_names(names));
  } else {
    OUTCOME_ASSIGN(out.nodes, read_nodes(items));
    out.whole_nodes = std::move(args[args.contains("Nodes") ? "Nodes" : "nodes"]);
  }
  return out;
}

// A pod without claims is no reason to read the metadata.
Outcome<ClusterView> view_for(const Question& question, const ControlContext& context) {
  if (question.pod.claims.empty()) return ClusterView{};
  return ClusterView::load(context);
}

// Text that is not UTF-8 can't come in by JSON, but a name in the metadata may be anything.
std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// An ExtenderFilterResult.
Json filtered(Question& question, const PodPlacement& placement) {
  Json names = Json::array();
  Json items = Json::array();
  Json failed = Json::object();
  for (size_t i = 0; i < question.nodes.size(); ++i) {
    const std::string& node = question.nodes[i];
    std::string obstacle = placement.obstacle(node);
    if (!obstacle.empty()) {
      failed[node] = "Cleat: " + obstacle;
    } else if (question.whole_nodes.is_null()) {
      names.push_back(node);
    } else {
      auto& whole = question.whole_nodes["items"];
      items.push_back(std::move(whole[i]));
    }
  }
  Json out{{"Nodes", nullptr}, {"NodeNames", nullptr}, {"FailedNodes", Json::object()}};
  out["FailedAndUnresolvableNodes"] = std::move(failed);  // no preemption would help
  out["Error"] = "";
  if (question.whole_nodes.is_null()) {
    out["NodeNames"] = std::move(names);
  } else {
    question.whole_nodes["items"] = std::move(items);
    out["Nodes"] = std::move(question.whole_nodes);
  }
  return out;
}

// A HostPriorityList.
Json scored(Question& question, const PodPlacement& placement) {
  Json out = Json::array();
  for (const std::string& node : question.nodes) {
    out.push_back(Json{{"Host", node}, {"Score", placement.score(node)}});
  }
  return out;
}

using Verdict = Json (*)(Question& question, const PodPlacement& placement);

Outcome<std::string> answer(const std::string& body, const ControlContext& context,
                            Verdict verdict) {
  OUTCOME_ASSIGN(Question question, read_question(body));
  OUTCOME_ASSIGN(ClusterView view, view_for(question, context));
  const PodPlacement placement(view, context.limits.pool_nearly_full, question.pod);
  return to_text(verdict(question, placement));
}

}  // namespace

Outcome<std::string> SchedulerExtender::filter(const std::string& body) {
  std::lock_guard lock(mutex_);
  return answer(body, context_, filtered);
}

Outcome<std::string> SchedulerExtender::prioritize(const std::string& body) {
  std::lock_guard lock(mutex_);
  return answer(body, context_, scored);
}

}  // namespace cleat::control
