// Real members on 127.0.0.1, .2 and .3, as on three nodes.
#include "control/etcd_supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "control/testing/test_etcd.h"

namespace cleat::control {
namespace {

constexpr int kNodes = 3;

class ThreeNodes : public ::testing::Test {
 protected:
  EtcdSupervisorOptions options(int node, int peers) {
    EtcdSupervisorOptions out;
    for (int i = 0; i < peers; ++i) {
      out.peers.push_back({fmt::format("n{}", i + 1), fmt::format("127.0.0.{}", i + 1)});
    }
    out.node = fmt::format("n{}", node + 1);
    out.address = fmt::format("127.0.0.{}", node + 1);
    out.data_dir = directories[node].path();
    out.client_port = client_port;
    out.peer_port = peer_port;
    out.backoff_min = 200ms;
    return out;
  }
  void up(int node, int peers = kNodes) {
    auto made = EtcdSupervisor::create(options(node, peers));
    ASSERT_TRUE(made) << made.error().message;
    nodes[node] = std::move(*made);
    nodes[node]->start();
  }
  std::unique_ptr<EtcdMetaStore> store() {
    auto made = EtcdMetaStore::create(
        {.endpoints = nodes[1] ? nodes[1]->endpoints() : nodes[0]->endpoints(),
         .attempt_timeout = 2s,
         .call_timeout = 8s});
    return std::move(*made);
  }
  std::string problems() {
    std::string out;
    for (auto& node : nodes) out += node ? node->problem() + "\n" : "";
    return out;
  }

