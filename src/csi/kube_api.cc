#include "csi/kube_api.h"

#include <httplib.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "csi/names.h"

namespace cleat::csi {
namespace {

using Json = nlohmann::json;

constexpr const char* kTaintKey = "node.kubernetes.io/out-of-service";
constexpr const char* kTaintValue = kDriverName;

// A value somewhere below, or null: never throws, whatever the server sent.
const Json& at(const Json& from, std::initializer_list<const char*> path) {
  static const Json none;
  const Json* now = &from;
  for (const char* key : path) {
    if (!now->is_object()) return none;
    auto found = now->find(key);
    if (found == now->end()) return none;
    now = &*found;
  }
  return *now;
}

std::string text_at(const Json& from, std::initializer_list<const char*> path) {
  const Json& value = at(from, path);
  return value.is_string() ? value.get<std::string>() : std::string{};
}

// Never throws: what is not UTF-8 is replaced.
std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Outcome<Json> parse(const std::string& text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_object()) return value;
  return failure(Code::kCorrupt, "the answer of the Kubernetes API can't be read");
}

Outcome<Json> parse_list(const std::string& text) {
  OUTCOME_ASSIGN(Json list, parse(text));
  if (at(list, {"items"}).is_array()) return at(list, {"items"});
  return failure(Code::kCorrupt, "the answer of the Kubernetes API is not a list");
}

bool is_ready(const Json& node) {
  for (const Json& condition : at(node, {"status", "conditions"})) {
    if (text_at(condition, {"type"}) == "Ready") return text_at(condition, {"status"}) == "True";
  }
  return false;
}

bool is_our_taint(const Json& taint) {
  return text_at(taint, {"key"}) == kTaintKey && text_at(taint, {"value"}) == kTaintValue;
}

bool is_tainted(const Json& node) {
  const Json& taints = at(node, {"spec", "taints"});
  return std::any_of(taints.begin(), taints.end(), is_our_taint);
}

std::map<std::string, std::string> cleat_names(const Json& csi_nodes) {
  std::map<std::string, std::string> out;
  for (const Json& node : csi_nodes) {
    for (const Json& driver : at(node, {"spec", "drivers"})) {
      if (text_at(driver, {"name"}) != kDriverName) continue;
      out[text_at(node, {"metadata", "name"})] = text_at(driver, {"nodeID"});
    }
  }
  return out;
}

struct Attached {
  bool ours = false;
  std::set<std::string> others;  // attachers
};

bool is_attached(const Json& attachment) {
  const Json& attached = at(attachment, {"status", "attached"});
  return attached.is_boolean() && attached.get<bool>();
}

// By node. Of ours those count too that are only to be attached.
std::map<std::string, Attached> attached_on_nodes(const Json& attachments) {
  std::map<std::string, Attached> out;
  for (const Json& attachment : attachments) {
    Attached& there = out[text_at(attachment, {"spec", "nodeName"})];
    const std::string attacher = text_at(attachment, {"spec", "attacher"});
    if (attacher == kDriverName) there.ours = true;
    if (attacher != kDriverName && is_attached(attachment)) there.others.insert(attacher);
  }
  return out;
}

// Only the pod that was read: another of its name may be there by then.
std::string removal_of(const EndingPod& pod) {
  const Json options = {{"kind", "DeleteOptions"},
                        {"apiVersion", "v1"},
                        {"gracePeriodSeconds", 0},
                        {"preconditions", {{"uid", pod.uid}}}};
  return to_text(options);
}

uint32_t count_at(const Json& from, const char* key) {
  const Json& value = at(from, {"spec", key});
  if (!value.is_number_unsigned()) return 0;
  return static_cast<uint32_t>(std::min<uint64_t>(value.get<uint64_t>(), INT32_MAX));
}

// Without the end of its line; empty when it can't be read.
std::string text_of_file(const std::string& path) {
  std::ifstream file(path);
  std::string text(std::istreambuf_iterator<char>(file), {});
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

httplib::Result send(httplib::Client& client, const std::string& method, const std::string& path,
                     const httplib::Headers& headers, const std::string& body) {
  if (method == "PATCH") return client.Patch(path, headers, body, "application/json-patch+json");
  if (method == "DELETE") return client.Delete(path, headers, body, "application/json");
  if (method == "POST") return client.Post(path, headers, body, "application/json");
  if (method == "PUT") return client.Put(path, headers, body, "application/json");
  return client.Get(path, headers);
}

Failure refused(const std::string& what, const httplib::Result& result) {
  if (!result) {
    return {Code::kUnreachable, fmt::format("{}: cannot reach the Kubernetes API: {}", what,
                                            httplib::to_string(result.error()))};
  }
  const int status = result->status;
  const Code code = status == 409 || status == 422   ? Code::kConflict
                    : status == 404                  ? Code::kNotFound
                    : status == 401 || status == 403 ? Code::kPermission
                                                     : Code::kUnreachable;
  return {code, fmt::format("{}: the Kubernetes API answered {}: {}", what, status,
                            result->body.substr(0, 200))};
}

}  // namespace

Outcome<std::vector<KubeNode>> read_kube_nodes(const std::string& nodes,
                                               const std::string& csi_nodes,
                                               const std::string& attachments) {
  OUTCOME_ASSIGN(Json node_list, parse_list(nodes));
  OUTCOME_ASSIGN(Json csi_list, parse_list(csi_nodes));
  OUTCOME_ASSIGN(Json attachment_list, parse_list(attachments));
  const auto names = cleat_names(csi_list);
  const auto attached = attached_on_nodes(attachment_list);
  std::vector<KubeNode> out;
  for (const Json& node : node_list) {
    KubeNode read;
    read.name = text_at(node, {"metadata", "name"});
    if (auto found = names.find(read.name); found != names.end()) read.cleat_node = found->second;
    read.ready = is_ready(node);
    read.tainted = is_tainted(node);
    if (auto found = attached.find(read.name); found != attached.end()) {
      read.has_attachments = found->second.ours;
      read.other_attachers.assign(found->second.others.begin(), found->second.others.end());
    }
    out.push_back(std::move(read));
  }
  return out;
}

Outcome<std::string> taint_patch(const std::string& text, bool on) {
  OUTCOME_ASSIGN(Json node, parse(text));
  Json taints = at(node, {"spec", "taints"});
  if (!taints.is_array()) taints = Json::array();
  Json wanted = Json::array();
  bool there = false;  // anybody's: two of one key and effect are not allowed
  for (const Json& taint : taints) {
    if (!on && is_our_taint(taint)) continue;
    there = there || text_at(taint, {"key"}) == kTaintKey;
    wanted.push_back(taint);
  }
  if (on && !there) {
    wanted.push_back({{"key", kTaintKey}, {"value", kTaintValue}, {"effect", "NoExecute"}});
  }
  if (wanted == taints) return std::string{};
  const Json patch = Json::array({
      {{"op", "test"},
       {"path", "/metadata/resourceVersion"},
       {"value", text_at(node, {"metadata", "resourceVersion"})}},
      {{"op", "add"}, {"path", "/spec/taints"}, {"value", wanted}},
  });
  return to_text(patch);
}

Outcome<std::vector<EndingPod>> read_ending_pods(const std::string& pods) {
  OUTCOME_ASSIGN(Json list, parse_list(pods));
  std::vector<EndingPod> out;
  for (const Json& pod : list) {
    if (text_at(pod, {"metadata", "deletionTimestamp"}).empty()) continue;
    out.push_back(
        {fmt::format("/api/v1/namespaces/{}/pods/{}", text_at(pod, {"metadata", "namespace"}),
                     text_at(pod, {"metadata", "name"})),
         text_at(pod, {"metadata", "uid"})});
  }
  return out;
}

Outcome<KubeLease> read_kube_lease(const std::string& text) {
  OUTCOME_ASSIGN(Json lease, parse(text));
  if (text_at(lease, {"metadata", "resourceVersion"}).empty()) {
    return failure(Code::kCorrupt, "the answer of the Kubernetes API is no Lease with a version");
  }
  KubeLease out;
  out.record.holder = text_at(lease, {"spec", "holderIdentity"});
  out.record.duration_s = count_at(lease, "leaseDurationSeconds");
  out.record.acquired = text_at(lease, {"spec", "acquireTime"});
  out.record.renewed = text_at(lease, {"spec", "renewTime"});
  out.record.transitions = count_at(lease, "leaseTransitions");
  out.text = text;
  return out;
}

Outcome<std::string> lease_text(const std::string& text, const LeaseRecord& record) {
  OUTCOME_ASSIGN(Json lease, parse(text));
  Json spec = at(lease, {"spec"});
  if (!spec.is_object()) spec = Json::object();
  spec["holderIdentity"] = record.holder;
  spec["leaseDurationSeconds"] = record.duration_s;
  spec["acquireTime"] = record.acquired;
  spec["renewTime"] = record.renewed;
  spec["leaseTransitions"] = record.transitions;
  lease["spec"] = std::move(spec);
  return to_text(lease);
}

Outcome<std::string> KubeApi::exchange(const std::string& method, const std::string& path,
                                       const std::string& body) {
  const std::string what = method + " " + path;
  try {
    httplib::Client client(options_.url);
    if (!client.is_valid()) {
      return failure(Code::kInvalidArgument, "\"{}\" is not the URL of an API server",
                     options_.url);
    }
    const auto limit = std::chrono::duration_cast<std::chrono::microseconds>(options_.timeout);
    client.set_connection_timeout(limit);
    client.set_read_timeout(limit);
    client.set_write_timeout(limit);
    if (options_.url.starts_with("https:")) {
      client.set_ca_cert_path(options_.ca_file);
      client.enable_server_certificate_verification(true);
    }
    const httplib::Headers headers{{"Authorization", "Bearer " + text_of_file(options_.token_file)},
                                   {"Accept", "application/json"}};
    httplib::Result result = send(client, method, path, headers, body);
    if (result && (result->status == 200 || result->status == 201)) return result->body;
    return tl::unexpected(refused(what, result));
  } catch (const std::exception& thrown) {
    return failure(Code::kUnreachable, "{}: {}", what, thrown.what());
  }
}

Outcome<std::vector<KubeNode>> KubeApi::nodes() {
  OUTCOME_ASSIGN(std::string nodes, exchange("GET", "/api/v1/nodes", ""));
  OUTCOME_ASSIGN(std::string csi, exchange("GET", "/apis/storage.k8s.io/v1/csinodes", ""));
  OUTCOME_ASSIGN(std::string attachments,
                 exchange("GET", "/apis/storage.k8s.io/v1/volumeattachments", ""));
  return read_kube_nodes(nodes, csi, attachments);
}

Outcome<> KubeApi::set_taint(const std::string& node, bool on) {
  const std::string path = "/api/v1/nodes/" + node;
  OUTCOME_ASSIGN(std::string now, exchange("GET", path, ""));
  OUTCOME_ASSIGN(std::string patch, taint_patch(now, on));
  if (patch.empty()) return {};
  OUTCOME_TRY(exchange("PATCH", path, patch));
  return {};
}

Outcome<> KubeApi::remove_ending_pods(const std::string& node) {
  OUTCOME_ASSIGN(std::string pods,
                 exchange("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3D" + node, ""));
  OUTCOME_ASSIGN(auto ending, read_ending_pods(pods));
  for (const EndingPod& pod : ending) {
    auto removed = exchange("DELETE", pod.path, removal_of(pod));
    if (removed || removed.error().code == Code::kNotFound) continue;  // gone by itself
    if (removed.error().code != Code::kConflict) return tl::unexpected(removed.error());
  }
  return {};
}

Outcome<std::string> KubeApi::leases_path() const {
  const std::string name_space = text_of_file(options_.namespace_file);
  if (!name_space.empty()) {
    return fmt::format("/apis/coordination.k8s.io/v1/namespaces/{}/leases", name_space);
  }
  return failure(Code::kInvalidArgument, "\"{}\" doesn't name the namespace of this pod",
                 options_.namespace_file);
}

Outcome<KubeLease> KubeApi::read_lease(const std::string& name) {
  OUTCOME_ASSIGN(std::string path, leases_path());
  OUTCOME_ASSIGN(std::string lease, exchange("GET", path + "/" + name, ""));
  return read_kube_lease(lease);
}

Outcome<> KubeApi::create_lease(const std::string& name, const LeaseRecord& record) {
  OUTCOME_ASSIGN(std::string path, leases_path());
  const Json empty = {
      {"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}, {"metadata", {{"name", name}}}};
  OUTCOME_ASSIGN(std::string lease, lease_text(to_text(empty), record));
  OUTCOME_TRY(exchange("POST", path, lease));
  return {};
}

Outcome<> KubeApi::update_lease(const std::string& name, const KubeLease& read,
                                const LeaseRecord& record) {
  OUTCOME_ASSIGN(std::string path, leases_path());
  OUTCOME_ASSIGN(std::string lease, lease_text(read.text, record));
  OUTCOME_TRY(exchange("PUT", path + "/" + name, lease));
  return {};
}

}  // namespace cleat::csi
