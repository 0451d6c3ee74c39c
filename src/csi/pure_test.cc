// The parts that only compute: names, errors, parameters, sizes, capabilities, places, pages,
// health.
#include <gtest/gtest.h>

#include "csi/capacity.h"
#include "csi/condition.h"
#include "csi/in_flight.h"
#include "csi/names.h"
#include "csi/pages.h"
#include "csi/placement.h"
#include "csi/server.h"

namespace cleat::csi {
namespace {

using Mode = spec::VolumeCapability::AccessMode;

ParameterMap map_of(std::map<std::string, std::string> values) {
  return {values.begin(), values.end()};
}

spec::VolumeCapability capability(Mode::Mode mode, bool block, const std::string& fs = "") {
  spec::VolumeCapability out;
  out.mutable_access_mode()->set_mode(mode);
  if (block) {
    out.mutable_block();
  } else {
    out.mutable_mount()->set_fs_type(fs);
  }
  return out;
}

std::string refusal(const ParameterMap& parameters) {
  auto parsed = parse_parameters(parameters, {});
  EXPECT_FALSE(parsed);
  EXPECT_TRUE(parsed || parsed.error().code == Code::kInvalidArgument);
  return parsed ? "" : parsed.error().message;
}

TEST(Names, GoodOnesStayAndOthersAreMadeGood) {
  EXPECT_EQ(cleat_name("pvc-1a2b"), "pvc-1a2b");
  EXPECT_EQ(cleat_name(std::string(128, 'a')), std::string(128, 'a'));
  EXPECT_EQ(cleat_name("a/b c").substr(0, 8), "v-a-b-c-");
  EXPECT_NE(cleat_name("a/b"), cleat_name("a b"));
  EXPECT_NE(cleat_name("12345"), "12345") << "it would be taken for an id";
  EXPECT_EQ(cleat_name(std::string(200, 'a')).size(), 128U);
  EXPECT_EQ(cleat_name(std::string(128, 'a'), 100).size(), 100U);
  EXPECT_TRUE(is_id("123456789012345678"));
  for (const char* other : {"", "12a", "1234567890123456789", "-1"}) EXPECT_FALSE(is_id(other));
}

TEST(Errors, EveryCodeHasAStatusAndAWayBack) {
  for (int i = 1; i <= static_cast<int>(Code::kOutOfRange); ++i) {
    const Code code = static_cast<Code>(i);
    EXPECT_EQ(std::count_if(kStatusTable.begin(), kStatusTable.end(),
                            [&](const StatusRow& row) { return row.code == code; }),
              1)
        << i;
    EXPECT_NE(to_status({code, "why"}).error_code(), grpc::StatusCode::OK);
  }
  EXPECT_EQ(to_status({Code::kOutOfRange, "why"}).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(to_status({Code::kConflict, "why"}).error_message(), "why");
}

TEST(InFlight, OneAtATime) {
  InFlight calls;
  {
    auto first = calls.begin("a");
    ASSERT_TRUE(first);
    EXPECT_EQ(calls.begin("a").error().code, Code::kConflict);
    EXPECT_TRUE(calls.begin("b"));
  }
  EXPECT_TRUE(calls.begin("a"));
}

TEST(Parameters, AllThatPortworxUsersKnow) {
  auto parsed = parse_parameters(map_of({{"repl", "3"},
                                         {"fs", "xfs"},
                                         {"priority_io", "high"},
                                         {"io_profile", "db_remote"},
                                         {"group", "cassandra_vg"},
                                         {"fg", "true"},
                                         {"follow", "true"},
                                         {"nodes", "n1, n2,n3"},
                                         {"racks", "r1"},
                                         {"zones", "z1,z2"},
                                         {"labels", "app=db,tier=1"},
                                         {"mount_options", "noatime,discard"},
                                         {"csi.storage.k8s.io/pvc/name", "data"}}),
                                 map_of({{"repl", "2"}}));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->ha, 2U) << "the mutable ones go before the others";
  EXPECT_EQ(parsed->fs, "xfs");
  EXPECT_EQ(parsed->io_priority, api::IO_PRIORITY_HIGH);
  EXPECT_EQ(parsed->io_profile, api::IO_PROFILE_DB);
  EXPECT_TRUE(parsed->group_enforced);
  EXPECT_EQ(parsed->follow, true);
  EXPECT_EQ(parsed->nodes, (std::vector<std::string>{"n1", "n2", "n3"}));
  EXPECT_EQ(parsed->zones.size(), 2U);
  EXPECT_EQ(parsed->labels.at("tier"), "1");
  EXPECT_EQ(parsed->mount_options.size(), 2U);
}

TEST(Parameters, ARefusalNamesTheKeyTheNearestAndWhatToDo) {
  std::string why = refusal(map_of({{"replicas", "2"}}));
  EXPECT_NE(why.find("parameter replicas is not known: did you mean repl?"), std::string::npos)
      << why;
  why = refusal(map_of({{"repl", "4"}}));
  EXPECT_NE(why.find("repl: \"4\" is not one of 1, 2, 3"), std::string::npos) << why;
  why = refusal(map_of({{"priority_io", "hihg"}}));
  EXPECT_NE(why.find("did you mean high?"), std::string::npos) << why;
  why = refusal(map_of({{"sharedv4", "yes"}}));
  EXPECT_NE(why.find("not one of false, true"), std::string::npos) << why;
  why = refusal(map_of({{"sticky", "true"}}));
  EXPECT_NE(why.find("one of Portworx"), std::string::npos) << why;
  why = refusal(map_of({{"fg", "true"}}));
  EXPECT_NE(why.find("name it with the parameter group"), std::string::npos) << why;
  refusal(map_of({{"labels", "novalue"}}));
  refusal(map_of({{"labels", "csi.cleat.dev/base=1"}}));
  refusal(map_of({{"mount_options", "--bind"}}));
  refusal(map_of({{"nodes", " , "}}));
  refusal(map_of({{"group", ""}}));
  refusal(map_of({{"", "x"}}));
}

TEST(Parameters, OnlySomeCanChange) {
  auto parsed = parse_mutable_parameters(map_of({{"repl", "2"}, {"priority_io", "low"}}));
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->ha_given);
  auto refused = parse_mutable_parameters(map_of({{"fs", "xfs"}}));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("can't be changed once the volume exists"),
            std::string::npos);
  EXPECT_FALSE(parse_mutable_parameters(map_of({{"nothing", "1"}})));
  EXPECT_FALSE(parse_snapshot_parameters(map_of({{"repl", "1"}})));
  EXPECT_EQ(parse_snapshot_parameters(map_of({{"labels", "a=b"}}))->at("a"), "b");
}