  TestDirectory directories[kNodes];
  uint16_t client_port = free_port();
  uint16_t peer_port = free_port();
  std::unique_ptr<EtcdSupervisor> nodes[kNodes];
};

TEST_F(ThreeNodes, StartInAnyOrderAndSurviveTheLossOfOne) {
  up(2);
  std::this_thread::sleep_for(1s);
  up(0);
  std::this_thread::sleep_for(3s);
  up(1);
  auto meta = store();
  ASSERT_TRUE(eventually([&] { return meta->identity().has_value(); }, 40s)) << problems();
  ASSERT_TRUE(eventually([&] { return nodes[1]->pid() != 0 && nodes[2]->pid() != 0; }, 40s))
      << problems();
  ASSERT_TRUE(meta->commit(Txn{}.put("/k", "1")));
  // A killed member comes back by itself.
  pid_t killed = nodes[0]->pid();
  ::kill(killed, SIGKILL);
  EXPECT_TRUE(meta->get("/k").value());
  EXPECT_TRUE(eventually([&] { return nodes[0]->pid() != 0 && nodes[0]->pid() != killed; }));
  // A node that is down for good: the other two go on.
  nodes[2].reset();
  EXPECT_TRUE(eventually([&] { return meta->commit(Txn{}.put("/k", "2")).has_value(); }, 20s));
  // And back.
  up(2);
  EXPECT_TRUE(eventually([&] { return nodes[2]->pid() != 0; }));
  EXPECT_TRUE(meta->get("/k").value());
}

TEST_F(ThreeNodes, OneMemberGrowsToThree) {
  up(0, 1);
  auto meta = store();
  ASSERT_TRUE(eventually([&] { return meta->commit(Txn{}.put("/k", "kept")).has_value(); }, 30s))
      << problems();
  nodes[0].reset();
  up(0);
  up(1);
  up(2);
  auto all = store();
  for (const auto& endpoint : nodes[1]->endpoints()) {
    auto one = EtcdMetaStore::create({.endpoints = {endpoint}});
    EXPECT_TRUE(eventually(
        [&] {
          auto value = (*one)->get("/k");
          return value && *value && (*value)->value == "kept";
        },
        40s))
        << endpoint << problems();
  }
}

TEST_F(ThreeNodes, NodesThatAreNotAmongTheFirstUseTheMembers) {
  auto more = options(0, 3);
  more.node = "n4";
  more.address = "127.0.0.4";
  auto fourth = EtcdSupervisor::create(more);
  ASSERT_TRUE(fourth);
  EXPECT_FALSE((*fourth)->runs_member());
  EXPECT_EQ((*fourth)->endpoints().size(), 3U);
  auto two = EtcdSupervisor::create(options(1, 2));
  ASSERT_TRUE(two);
  EXPECT_FALSE((*two)->runs_member()) << "two peers: only the first is a member";
  EXPECT_EQ((*two)->endpoints(),
            std::vector<std::string>{fmt::format("127.0.0.1:{}", client_port)});
}

TEST_F(ThreeNodes, RefuseWhatCannotWork) {
  auto missing = options(0, 1);
  missing.binary = "no-such-etcd";
  auto made = EtcdSupervisor::create(missing);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kNotFound);
  EXPECT_NE(made.error().message.find("etcd-server"), std::string::npos);
  auto wrong = options(0, 3);
  wrong.address = "127.0.0.9";
  EXPECT_EQ(EtcdSupervisor::create(wrong).error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse_peers("a=1.2.3.4,b").error().code, Code::kInvalidArgument);
}

TEST_F(ThreeNodes, AProblemIsSaidInWords) {
  TestEtcd other;
  auto taken = options(0, 1);
  taken.client_port = static_cast<uint16_t>(std::stoi(other.endpoint().substr(10)));
  auto made = EtcdSupervisor::create(taken);
  ASSERT_TRUE(made);
  (*made)->start();
  EXPECT_TRUE(eventually([&] { return (*made)->problem().find("in use") != std::string::npos; }))
      << (*made)->problem();
}

TEST_F(ThreeNodes, TheMemberOutlivesAKilledSupervisorAndIsFoundAgain) {
  pid_t supervisor = ::fork();
  if (supervisor == 0) {
    auto made = EtcdSupervisor::create(options(0, 1));
    (*made)->start();
    while (true) ::pause();
  }
  auto store = EtcdMetaStore::create(
      {.endpoints = {fmt::format("127.0.0.1:{}", client_port)}, .call_timeout = 1s});
  ASSERT_TRUE(eventually([&] { return (*store)->identity().has_value(); }, 30s));
  ::kill(supervisor, SIGKILL);
  ::waitpid(supervisor, nullptr, 0);
  EXPECT_TRUE((*store)->identity());
  auto orphan = EtcdProcess::find(directories[0].path() + "/etcd");
  ASSERT_TRUE(orphan);
  up(0, 1);
  EXPECT_TRUE(eventually([&] { return nodes[0]->pid() == orphan->pid(); }));
  nodes[0]->stop();
  EXPECT_TRUE(orphan->ended());
  EXPECT_FALSE((*store)->identity());
}

TEST_F(ThreeNodes, AFoundMemberThatEndsIsStartedAgain) {
  std::vector<std::string> argv = {"etcd",
                                   "--data-dir",
                                   directories[0].path() + "/etcd",
                                   "--listen-client-urls",
                                   fmt::format("http://127.0.0.1:{}", client_port),
                                   "--advertise-client-urls",
                                   fmt::format("http://127.0.0.1:{}", client_port),
                                   "--listen-peer-urls",
                                   fmt::format("http://127.0.0.1:{}", peer_port)};
  auto before = EtcdProcess::start(argv, directories[0].path() + "/before.log");
  ASSERT_TRUE(before) << before.error().message;
  // Its command line is what it is known by: it has one once the program is loaded.
  ASSERT_TRUE(
      eventually([&] { return EtcdProcess::find(directories[0].path() + "/etcd").has_value(); }));
  up(0, 1);
  ASSERT_TRUE(eventually([&] { return nodes[0]->pid() == before->pid(); }));
  before->stop(5s);
  EXPECT_TRUE(eventually([&] { return nodes[0]->pid() != 0 && nodes[0]->pid() != before->pid(); }))
      << problems();
}

}  // namespace
}  // namespace cleat::control
