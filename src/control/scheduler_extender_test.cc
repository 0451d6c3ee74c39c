// The extender of kube-scheduler, with what a scheduler sends and expects.
#include "control/scheduler_extender.h"

#include <nlohmann/json.hpp>

#include "control/testing/fake_cluster.h"

namespace cleat::control {
namespace {

using Json = nlohmann::json;

class SchedulerExtenderTest : public FakeCluster {
 protected:
  SchedulerExtenderTest() {
    for (int i = 1; i <= 3; ++i) place_node(i, fmt::format("r{}", i), "");
  }
  void place_node(int i, const std::string& rack, const std::string& zone) {
    change_node(i, [&](meta::Node& node) {
      node.set_rack(rack);
      node.set_zone(zone);
    });
  }
  template <class Change>
  void change_node(int i, Change change) {
    const NodeId id{static_cast<uint64_t>(i)};
    ASSERT_TRUE(update<meta::Node>(store, keys.node(id), [&](meta::Node& node) {
      change(node);
      return true;
    }));
  }
  void fill_pool(int node, uint64_t free_bytes, bool failed = false) {
    const PoolId id{static_cast<uint64_t>(100 + node)};
    ASSERT_TRUE(update<meta::Pool>(store, keys.pool(id), [&](meta::Pool& pool) {
      pool.set_free_bytes(free_bytes);
      pool.set_failed(failed);
      return true;
    }));
  }
  // Of the claim data in the namespace shop, on these nodes.
  VolumeId claim(const std::string& name, const std::vector<std::string>& where,
                 const std::string& pvc = "data") {
    auto in = request(name, static_cast<uint32_t>(where.size()));
    for (const auto& each : where) in.add_nodes(each);
    (*in.mutable_labels())["pvc"] = pvc;
    (*in.mutable_labels())["namespace"] = "shop";
    auto made = volumes.create(in);
    EXPECT_TRUE(made) << made.error().message;
    return made ? VolumeId{*Keys::id_of(made->id())} : VolumeId{};
  }
  void set_state(VolumeId id, uint64_t node, core::ReplicaState to) {
    auto now = records.load(id);
    for (auto& replica : now->value.replicas) {
      if (replica.node.value == node) replica.state = to;
    }
    ASSERT_TRUE(records.compare_and_store(now->revision, now->value));
  }

  static Json pod(const std::vector<std::string>& claims) {
    Json mounted = Json::array({{{"name", "tmp"}, {"emptyDir", Json::object()}}});
    for (const auto& each : claims) {
      mounted.push_back({{"name", each}, {"persistentVolumeClaim", {{"claimName", each}}}});
    }
    return {{"metadata", {{"name", "db-0"}, {"namespace", "shop"}}},
            {"spec", {{"volumes", mounted}}}};
  }
  static std::string names(const Json& whom,
                           const std::vector<std::string>& among = {"n1", "n2", "n3"}) {
    return Json{{"Pod", whom}, {"Nodes", nullptr}, {"NodeNames", among}}.dump();
  }
  std::map<std::string, int> scores(const std::string& body) {
    auto answer = extender.prioritize(body);
    EXPECT_TRUE(answer) << answer.error().message;
    std::map<std::string, int> out;
    if (!answer) return out;
    for (const Json& each : Json::parse(*answer))
      out[each["Host"].get<std::string>()] = each["Score"].get<int>();
    return out;
  }
  Json filter(const std::string& body) {
    auto answer = extender.filter(body);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? Json::parse(*answer) : Json{};
  }
  void expect_refused(const std::string& body, const std::string& why) {
    for (auto verb : {&SchedulerExtender::filter, &SchedulerExtender::prioritize}) {
      auto answer = (extender.*verb)(body);
      ASSERT_FALSE(answer) << *answer;
      EXPECT_EQ(answer.error().code, Code::kInvalidArgument);
      EXPECT_NE(answer.error().message.find(why), std::string::npos) << answer.error().message;
    }
  }
  using Scores = std::map<std::string, int>;

