// The program as a whole against a fake cleatd: what it sends, prints and exits with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cli/fake_cluster.h"
#include "cli/program.h"
#include "common/units.h"
#include "nlohmann/json.hpp"

namespace cleat::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Ended {
  int code;
  std::string out, err;
};

Ended run_line(std::vector<std::string> words, std::map<std::string, std::string> environment) {
  std::ostringstream out, err;
  Terminal terminal{out, err, std::move(environment)};
  int code = run(words, terminal);
  return {code, out.str(), err.str()};
}

class CliTest : public ::testing::Test {
 protected:
  Ended cleat(std::vector<std::string> words) {
    return run_line(std::move(words), {{"CLEAT_ADDRESS", cluster_.address()}});
  }
  FakeCluster cluster_;
};

TEST_F(CliTest, VolumeListIsTheTableOfPxctl) {
  auto local = sample_volume("1125771388930868153", "cassandra-data-1");
  attach_sample(local, "cassandra2", "10.89.0.12", true);
  auto remote = sample_volume("53", "cassandra-data-2");
  attach_sample(remote, "cassandra1", "10.89.0.11", false);
  remote.set_status(api::VOLUME_STATUS_DEGRADED);
  *cluster_.volumes.list.response.add_volumes() = local;
  *cluster_.volumes.list.response.add_volumes() = remote;
  *cluster_.volumes.list.response.add_volumes() = sample_volume("7", "spare");
  auto ended = cleat({"v", "l"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(
      ended.out,
      R"(ID                   NAME              SIZE    HA  SHARED  ENCRYPTED  IO_PRIORITY  SCALE  STATUS
1125771388930868153  cassandra-data-1  10 GiB  2   no      no         LOW          1      up - attached on 10.89.0.12
53                   cassandra-data-2  10 GiB  2   no      no         LOW          1      degraded - attached on 10.89.0.11 *
7                    spare             10 GiB  2   no      no         LOW          1      up - detached
* Data is not local to the node on which volume is attached.
)");
}

TEST_F(CliTest, OfASharedVolumeEveryNodeIsListed) {
  auto volume = sample_volume("7", "data1");
  volume.set_shared(true);
  attach_sample(volume, "node1", "10.0.0.1", true);
  for (const char* node : {"node2", "node3"}) {
    auto* other = volume.add_shared_attachments();
    other->set_node(node);
    other->set_node_online(true);
  }
  volume.mutable_shared_attachments(0)->set_address("10.0.0.2");
  *cluster_.volumes.list.response.add_volumes() = volume;
  volume.clear_attachment();
  volume.set_status(api::VOLUME_STATUS_DOWN);
  *cluster_.volumes.list.response.add_volumes() = volume;
  EXPECT_EQ(cleat({"v", "l"}).out,
            R"(ID  NAME   SIZE    HA  SHARED  ENCRYPTED  IO_PRIORITY  SCALE  STATUS
7   data1  10 GiB  2   yes     no         LOW          1      up - attached on 10.0.0.1, 10.0.0.2, node3
7   data1  10 GiB  2   yes     no         LOW          1      down - attached on 10.0.0.2, node3
)");
}

TEST_F(CliTest, WhetherAVolumeIsSharedIsSaidOnlyWhereItIsAskedFor) {
  for (const char* flag : {"--shared", "--sharedv4"}) {
    EXPECT_EQ(cleat({"v", "c", "data1", flag}).code, 0);
    EXPECT_TRUE(cluster_.volumes.create.request.shared());
    EXPECT_EQ(cleat({"v", "update", "data1", flag, "on"}).code, 0);
    EXPECT_TRUE(cluster_.volumes.update.request.shared());
  }
  EXPECT_EQ(cleat({"v", "c", "data1"}).code, 0);
  EXPECT_FALSE(cluster_.volumes.create.request.shared());
  EXPECT_EQ(cleat({"v", "update", "data1", "--shared", "off"}).code, 0);
  EXPECT_TRUE(cluster_.volumes.update.request.has_shared());
  EXPECT_FALSE(cluster_.volumes.update.request.shared());
  EXPECT_EQ(cleat({"v", "update", "data1", "--label", "a=1"}).code, 0);
  EXPECT_FALSE(cluster_.volumes.update.request.has_shared());
  EXPECT_EQ(cleat({"v", "update", "data1", "--shared", "yes"}).code, 2);
}

TEST_F(CliTest, VolumeListHasNoFootnoteWithoutAStar) {
  *cluster_.volumes.list.response.add_volumes() = sample_volume("7", "spare");
  EXPECT_THAT(cleat({"volume", "list"}).out, ::testing::Not(HasSubstr("* Data")));
}

TEST_F(CliTest, JsonFlagStandsAnywhere) {
  *cluster_.volumes.list.response.add_volumes() = sample_volume("1125771388930868153", "a");
  for (std::vector<std::string> words : {std::vector<std::string>{"-j", "v", "l"},
                                         {"v", "-j", "l"},
                                         {"v", "l", "-j"},
                                         {"--json", "volume", "list"}}) {
    auto ended = cleat(words);
    auto json = nlohmann::json::parse(ended.out);
    EXPECT_EQ(json["volumes"][0]["id"], "1125771388930868153");
    EXPECT_EQ(json["volumes"][0]["size_bytes"], uint64_t{10} << 30);
    EXPECT_EQ(json["volumes"][0]["status"], "up");
    EXPECT_TRUE(json["volumes"][0]["attachment"].is_null());
  }
}

TEST_F(CliTest, CreateSendsWhatWasTyped) {
  cluster_.volumes.create.response.set_id("42");
  auto ended =
      cleat({"v",       "c",       "data1",   "--size",        "512M",    "--ha",         "3",
             "--fs",    "xfs",     "--nodes", "n1,n2",         "--nodes", "n3",           "-l",
             "a=1",     "--label", "b=2",     "--io_priority", "high",    "--io-profile", "db",
             "--class", "ssd"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "Volume successfully created: 42\n");
  const auto& sent = cluster_.volumes.create.request;
  EXPECT_EQ(sent.name(), "data1");
  EXPECT_EQ(sent.size_bytes(), 512u << 20);
  EXPECT_EQ(sent.ha(), 3u);
  EXPECT_EQ(sent.fs(), "xfs");
  EXPECT_THAT(sent.nodes(), ElementsAre("n1", "n2", "n3"));
  EXPECT_EQ(sent.labels().at("b"), "2");
  EXPECT_EQ(sent.labels().at("a"), "1");
  EXPECT_EQ(sent.io_priority(), api::IO_PRIORITY_HIGH);
  EXPECT_EQ(sent.io_profile(), api::IO_PROFILE_DB);
  EXPECT_EQ(sent.pool_class(), "ssd");
}

TEST_F(CliTest, WhetherAVolumeFollowsIsSaidOnlyWhereItIsAskedFor) {
  EXPECT_EQ(cleat({"v", "c", "data1", "--follow", "on"}).code, 0);
  EXPECT_TRUE(cluster_.volumes.create.request.follow());
  EXPECT_EQ(cleat({"v", "update", "data1", "--follow", "off"}).code, 0);
  EXPECT_TRUE(cluster_.volumes.update.request.has_follow());
  EXPECT_FALSE(cluster_.volumes.update.request.follow());
  EXPECT_EQ(cleat({"v", "update", "data1", "--label", "a=1"}).code, 0);
  EXPECT_FALSE(cluster_.volumes.update.request.has_follow());
  EXPECT_EQ(cleat({"v", "update", "data1", "--follow", "yes"}).code, 2);
}

TEST_F(CliTest, CreateHasDefaults) {
  EXPECT_EQ(cleat({"volume", "create", "data1"}).code, 0);
  EXPECT_FALSE(cluster_.volumes.create.request.follow());
  EXPECT_EQ(cluster_.volumes.create.request.size_bytes(), uint64_t{1} << 30);
  EXPECT_EQ(cluster_.volumes.create.request.ha(), 1u);
  EXPECT_EQ(cleat({"volume", "create", "--size", "10", "data1"}).code, 0);
  EXPECT_EQ(cluster_.volumes.create.request.size_bytes(), uint64_t{10} << 30);
}

TEST_F(CliTest, NamesThatAreVerbsToo) {
  EXPECT_EQ(cleat({"v", "i", "list", "create", "v"}).code, 0);
  EXPECT_EQ(cluster_.volumes.inspect.count, 3);
  EXPECT_EQ(cluster_.volumes.inspect.request.volume(), "v");
  EXPECT_EQ(cleat({"host", "attach", "status"}).code, 0);
  EXPECT_EQ(cluster_.hosts.attach.request.volume(), "status");
}

TEST_F(CliTest, AttachEndsWithTheDevice) {
  auto& response = cluster_.hosts.attach.response;
  response.mutable_attachment()->set_node("node1");
  response.mutable_attachment()->set_frontend(api::FRONTEND_FUSE);
  response.mutable_attachment()->set_device("/dev/cleat/data1");
  response.set_epoch(7);
  auto ended = cleat({"host", "attach", "data1", "--force"});
  EXPECT_EQ(ended.out, "Volume data1 attached on node1 (epoch 7).\n/dev/cleat/data1\n");
  EXPECT_TRUE(cluster_.hosts.attach.request.force());
  EXPECT_EQ(cluster_.hosts.attach.request.frontend(), api::FRONTEND_FUSE);

  response.mutable_attachment()->set_frontend(api::FRONTEND_NBD);
  response.mutable_attachment()->set_uri("nbd+unix:///data1?socket=/run/cleat/nbd.sock");
  ended = cleat({"host", "attach", "--frontend", "nbd", "data1"});
  EXPECT_THAT(ended.out, EndsWith("\nnbd+unix:///data1?socket=/run/cleat/nbd.sock\n"));
  EXPECT_EQ(cluster_.hosts.attach.request.frontend(), api::FRONTEND_NBD);
}

TEST_F(CliTest, MountTakesItsPathEitherWay) {
  cluster_.hosts.mount.response.set_path("/mnt/a");
  EXPECT_EQ(cleat({"host", "mount", "data1", "/mnt/a", "-o", "noatime,discard"}).code, 0);
  EXPECT_EQ(cluster_.hosts.mount.request.path(), "/mnt/a");
  EXPECT_THAT(cluster_.hosts.mount.request.options(), ElementsAre("noatime", "discard"));
  EXPECT_EQ(cleat({"host", "mount", "--path", "/mnt/b", "data1"}).code, 0);
  EXPECT_EQ(cluster_.hosts.mount.request.path(), "/mnt/b");
  EXPECT_EQ(cluster_.hosts.mount.request.volume(), "data1");
  EXPECT_EQ(cleat({"host", "umount", "data1"}).code, 0);
  EXPECT_EQ(cluster_.hosts.unmount.request.path(), "");
  auto ended = cleat({"host", "mount", "data1", "here", "--node", "n1"});
  EXPECT_EQ(ended.code, 2);
  EXPECT_EQ(ended.err, "cleat: the path here is relative: write an absolute path of node n1\n");
}

TEST_F(CliTest, ResizeSaysWhatBecomesOfTheFileSystem) {
  auto& volume = cluster_.volumes.resize.response;
  volume.set_name("data1");
  volume.set_size_bytes(2 * kGiB);
  volume.set_fs("xfs");
  const std::vector<std::string> resize{"volume", "resize", "data1", "--size", "2"};
  EXPECT_EQ(cleat(resize).out, "Volume data1 now has 2 GiB, and so has its file system.\n");
  volume.set_fs_growth("smaller than the volume: it grows at the next mount (not mounted)");
  EXPECT_EQ(cleat(resize).out,
            "Volume data1 now has 2 GiB. Its file system is smaller than the volume: it grows at "
            "the next mount (not mounted).\n");
  volume.set_fs("none");
  EXPECT_EQ(cleat(resize).out,
            "Volume data1 now has 2 GiB. What is on its device is yours to grow.\n");
}

TEST_F(CliTest, CheckExitsZeroOnlyIfEqual) {
  auto& response = cluster_.volumes.check.response;
  for (const char* node : {"n1", "n2"}) {
    auto* replica = response.add_replicas();
    replica->set_node(node);
    replica->set_pool_id("5");
    replica->set_state(api::REPLICA_STATE_IN_SYNC);
    replica->set_digest("ab12");
  }
  response.set_equal(true);
  response.set_compared_bytes(1 << 20);
  auto ended = cleat({"v", "check", "data1"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out,
            "NODE  POOL  STATE    DIGEST\nn1    5     in_sync  ab12\nn2    5     in_sync  ab12\n"
            "All 2 replicas of volume data1 are equal (1 MiB compared).\n");

  response.set_equal(false);
  response.mutable_replicas(1)->set_digest("ff");
  ended = cleat({"v", "check", "data1"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(
      ended.err,
      "cleat: the replicas of volume data1 are not known to be equal: their digests differ: see "
      "cleat status and cleat volume inspect data1\n");

  response.mutable_replicas(1)->set_digest("");
  response.mutable_replicas(1)->set_problem("node n2 does not answer");
  ended = cleat({"v", "check", "data1", "-j"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err,
              HasSubstr("the replica on n2 could not be read (node n2 does not answer)"));
}

TEST_F(CliTest, CleatdsSentenceIsTheErrorLine) {
  cluster_.volumes.remove.handler = [](grpc::ServerContext* context, const auto&, auto*) {
    return refuse(context, grpc::StatusCode::FAILED_PRECONDITION, "in use",
                  "cannot delete volume data1:\nit is attached on node1: detach it first");
  };
  auto ended = cleat({"v", "d", "data1"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(ended.err,
            "cleat: cannot delete volume data1: it is attached on node1: detach it first\n");

  ended = cleat({"v", "d", "data1", "-j"});
  auto json = nlohmann::json::parse(ended.out);
  EXPECT_EQ(json["error"]["code"], "in use");
  EXPECT_THAT(std::string(json["error"]["message"]), StartsWith("cannot delete volume data1"));
}

TEST_F(CliTest, WhatFailsOnTheWayHasASentenceOfOurs) {
  auto ended = run_line({"v", "l", "--address", "/nowhere/cleatd.sock"}, {});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.err,
            "cleat: cannot reach cleatd at /nowhere/cleatd.sock: No such file or directory: start "
            "cleatd there, or name another node with --address\n");
  cluster_.volumes.list.handler = [](grpc::ServerContext*, const auto&, auto*) {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    return grpc::Status::OK;
  };
  ended = cleat({"v", "l", "--timeout", "100ms"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, HasSubstr("no answer from cleatd at"));
  EXPECT_THAT(ended.err, HasSubstr("within 100ms"));
}

TEST_F(CliTest, TokenGoesWithEveryCall) {
  std::string seen;
  cluster_.nodes.list.handler = [&seen](grpc::ServerContext* context, const auto&, auto*) {
    auto found = context->client_metadata().find("authorization");
    if (found != context->client_metadata().end()) {
      seen = std::string(found->second.data(), found->second.size());
    }
    return grpc::Status::OK;
  };
  std::string file = cluster_.directory() + "/token";
  std::ofstream(file) << "s3cret\n";
  EXPECT_EQ(cleat({"node", "list", "--token-file", file}).code, 0);
  EXPECT_EQ(seen, "Bearer s3cret");
  auto ended = cleat({"node", "list", "--token-file", "/nowhere"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, HasSubstr("cannot read the token file /nowhere"));
  std::ofstream(file) << "two words\n";
  EXPECT_EQ(cleat({"node", "list", "--token-file", file}).code, 1);
}

TEST_F(CliTest, ListsOfTenThousandVolumesPass) {
  for (int i = 0; i < 10000; ++i) {
    auto volume =
        sample_volume("11257713889308" + std::to_string(10000 + i), "pvc-" + std::string(36, 'x'));
    attach_sample(volume, "node-with-a-long-name", "10.89.0.11", true);
    for (int j = 0; j < 3; ++j) {
      auto* replica = volume.add_replicas();
      replica->set_node("node-with-a-long-name");
      replica->set_pool_path("/var/lib/cleat/pools/a-pool-file-with-a-long-name");
      replica->set_node_id("123456789012345678");
    }
    *cluster_.volumes.list.response.add_volumes() = volume;
  }
  EXPECT_GT(cluster_.volumes.list.response.ByteSizeLong(), 4u << 20) << "above gRPC's default";
  auto ended = cleat({"v", "l"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(std::count(ended.out.begin(), ended.out.end(), '\n'), 10001);
}

TEST_F(CliTest, EveryVerbReachesItsCall) {
  struct Line {
    std::vector<std::string> words;
    int* count;
  };
  auto& c = cluster_;
  std::vector<Line> lines{
      {{"status"}, &c.cluster.status.count},
      {{"cluster", "rebuild-metadata", "--dry-run"}, &c.cluster.rebuild.count},
      {{"node", "l"}, &c.nodes.list.count},
      {{"node", "i", "n1"}, &c.nodes.inspect.count},
      {{"node", "maintenance", "n1", "--enter"}, &c.nodes.maintenance.count},
      {{"node", "decommission", "n1"}, &c.nodes.decommission.count},
      {{"pool", "create", "/p", "--size", "8Gi"}, &c.pools.create.count},
      {{"p", "l"}, &c.pools.list.count},
      {{"p", "i", "7"}, &c.pools.inspect.count},
      {{"pool", "delete", "7"}, &c.pools.remove.count},
      {{"v", "resize", "a", "--size", "20"}, &c.volumes.resize.count},
      {{"v", "update", "a", "-l", "k=v"}, &c.volumes.update.count},
      {{"v", "ha-update", "a", "--ha", "3"}, &c.volumes.ha_update.count},
      {{"v", "clone", "a", "--name", "b"}, &c.volumes.clone.count},
      {{"v", "restore", "a", "--snapshot", "s"}, &c.volumes.restore.count},
      {{"v", "stats", "a"}, &c.volumes.stats.count},
      {{"v", "salvage", "a", "--accept-data-loss"}, &c.volumes.salvage.count},
      {{"v", "snapshot", "create", "a"}, &c.volumes.snapshot_create.count},
      {{"v", "s", "group", "a", "b"}, &c.volumes.snapshot_group.count},
      {{"v", "s", "create", "a", "-g", "k=v"}, &c.volumes.snapshot_group.count},
      {{"v", "s", "l"}, &c.volumes.snapshot_list.count},
      {{"v", "s", "d", "s1"}, &c.volumes.snapshot_delete.count},
      {{"host", "detach", "a"}, &c.hosts.detach.count},
      {{"host", "unmount", "a", "/m"}, &c.hosts.unmount.count},
      {{"alerts"}, &c.alerts.list.count},
      {{"alerts", "clear", "--all"}, &c.alerts.clear.count},
  };
  for (auto& line : lines) {
    std::string text = ::testing::PrintToString(line.words);
    int before = *line.count;
    auto ended = cleat(line.words);
    EXPECT_EQ(ended.code, 0) << text << ended.err;
    EXPECT_EQ(*line.count, before + 1) << text;
    line.words.push_back("-j");
    ended = cleat(line.words);
    EXPECT_EQ(ended.code, 0) << text << ended.err;
    EXPECT_TRUE(nlohmann::json::accept(ended.out)) << text << ended.out;
  }
}

TEST_F(CliTest, BadLinesExitTwoWithOneLine) {
  struct Line {
    std::vector<std::string> words;
    std::string says;
  };
  std::vector<Line> lines{
      {{}, "cleat needs a verb"},
      {{"v"}, "cleat volume needs a verb: create, list"},
      {{"volmue"}, "unknown verb 'volmue': did you mean volume?"},
      {{"v", "lst"}, "did you mean list?"},
      {{"v", "l", "--nmae", "x"}, "unknown option --nmae: did you mean --name?"},
      {{"v", "l", "-Z"}, "unknown option -Z"},
      {{"v", "l", "extra"}, "unexpected argument 'extra'"},
      {{"v", "c"}, "an argument is missing: name is required"},
      {{"v", "c", "a b"}, "'a b' is not a name"},
      {{"v", "c", "a/b"}, "'a/b' is not a name"},
      {{"v", "c", "-a"}, "unknown option -a"},
      {{"v", "c", "--", "-a"}, "start with a letter or a digit"},
      {{"v", "c", ".a"}, "start with a letter or a digit"},
      {{"v", "c", "123"}, "all digits"},
      {{"v", "c", std::string(129, 'a')}, "too long"},
      {{"v", "c", ""}, "a name is missing"},
      {{"v", "c", "a\nb"}, "is not a name"},
      {{"v", "c", "a", "--size", "0"}, "multiple of 4 KiB"},
      {{"v", "c", "a", "--size", "1001B"}, "multiple of 4 KiB"},
      {{"v", "c", "a", "--size", "ten"}, "a bare number is GiB"},
      {{"v", "c", "a", "--size", "-5"}, "a bare number is GiB"},
      {{"v", "c", "a", "--size", "5Q"}, "unknown unit"},
      {{"v", "c", "a", "--size"}, "option --size needs a value: SIZE"},
      {{"v", "c", "a", "--ha", "0"}, "not in range 1 to 3"},
      {{"v", "c", "a", "--ha", "4"}, "not in range 1 to 3"},
      {{"v", "c", "a", "--ha", "two"}, "--ha"},
      {{"v", "c", "a", "--fs", "ntfs"}, "'ntfs' is not one of ext4, xfs, none"},
      {{"v", "c", "a", "--label", "nokey"}, "'nokey' is not a label"},
      {{"v", "c", "a", "--nodes", "a/b"}, "'a/b' is not a name"},
      {{"v", "i", "a b"}, "is not a name"},
      {{"v", "s", "create"}, "name a volume, or several by --group"},
      {{"v", "s", "create", "a", "--hook-timeout", "0"}, "not in range 1 to 3600"},
      {{"v", "resize", "a"}, "--size is required"},
      {{"v", "update", "a"}, "nothing to update"},
      {{"v", "ha-update", "a"}, "no HA level is given"},
      {{"v", "salvage", "a"}, "--accept-data-loss"},
      {{"v", "stats", "a", "--interval", "soon"}, "--interval: write a duration"},
      {{"host", "attach", "a", "--frontend", "iscsi"}, "'iscsi' is not one of fuse, nbd"},
      {{"host", "mount", "a"}, "path is required"},
      {{"node", "maintenance", "n"}, "--enter starts"},
      {{"node", "maintenance", "n", "-e", "-x"}, "--enter starts"},
      {{"alerts", "clear"}, "say which alerts"},
      {{"alerts", "clear", "1", "--all"}, "say which alerts"},
      {{"v", "l", "--timeout", "5"}, "--timeout: '5' is not a time limit"},
      {{"v", "l", "--timeout", "0s"}, "write more than 0s"},
      {{"completion", "fish"}, "'fish' is not one of bash"},
      {{"man", "nothing"}, "there is no manual page of 'nothing'"},
  };
  for (const auto& line : lines) {
    std::string text = ::testing::PrintToString(line.words);
    auto ended = cleat(line.words);
    EXPECT_EQ(ended.code, 2) << text << ended.err;
    EXPECT_EQ(ended.out, "") << text;
    EXPECT_THAT(ended.err, StartsWith("cleat: ")) << text;
    EXPECT_THAT(ended.err, HasSubstr(line.says)) << text;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << text << ended.err;
  }
  EXPECT_EQ(cluster_.volumes.create.count, 0) << "nothing was sent";
}

}  // namespace
}  // namespace cleat::cli