TEST(Parameters, AFingerprintIsOfTheWishAlone) {
  const ParameterMap a = map_of({{"repl", "2"}, {"fs", "xfs"}});
  const ParameterMap b =
      map_of({{"repl", "2"}, {"fs", "xfs"}, {"csi.storage.k8s.io/pv/name", "x"}});
  const ParameterMap none;
  EXPECT_EQ(fingerprint({&a, &none}, "m"), fingerprint({&b, &none}, "m"));
  EXPECT_NE(fingerprint({&a, &none}, "m"), fingerprint({&none, &a}, "m"));
  EXPECT_NE(fingerprint({&a}, "m"), fingerprint({&a}, "n"));
}

TEST(Capacity, WholeBlocksInsideTheRange) {
  EXPECT_EQ(choose_size({}, kSizeMin), kSizeDefault);
  EXPECT_EQ(choose_size({5 * kMiB + 1, 0}, kSizeMin), 5 * kMiB + kBlockSize);
  EXPECT_EQ(choose_size({0, 10 * kMiB + 5}, kSizeMin), 10 * kMiB);
  EXPECT_EQ(choose_size({1, 0}, kXfsSizeMin), kXfsSizeMin);
  EXPECT_EQ(choose_size({1, 10 * kMiB}, kXfsSizeMin).error().code, Code::kOutOfRange);
  EXPECT_EQ(choose_size({4097, 4098}, 0).error().code, Code::kOutOfRange);
  EXPECT_EQ(choose_size({kSizeMax + 1, 0}, 0).error().code, Code::kOutOfRange);
  spec::CapacityRange range;
  range.set_required_bytes(10);
  range.set_limit_bytes(5);
  EXPECT_EQ(parse_range(range).error().code, Code::kInvalidArgument);
  range.set_required_bytes(-1);
  EXPECT_EQ(parse_range(range).error().code, Code::kInvalidArgument);
}

TEST(Capabilities, WhatCanBeAndWhatCant) {
  for (int i = Mode::SINGLE_NODE_WRITER; i <= Mode::SINGLE_NODE_MULTI_WRITER; ++i) {
    const auto mode = static_cast<Mode::Mode>(i);
    EXPECT_TRUE(parse_capability(capability(mode, true))) << i;
    const bool many =
        mode == Mode::MULTI_NODE_MULTI_WRITER || mode == Mode::MULTI_NODE_SINGLE_WRITER;
    EXPECT_EQ(parse_capability(capability(mode, false)).has_value(), !many) << i;
  }
  auto refused = parse_capability(capability(Mode::MULTI_NODE_MULTI_WRITER, false));
  EXPECT_NE(refused.error().message.find("raw devices only"), std::string::npos);
  EXPECT_FALSE(parse_capability(capability(Mode::UNKNOWN, false)));
  EXPECT_FALSE(parse_capability(capability(Mode::SINGLE_NODE_WRITER, false, "ntfs")));
  EXPECT_FALSE(parse_capability({}));
  EXPECT_TRUE(parse_capability(capability(Mode::MULTI_NODE_READER_ONLY, false))->read_only);
  EXPECT_TRUE(parse_capability(capability(Mode::SINGLE_NODE_SINGLE_WRITER, true))->single_writer);
  google::protobuf::RepeatedPtrField<spec::VolumeCapability> both;
  EXPECT_FALSE(parse_capabilities(both));
  *both.Add() = capability(Mode::SINGLE_NODE_WRITER, true);
  *both.Add() = capability(Mode::SINGLE_NODE_WRITER, false);
  EXPECT_FALSE(parse_capabilities(both));
}

