// Against an HTTP server that answers as Kubernetes does.
#include "csi/kube_api.h"

#include <gtest/gtest.h>
#include <httplib.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace cleat::csi {
namespace {

constexpr const char* kNode = R"({"metadata": {"name": "k1", "resourceVersion": "7"},
  "spec": {"taints": [{"key": "other", "effect": "NoSchedule"}]},
  "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})";
constexpr const char* kCsiNodes = R"({"items": [{"metadata": {"name": "k1"}, "spec": {"drivers":
  [{"name": "other.dev", "nodeID": "x"}, {"name": "csi.cleat.dev", "nodeID": "n1"}]}}]})";
constexpr const char* kAttachments = R"({"items": [
  {"spec": {"attacher": "other.dev", "nodeName": "k2"}},
  {"spec": {"attacher": "csi.cleat.dev", "nodeName": "k1"}}]})";

std::string list_of(const std::string& node) { return R"({"items": [)" + node + "]}"; }

TEST(KubeNodes, AreReadFromThreeLists) {
  auto nodes = read_kube_nodes(list_of(kNode), kCsiNodes, kAttachments);
  ASSERT_TRUE(nodes);
  ASSERT_EQ(nodes->size(), 1U);
  EXPECT_EQ(nodes->front().cleat_node, "n1");
  EXPECT_FALSE(nodes->front().ready);
  EXPECT_FALSE(nodes->front().tainted);
  EXPECT_TRUE(nodes->front().has_attachments);
}

TEST(KubeNodes, OfOtherDriversWhatIsAttachedCounts) {
  auto nodes = read_kube_nodes(list_of(kNode), kCsiNodes, R"({"items": [
    {"spec": {"attacher": "z.dev", "nodeName": "k1"}, "status": {"attached": true}},
    {"spec": {"attacher": "a.dev", "nodeName": "k1"}, "status": {"attached": true}},
    {"spec": {"attacher": "z.dev", "nodeName": "k1"}, "status": {"attached": true}},
    {"spec": {"attacher": "not-yet.dev", "nodeName": "k1"}, "status": {"attached": false}},
    {"spec": {"attacher": "odd.dev", "nodeName": "k1"}, "status": {"attached": "true"}},
    {"spec": {"attacher": "elsewhere.dev", "nodeName": "k2"}, "status": {"attached": true}}]})");
  ASSERT_TRUE(nodes);
  EXPECT_EQ(nodes->front().other_attachers, (std::vector<std::string>{"a.dev", "z.dev"}));
  EXPECT_FALSE(nodes->front().has_attachments) << "none is ours";
  nodes = read_kube_nodes(list_of(kNode), kCsiNodes, R"({"items": [
    {"spec": {"attacher": "csi.cleat.dev", "nodeName": "k1"}, "status": {"attached": true}}]})");
  ASSERT_TRUE(nodes);
  EXPECT_TRUE(nodes->front().other_attachers.empty());
  EXPECT_TRUE(nodes->front().has_attachments);
}

TEST(KubeNodes, WhatIsNoAnswerOfKubernetesIsRefused) {
  for (const char* bad : {"", "[]", "{}", R"({"items": 3})", "nonsense", R"({"items": [)"}) {
    EXPECT_EQ(read_kube_nodes(bad, kCsiNodes, kAttachments).error().code, Code::kCorrupt) << bad;
  }
  auto odd = read_kube_nodes(R"({"items": [3, {"metadata": 7, "spec": [], "status": null}]})",
                             R"({"items": [null, {"spec": {"drivers": "x"}}]})",
                             R"({"items": [{"spec": {"attacher": 1}}]})");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->size(), 2U);
}

TEST(TaintPatch, IsForTheVersionThatWasReadAndKeepsOtherTaints) {
  auto on = taint_patch(kNode, true);
  ASSERT_TRUE(on);
  auto patch = nlohmann::json::parse(*on);
  EXPECT_EQ(patch[0]["value"], "7");
  EXPECT_EQ(patch[1]["value"].size(), 2U);
  EXPECT_EQ(patch[1]["value"][1]["effect"], "NoExecute");
  auto tainted = nlohmann::json::parse(kNode);
  tainted["spec"]["taints"] = patch[1]["value"];
  EXPECT_EQ(taint_patch(tainted.dump(), true), "") << "it is there";
  auto off = nlohmann::json::parse(*taint_patch(tainted.dump(), false));
  EXPECT_EQ(off[1]["value"].size(), 1U);
  tainted["spec"]["taints"][1]["value"] = "nodeshutdown";
  EXPECT_EQ(taint_patch(tainted.dump(), true), "") << "somebody else's does the same";
  EXPECT_EQ(taint_patch(tainted.dump(), false), "") << "and is not ours to take off";
}