  SchedulerExtender extender{context};
};

TEST_F(SchedulerExtenderTest, TheNodeWithTheDataIsBest) {
  VolumeId id = claim("pvc-1", {"n1", "n2"});
  EXPECT_EQ(scores(names(pod({"data"}))), (Scores{{"n1", 10}, {"n2", 10}, {"n3", 1}}));
  set_state(id, 2, core::ReplicaState::kStale);
  EXPECT_EQ(scores(names(pod({"data"}))), (Scores{{"n1", 10}, {"n2", 7}, {"n3", 1}}));
}

TEST_F(SchedulerExtenderTest, ThenTheRackThenTheZone) {
  claim("pvc-1", {"n1"});
  place_node(1, "r1", "z1");
  place_node(2, "r1", "z1");
  place_node(3, "r2", "z1");
  EXPECT_EQ(scores(names(pod({"data"}))), (Scores{{"n1", 10}, {"n2", 5}, {"n3", 3}}));
  place_node(2, "r1", "z2");
  EXPECT_EQ(scores(names(pod({"data"})))["n2"], 1) << "a rack of that name in another zone";
  kill(1);
  EXPECT_EQ(scores(names(pod({"data"})))["n3"], 1) << "nobody there serves it";
}

TEST_F(SchedulerExtenderTest, AnUnwellPoolCostsItsNode) {
  claim("pvc-1", {"n1", "n2"});
  fill_pool(1, 10 * kGiB);
  EXPECT_EQ(scores(names(pod({"data"}))), (Scores{{"n1", 9}, {"n2", 10}, {"n3", 1}}));
  fill_pool(1, 1 << 20);
  EXPECT_EQ(scores(names(pod({"data"})))["n1"], 8);
  fill_pool(1, 90 * kGiB, true);
  EXPECT_EQ(scores(names(pod({"data"})))["n1"], 0) << "what a failed pool has is not there";
  fill_pool(3, 90 * kGiB, true);
  EXPECT_EQ(scores(names(pod({"data"})))["n3"], 0) << "no replica could be made there";
}

TEST_F(SchedulerExtenderTest, AllVolumesOfAPodCount) {
  claim("pvc-1", {"n1", "n2"});
  claim("pvc-2", {"n2", "n3"}, "log");
  EXPECT_EQ(scores(names(pod({"data", "log"}))), (Scores{{"n1", 6}, {"n2", 10}, {"n3", 6}}));
  claim("pvc-3", {"n3"}, "db-0-scratch");
  Json with_own = pod({});
  with_own["spec"]["volumes"].push_back({{"name", "scratch"}, {"ephemeral", Json::object()}});
  EXPECT_EQ(scores(names(with_own))["n3"], 10) << "a claim that the pod has for itself";
}

TEST_F(SchedulerExtenderTest, OfSeveralVolumesTheNewestCountsAndNoCopy) {
  claim("pvc-old", {"n1"});
  pass_time(60);
  claim("pvc-new", {"n2"});
  EXPECT_EQ(scores(names(pod({"data"}))), (Scores{{"n1", 1}, {"n2", 10}, {"n3", 1}}));
  pass_time(60);
  ASSERT_TRUE(clone("pvc-new", "copy"));
  VolumeId copy{*Keys::id_of(inspect("copy").id())};
  auto moved = records.load(copy);
  moved->value.replicas[0].node = NodeId{3};
  ASSERT_TRUE(records.compare_and_store(moved->revision, moved->value));
  EXPECT_EQ(scores(names(pod({"data"})))["n3"], 1) << "it only has the labels of its source";
}

TEST_F(SchedulerExtenderTest, NodesWithoutCleatAreFilteredOut) {
  claim("pvc-1", {"n1", "n2"});
  kill(2);
  change_node(3, [](meta::Node& node) { node.set_maintenance(true); });
  Json out = filter(names(pod({"data"}), {"n1", "n2", "n3", "other"}));
  EXPECT_EQ(out["NodeNames"], Json::array({"n1"}));
  EXPECT_TRUE(out["Nodes"].is_null());
  EXPECT_EQ(out["Error"], "");
  const Json& failed = out["FailedAndUnresolvableNodes"];
  EXPECT_EQ(failed["n2"], "Cleat: Cleat does not run there now");
  EXPECT_EQ(failed.size(), 3U);
  EXPECT_EQ(scores(names(pod({"data"}), {"n1", "n2", "n3", "other"})),
            (Scores{{"n1", 10}, {"n2", 0}, {"n3", 0}, {"other", 0}}));
  ASSERT_TRUE(attach("pvc-1", "n3", true));
  EXPECT_EQ(filter(names(pod({"data"})))["NodeNames"], Json::array({"n1", "n3"}))
      << "it is attached there already";
}

TEST_F(SchedulerExtenderTest, ANodeThatIsAboutToLeaveIsTheLastChoice) {
  claim("pvc-1", {"n1", "n2"});
  change_node(1, [](meta::Node& node) { node.set_decommissioning(true); });
  EXPECT_EQ(filter(names(pod({"data"})))["NodeNames"].size(), 3U);
  EXPECT_EQ(scores(names(pod({"data"})))["n1"], 0);
}

TEST_F(SchedulerExtenderTest, APodWithoutAVolumeOfCleatGoesAnywhere) {
  claim("pvc-1", {"n1"});
  kill(2);
  for (const Json& each : {pod({}), pod({"another"})}) {
    EXPECT_EQ(filter(names(each, {"n1", "n2", "x"}))["NodeNames"], Json::array({"n1", "n2", "x"}));
    EXPECT_EQ(scores(names(each, {"n1", "n2", "x"})), (Scores{{"n1", 0}, {"n2", 0}, {"x", 0}}));
  }
  Json elsewhere = pod({"data"});
  elsewhere["metadata"]["namespace"] = "test";
  EXPECT_EQ(scores(names(elsewhere))["n1"], 0) << "a claim of that name in another namespace";
}

TEST_F(SchedulerExtenderTest, WholeNodesComeBackWhole) {
  claim("pvc-1", {"n1", "n2"});
  kill(2);
  Json items = Json::array();
  for (const char* name : {"n1", "n2", "n3"}) {
    items.push_back({{"metadata", {{"name", name}}}, {"status", {{"capacity", {{"cpu", "4"}}}}}});
  }
  const Json args{{"Pod", pod({"data"})},
                  {"Nodes", {{"metadata", {{"resourceVersion", "7"}}}, {"items", items}}},
                  {"NodeNames", nullptr}};
  Json out = filter(args.dump());
  EXPECT_TRUE(out["NodeNames"].is_null());
  EXPECT_EQ(out["Nodes"]["metadata"]["resourceVersion"], "7");
  EXPECT_EQ(out["Nodes"]["items"], Json::array({items[0], items[2]}));
  EXPECT_EQ(scores(args.dump()), (Scores{{"n1", 10}, {"n2", 0}, {"n3", 1}}));
}

TEST_F(SchedulerExtenderTest, WhatIsNoQuestionIsRefused) {
  expect_refused("", "no JSON object");
  expect_refused("{", "no JSON object");
  expect_refused("[]", "no JSON object");
  expect_refused("{}", "no Pod");
  expect_refused(R"({"Pod": {}})", "its Pod has no name");
  expect_refused(R"({"Pod": {"metadata": {"name": "a"}}})", "no namespace");
  Json args{{"Pod", pod({})}};
  expect_refused(args.dump(), "neither NodeNames nor Nodes");
  args["NodeNames"] = Json::array({"n1", 2});
  expect_refused(args.dump(), "is no text");
  args["NodeNames"] = std::vector<std::string>(SchedulerExtender::kNodesMax + 1, "n");
  expect_refused(args.dump(), "are the most");
  args = {{"Pod", pod({})}, {"Nodes", {{"items", Json::array({Json::object()})}}}};
  expect_refused(args.dump(), "has no name");
  args = {{"Pod", pod(std::vector<std::string>(SchedulerExtender::kVolumesMax, "c"))},
          {"NodeNames", Json::array()}};
  expect_refused(args.dump(), "are the most");
  args["Pod"]["spec"]["volumes"] = "none";
  expect_refused(args.dump(), "are no list");
  expect_refused(R"({"Pod": )" + std::string(1000, '[') + std::string(1000, ']') + "}",
                 "more than 64");
}

}  // namespace
}  // namespace cleat::control