class PlacementTest : public ::testing::Test {
 protected:
  PlacementTest() {
    for (int i = 1; i <= 3; ++i) {
      api::Node node;
      node.set_name(fmt::format("n{}", i));
      node.set_rack(fmt::format("r{}", i));
      node.set_zone("z1");
      nodes.push_back(node);
      api::Pool pool;
      pool.set_node(node.name());
      pool.set_placeable_bytes(static_cast<uint64_t>(i) * kGiB);
      pools.push_back(pool);
    }
  }
  static spec::Topology place(const std::string& key, const std::string& value) {
    spec::Topology out;
    (*out.mutable_segments())[key] = value;
    return out;
  }
  std::vector<api::Node> nodes;
  std::vector<api::Pool> pools;
};

TEST_F(PlacementTest, TheFirstPreferredNodeIsThePods) {
  spec::TopologyRequirement requirement;
  EXPECT_EQ(wanted_node(requirement, nodes), "");
  for (const char* node : {"n3", "n1"}) *requirement.add_preferred() = place(kTopologyNode, node);
  EXPECT_EQ(wanted_node(requirement, nodes), "n3");
  *requirement.mutable_preferred(0) = place(kTopologyZone, "z1");
  EXPECT_EQ(wanted_node(requirement, nodes), "") << "a zone is no single node";
  *requirement.add_requisite() = place(kTopologyZone, "z9");
  EXPECT_EQ(wanted_node(requirement, nodes).error().code, Code::kNoSpace);
  *requirement.add_requisite() = place("other.dev/zone", "z1");
  EXPECT_EQ(wanted_node(requirement, nodes).error().code, Code::kInvalidArgument);
}

TEST_F(PlacementTest, WithoutAGroupOnlyWhatWasAskedFor) {
  Parameters parameters;
  auto places = choose_places(parameters, "n2", pools, nodes, {});
  ASSERT_EQ(places.size(), 1U);
  EXPECT_EQ(places[0].nodes, std::vector<std::string>{"n2"});
  EXPECT_FALSE(places[0].only);
  parameters.nodes = {"n1", "n3"};
  EXPECT_EQ(choose_places(parameters, "n3", pools, nodes, {})[0].nodes,
            (std::vector<std::string>{"n3", "n1"}));
  EXPECT_TRUE(choose_places(parameters, "n2", pools, nodes, {})[0].only);
}

TEST_F(PlacementTest, AGroupSpreads) {
  Parameters parameters;
  parameters.group = "g";
  parameters.ha = 2;
  auto places = choose_places(parameters, "", pools, nodes, {{"n3", "n2"}});
  EXPECT_EQ(places[0].nodes.front(), "n1") << "nobody of the group is there";
  EXPECT_FALSE(places[0].only);
}

TEST_F(PlacementTest, AnEnforcedGroupHasNoTwoVolumesOnTheSameNodes) {
  Parameters parameters;
  parameters.group = "g";
  parameters.group_enforced = true;
  parameters.ha = 2;
  std::vector<std::vector<std::string>> group;
  for (int i = 0; i < 3; ++i) {
    auto places = choose_places(parameters, "n1", pools, nodes, group);
    ASSERT_FALSE(places.empty()) << i;
    EXPECT_TRUE(places[0].only);
    EXPECT_EQ(places[0].nodes.size(), 2U);
    auto nodes_of = places[0].nodes;
    std::sort(nodes_of.begin(), nodes_of.end());
    EXPECT_EQ(std::count(group.begin(), group.end(), nodes_of), 0);
    group.push_back(nodes_of);
  }
  EXPECT_TRUE(choose_places(parameters, "n1", pools, nodes, group).empty()) << "all pairs are used";
  parameters.ha = 1;
  EXPECT_TRUE(choose_places(parameters, "n1", pools, nodes, {{"n1"}, {"n2"}, {"n3", "n1"}}).empty())
      << "one node of another's two is no way to be apart";
}