constexpr const char* kPods = R"({"items": [
  {"metadata": {"namespace": "a", "name": "stays", "uid": "1"}},
  {"metadata": {"namespace": "a", "name": "ends", "uid": "2", "deletionTimestamp": "2026-01-01"}},
  {"metadata": {"namespace": "b", "name": "ends", "uid": "3", "deletionTimestamp": "2026-01-01"}}
  ]})";

TEST(EndingPods, AreThoseThatAreMarkedAsDeleted) {
  auto pods = read_ending_pods(kPods);
  ASSERT_TRUE(pods);
  ASSERT_EQ(pods->size(), 2U);
  EXPECT_EQ(pods->front().path, "/api/v1/namespaces/a/pods/ends");
  EXPECT_EQ(pods->back().uid, "3");
  EXPECT_EQ(read_ending_pods("{}").error().code, Code::kCorrupt);
  EXPECT_TRUE(read_ending_pods(R"({"items": [null, {"metadata": 1}]})")->empty());
}

constexpr const char* kLease = R"({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
  "metadata": {"name": "watch", "resourceVersion": "12", "labels": {"a": "b"}},
  "spec": {"holderIdentity": "pod_1", "leaseDurationSeconds": 4, "leaseTransitions": 2, "strategy": "x",
  "acquireTime": "2026-01-31T12:00:00.000001Z", "renewTime": "2026-01-31T12:00:01.000000Z"}})";

TEST(KubeLeases, AreReadAndWrittenWithAllThatIsNotOurs) {
  auto read = read_kube_lease(kLease);
  ASSERT_TRUE(read);
  const LeaseRecord expected{"pod_1", 4, "2026-01-31T12:00:00.000001Z",
                             "2026-01-31T12:00:01.000000Z", 2};
  EXPECT_EQ(read->record, expected);
  auto same = lease_text(read->text, read->record);
  ASSERT_TRUE(same);
  EXPECT_EQ(nlohmann::json::parse(*same), nlohmann::json::parse(kLease));
  auto released = lease_text(read->text, {"", 1, "x", "y", 2});
  ASSERT_TRUE(released);
  EXPECT_EQ(nlohmann::json::parse(*released)["spec"]["holderIdentity"], "");
}

TEST(KubeLeases, WhatIsNoneIsRefusedAndNonsenseInItIsNobody) {
  for (const char* bad : {"", "[]", "{}", R"({"metadata": 3})", R"({"metadata": {"name": "x"}})"}) {
    EXPECT_EQ(read_kube_lease(bad).error().code, Code::kCorrupt) << bad;
  }
  for (const char* odd : {"3", "null", R"({"holderIdentity": null, "leaseDurationSeconds": -4})"}) {
    const std::string text =
        std::string(R"({"metadata": {"resourceVersion": "1"}, "spec": )") + odd + "}";
    auto read = read_kube_lease(text);
    ASSERT_TRUE(read) << odd;
    EXPECT_EQ(read->record, LeaseRecord{}) << odd;
    EXPECT_TRUE(lease_text(text, {"a", 4, "x", "y", 0})) << odd;
  }
}

class KubeApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cleat-kube-XXXXXX";
    directory = ::mkdtemp(name);
    std::ofstream(directory + "/token") << "secret\n";
    std::ofstream(directory + "/namespace") << "cleat";
    answer(leases_path + "/watch", kLease);
    server.Put(leases_path + "/watch", [this](const auto& request, auto& response) {
      patched = request.body;
      response.status = status;
    });
    server.Post(leases_path, [this](const auto& request, auto& response) {
      patched = request.body;
      response.status = status == 200 ? 201 : status;
    });
    answer("/api/v1/nodes", list_of(kNode));
    answer("/api/v1/nodes/k1", kNode);
    answer("/apis/storage.k8s.io/v1/csinodes", kCsiNodes);
    answer("/apis/storage.k8s.io/v1/volumeattachments", kAttachments);
    server.Patch("/api/v1/nodes/k1", [this](const auto& request, auto& response) {
      patched = request.body;
      type = request.get_header_value("Content-Type");
      response.status = status;
    });
    answer("/api/v1/pods", kPods);
    server.Delete("/api/v1/namespaces/a/pods/ends", [this](const auto& request, auto& response) {
      deleted.push_back(request.body);
      response.status = status;
    });
    port = server.bind_to_any_port("127.0.0.1");
    thread = std::thread([this] { server.listen_after_bind(); });
    while (!server.is_running()) std::this_thread::sleep_for(1ms);
  }
  void TearDown() override {
    server.stop();
    thread.join();
    std::filesystem::remove_all(directory);
  }
  void answer(const std::string& path, const std::string& body) {
    server.Get(path, [body](const auto& request, auto& response) {
      const bool known = request.get_header_value("Authorization") == "Bearer secret";
      response.status = known ? 200 : 401;
      response.set_content(body, "application/json");
    });
  }
  KubeApi api(const std::string& token = "/token") {
    return KubeApi({fmt::format("http://127.0.0.1:{}", port), "", directory + token, 2s,
                    directory + "/namespace"});
  }

  const std::string leases_path = "/apis/coordination.k8s.io/v1/namespaces/cleat/leases";
  httplib::Server server;
  std::thread thread;
  std::string directory, patched, type;
  std::vector<std::string> deleted;
  int port = 0;
  int status = 200;
};