TEST_F(PlacementTest, CapacityIsThatOfTheLastReplica) {
  Parameters parameters;
  EXPECT_EQ(capacity_for(parameters, pools, nodes), 3 * kGiB);
  parameters.ha = 3;
  EXPECT_EQ(capacity_for(parameters, pools, nodes), kGiB);
  parameters.racks = {"r1", "r2"};
  EXPECT_EQ(capacity_for(parameters, pools, nodes), 0U);
  parameters.ha = 2;
  EXPECT_EQ(capacity_for(parameters, pools, nodes), kGiB);
}

TEST(Pages, ATokenStaysGoodWhateverComesAndGoes) {
  std::vector<api::Volume> all(3);
  const char* ids[] = {"9", "10", "200"};
  for (int i = 0; i < 3; ++i) all[static_cast<size_t>(i)].set_id(ids[i]);
  auto first = page_of(all, 2, "");
  ASSERT_TRUE(first);
  ASSERT_EQ(first->entries.size(), 2U);
  EXPECT_EQ(first->entries[0].id(), "9");
  EXPECT_EQ(first->next_token, "10");
  all.erase(all.begin() + 1);  // the token's own
  auto second = page_of(all, 2, first->next_token);
  ASSERT_EQ(second->entries.size(), 1U);
  EXPECT_EQ(second->entries[0].id(), "200");
  EXPECT_TRUE(second->next_token.empty());
  EXPECT_EQ(page_of(all, 0, "")->entries.size(), 2U);
  EXPECT_EQ(page_of(all, 2, "invalid-token").error().code, Code::kConflict);
  EXPECT_EQ(page_of(all, -1, "").error().code, Code::kInvalidArgument);
}

TEST(Condition, SaysWhatIsWrong) {
  api::Volume volume;
  volume.set_status(api::VOLUME_STATUS_UP);
  EXPECT_FALSE(to_condition(problems_of(volume)).abnormal());
  EXPECT_FALSE(to_condition(problems_of(volume)).message().empty());
  volume.set_status(api::VOLUME_STATUS_DEGRADED);
  volume.set_ha(2);
  volume.add_replicas()->set_state(api::REPLICA_STATE_IN_SYNC);
  volume.mutable_replicas(0)->set_reachable(true);
  auto condition = to_condition(problems_of(volume));
  EXPECT_TRUE(condition.abnormal());
  EXPECT_NE(condition.message().find("1 of 2"), std::string::npos);
  EXPECT_EQ(to_health("7", problems_of(volume)).health_statuses(0).status(), spec::DEGRADED);
  volume.set_status(api::VOLUME_STATUS_DOWN);
  volume.set_stalled("the last replica does not answer");
  EXPECT_EQ(to_health("7", problems_of(volume)).health_statuses_size(), 2);
  volume.mutable_attachment()->set_node("n1");
  EXPECT_EQ(to_health("7", problems_of(volume)).health_statuses(0).reason(), "NodeOffline");
  EXPECT_EQ(published_nodes(volume), std::vector<std::string>{"n1"});
  (*volume.mutable_labels())[kLabelUnpublished] = "n1";
  EXPECT_TRUE(published_nodes(volume).empty());
}

TEST(Condition, OfASharedVolumeEachNodeIsPublished) {
  api::Volume volume;
  volume.set_status(api::VOLUME_STATUS_UP);
  volume.mutable_attachment()->set_node("n1");
  volume.mutable_attachment()->set_node_online(true);
  for (const char* node : {"n2", "n3"}) volume.add_shared_attachments()->set_node(node);
  EXPECT_EQ(published_nodes(volume), (std::vector<std::string>{"n1", "n2", "n3"}));
  EXPECT_FALSE(to_condition(problems_of(volume)).abnormal()) << "those that are on go on";
  (*volume.mutable_labels())[kLabelUnpublished] = "n2,n1";
  EXPECT_EQ(published_nodes(volume), std::vector<std::string>{"n3"});
  volume.clear_attachment();
  volume.set_status(api::VOLUME_STATUS_DOWN);
  EXPECT_EQ(to_health("7", problems_of(volume)).health_statuses(0).reason(), "NoPrimary");
}

TEST(Endpoint, IsAUnixSocket) {
  EXPECT_EQ(socket_path("unix:///csi/csi.sock"), "/csi/csi.sock");
  EXPECT_EQ(socket_path("unix:/csi/csi.sock"), "/csi/csi.sock");
  EXPECT_EQ(socket_path("/csi/csi.sock"), "/csi/csi.sock");
  for (const char* other : {"tcp://1.2.3.4:1", "csi.sock", "", "unix://"}) {
    EXPECT_FALSE(socket_path(other)) << other;
  }
}

}  // namespace
}  // namespace cleat::csi