TEST_F(KubeApiTest, ListsAndPatches) {
  auto nodes = api().nodes();
  ASSERT_TRUE(nodes) << nodes.error().message;
  EXPECT_EQ(nodes->front().name, "k1");
  ASSERT_TRUE(api().set_taint("k1", true));
  EXPECT_EQ(type, "application/json-patch+json");
  EXPECT_NE(patched.find("out-of-service"), std::string::npos);
  patched.clear();
  ASSERT_TRUE(api().set_taint("k1", false));
  EXPECT_TRUE(patched.empty()) << "there was none";
}

TEST_F(KubeApiTest, PodsThatEndAreRemovedAtOnce) {
  auto removed = api().remove_ending_pods("k1");
  ASSERT_TRUE(removed) << "the second is gone already: " << removed.error().message;
  ASSERT_EQ(deleted.size(), 1U);
  auto options = nlohmann::json::parse(deleted.front());
  EXPECT_EQ(options["gracePeriodSeconds"], 0);
  EXPECT_EQ(options["preconditions"]["uid"], "2") << "not another of its name";
  status = 409;
  EXPECT_TRUE(api().remove_ending_pods("k1")) << "another is there by now";
  status = 403;
  EXPECT_EQ(api().remove_ending_pods("k1").error().code, Code::kPermission);
}

TEST_F(KubeApiTest, LeasesAreReadMadeAndChanged) {
  auto read = api().read_lease("watch");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->record.holder, "pod_1");
  EXPECT_EQ(api().read_lease("other").error().code, Code::kNotFound);
  ASSERT_TRUE(api().update_lease("watch", *read, {"pod_2", 4, "x", "y", 3}));
  auto sent = nlohmann::json::parse(patched);
  EXPECT_EQ(sent["metadata"]["resourceVersion"], "12") << "no other version is changed";
  EXPECT_EQ(sent["spec"]["holderIdentity"], "pod_2");
  ASSERT_TRUE(api().create_lease("watch", {"pod_2", 4, "x", "y", 0}));
  sent = nlohmann::json::parse(patched);
  EXPECT_EQ(sent["kind"], "Lease");
  EXPECT_EQ(sent["metadata"]["name"], "watch");
  EXPECT_EQ(sent["spec"]["leaseTransitions"], 0);
}

TEST_F(KubeApiTest, RefusalsOfLeasesAreToldApart) {
  auto read = api().read_lease("watch");
  ASSERT_TRUE(read);
  status = 409;
  EXPECT_EQ(api().update_lease("watch", *read, {}).error().code, Code::kConflict);
  EXPECT_EQ(api().create_lease("watch", {}).error().code, Code::kConflict);
  status = 403;
  EXPECT_EQ(api().update_lease("watch", *read, {}).error().code, Code::kPermission);
  EXPECT_EQ(api("/none").read_lease("watch").error().code, Code::kPermission);
  std::filesystem::remove(directory + "/namespace");
  EXPECT_EQ(api().read_lease("watch").error().code, Code::kInvalidArgument);
}

TEST_F(KubeApiTest, RefusalsAreToldApart) {
  status = 422;  // the test of the patch failed
  EXPECT_EQ(api().set_taint("k1", true).error().code, Code::kConflict);
  EXPECT_EQ(api().set_taint("k9", true).error().code, Code::kNotFound);
  auto stranger = api("/none");
  EXPECT_EQ(stranger.nodes().error().code, Code::kPermission);
  KubeApi nobody({"http://127.0.0.1:1", "", "", 1s});
  EXPECT_EQ(nobody.nodes().error().code, Code::kUnreachable);
}

}  // namespace
}  // namespace cleat::csi
