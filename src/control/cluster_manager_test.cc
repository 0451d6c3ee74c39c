#include "control/cluster_manager.h"

#include <fstream>

#include "control/node_identity.h"
#include "control/node_presence.h"
#include "control/testing/fake_cluster.h"
#include "control/testing/test_etcd.h"

namespace cleat::control {
namespace {

class ClusterTest : public FakeCluster {
 protected:
  ClusterManager cluster{context, alerts, "n1", [] { return MetadataState{}; }};
  const v1::Finding* finding(const v1::StatusResponse& status, const std::string& words) {
    for (const auto& f : status.findings()) {
      if (f.what().find(words) != std::string::npos) return &f;
    }
    return nullptr;
  }
};

TEST_F(ClusterTest, AllWell) {
  create("data1", 3);
  auto status = cluster.status();
  EXPECT_EQ(status->health(), v1::HEALTH_OK);
  EXPECT_EQ(status->findings_size(), 0);
  EXPECT_EQ(status->nodes_size(), 3);
  EXPECT_EQ(status->capacity().total_bytes(), 300 * kGiB);
  EXPECT_EQ(status->capacity().provisioned_bytes(), 3 * kGiB);
}

TEST_F(ClusterTest, SaysWhatIsDegradedWhyAndWhatIsDone) {
  VolumeId id = create("data1", 3);
  ASSERT_TRUE(attach("data1", "n1"));
  kill(2);
  auto status = cluster.status();
  EXPECT_EQ(status->health(), v1::HEALTH_DEGRADED);
  const auto* volume = finding(*status, "Volume data1 has 2 of 3 replicas in sync");
  ASSERT_NE(volume, nullptr);
  EXPECT_EQ(volume->why(), "node n2 is offline");
  EXPECT_EQ(volume->doing(), "Waiting for n2");
  revive(2);
  auto behind = records.load(id);
  for (auto& replica : behind->value.replicas) {
    if (replica.node == NodeId{2}) replica.state = core::ReplicaState::kStale;
  }
  ASSERT_TRUE(records.compare_and_store(behind->revision, behind->value));
  state(1).resyncs[id] = {{1, NodeId{2}, false, 41 * kMiB, 100 * kMiB, 210 * kMiB, 12}};
  status = cluster.status();
  volume = finding(*status, "Volume data1");
  ASSERT_NE(volume, nullptr);
  EXPECT_EQ(volume->doing(), "Copying what changed to n2: 41 %, 210 MiB/s, 12 s left");
  EXPECT_EQ(volume->resync().to_node(), "n2");
}

TEST_F(ClusterTest, AnAttachedVolumeWithoutADeviceIsSaid) {
  VolumeId id = create("data1", 2);
  ASSERT_TRUE(attach("data1", "n2"));
  EXPECT_EQ(cluster.status()->findings_size(), 0);
  state(2).attached.erase(id);  // the node started anew
  auto status = cluster.status();
  EXPECT_NE(finding(*status, "attached on n2, but has no device there"), nullptr);
  ASSERT_TRUE(attach("data1", "n2"));
  EXPECT_EQ(cluster.status()->findings_size(), 0);
  state(2).attached.erase(id);
  EXPECT_TRUE(attach("data1", "n3")) << "nobody serves it";
}

TEST_F(ClusterTest, AnOfflinePrimaryAndAFullPoolAreSaid) {
  create("data1", 2);
  ASSERT_TRUE(attach("data1", "n2"));
  kill(2);
  meta::Pool pool = to_meta(state(1).pools[PoolId{101}], NodeId{1});
  pool.set_free_bytes(5 * kGiB);
  ASSERT_TRUE(store.commit(Txn{}.put(keys.pool(PoolId{101}), pool.SerializeAsString())));
  auto status = cluster.status();
  EXPECT_EQ(status->health(), v1::HEALTH_DOWN);
  EXPECT_NE(finding(*status, "attached on n2, which is offline"), nullptr);
  EXPECT_NE(finding(*status, "95 % full"), nullptr);
  EXPECT_EQ(status->findings(0).severity(), v1::HEALTH_DOWN) << "worst first";
}

TEST_F(ClusterTest, AnswersWhileEtcdIsAway) {
  store.set_unreachable(true);
  auto status = cluster.status();
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->metadata().reachable());
  EXPECT_NE(finding(*status, "etcd can't be reached"), nullptr);
}

TEST_F(ClusterTest, LostMetadataAreRebuiltFromTheCatalogs) {
  auto in = request("data1", 2);
  (*in.mutable_labels())["k"] = "v";
  ASSERT_TRUE(volumes.create(in));
  VolumeId id{*Keys::id_of(inspect("data1").id())};
  ASSERT_TRUE(attach("data1", "n1"));
  ASSERT_TRUE(snapshot("data1", "s1"));
  const auto before = record(id);
  v1::RebuildMetadataRequest rebuild;
  rebuild.set_dry_run(true);
  for (const auto& key : {keys.spec(id), keys.record(id), keys.name("data1"), keys.name("s1"),
                          keys.snapshot(before.snapshots[0].id)}) {
    ASSERT_TRUE(store.commit(Txn{}.erase(key)));
  }
  kill(2);
  auto partial = cluster.rebuild(rebuild);
  EXPECT_NE(partial->volumes(0).problem().find("--accept-data-loss"), std::string::npos)
      << "the replica on n2 may be the better one";
  rebuild.set_accept_data_loss(true);
  EXPECT_EQ(cluster.rebuild(rebuild)->volumes(0).problem(), "");
  rebuild.set_accept_data_loss(false);
  revive(2);
  auto dry = cluster.rebuild(rebuild);
  ASSERT_TRUE(dry);
  EXPECT_FALSE(dry->volumes(0).written());
  EXPECT_FALSE(records.load(id));
  rebuild.set_dry_run(false);
  auto done = cluster.rebuild(rebuild);
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->volumes(0).written()) << done->volumes(0).problem();
  EXPECT_EQ(done->volumes(0).name(), "data1");
  EXPECT_EQ(record(id), before) << "the primary's catalog has the newest record";
  EXPECT_EQ(inspect("data1").labels().at("k"), "v");
  EXPECT_EQ(inspect("s1").snapshot_of(), "data1");
  EXPECT_FALSE(cluster.rebuild(rebuild)->volumes(0).written())
      << "a second time there is nothing to do";
}

TEST(ChooseRecord, TakesTheNewestAndSurvivesDamage) {
  core::VolumeRecord old;
  old.id = VolumeId{1};
  old.epoch = Epoch{3};
  old.generation = Generation{10};
  old.replicas = {{0, NodeId{1}, PoolId{1}, core::ReplicaState::kInSync, {}},
                  {1, NodeId{2}, PoolId{2}, core::ReplicaState::kInSync, {}}};
  core::VolumeRecord removed = old;
  removed.generation = Generation{11};
  removed.replicas[1].state = core::ReplicaState::kStale;
  auto copy = [](const core::VolumeRecord& r, uint64_t epoch) {
    CatalogCopy out;
    out.replica.volume = r.id;
    out.replica.epoch = Epoch{epoch};
    out.replica.catalog = catalog_record("", r);
    return out;
  };
  CatalogCopy damaged = copy(old, 4);
  damaged.replica.catalog = "\xff\xff";
  meta::VolumeSpec spec;
  auto chosen = choose_record({copy(old, 3), damaged, copy(removed, 3)}, spec);
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->replicas[1].state, core::ReplicaState::kStale);
  EXPECT_EQ(chosen->epoch, Epoch{4}) << "a promise at a fence counts";
  EXPECT_EQ(choose_record({damaged}, spec).error().code, Code::kCorrupt);
}

class JoinTest : public FakeCluster {
 protected:
  NodeIdentity fresh{NodeId{1}, {}, 0};
  LocalReplica replica(VolumeId volume, uint64_t epoch) {
    LocalReplica out;
    out.volume = volume;
    out.epoch = Epoch{epoch};
    return out;
  }
};

TEST_F(JoinTest, TheFirstNodeMakesTheClusterAndOthersFindIt) {
  auto first = join_cluster(context, fresh, {});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->cluster_uuid.size(), 36U);
  auto second = join_cluster(context, NodeIdentity{NodeId{2}, {}, 0}, {});
  EXPECT_EQ(second->cluster_uuid, first->cluster_uuid);
  EXPECT_GT(second->cluster_incarnation, first->cluster_incarnation);
  EXPECT_TRUE(join_cluster(context, *first, {}));
}

TEST_F(JoinTest, AnotherClusterOnThePrefixIsRefused) {
  auto ours = join_cluster(context, fresh, {});
  auto other = *ours;
  other.cluster_uuid = "00000000-0000-4000-8000-000000000000";
  auto refused = join_cluster(context, other, {});
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_NE(refused.error().message.find("another cluster"), std::string::npos);
}

TEST_F(JoinTest, AnEmptyEtcdIsRefusedByANodeThatHasACluster) {
  auto ours = join_cluster(context, fresh, {});
  store.restore({});
  auto refused = join_cluster(context, *ours, {});
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_NE(refused.error().message.find("rebuild-metadata"), std::string::npos);
  auto adopted = adopt_cluster(context, *ours);
  EXPECT_EQ(adopted->cluster_uuid, ours->cluster_uuid);
  EXPECT_TRUE(join_cluster(context, *ours, {}));
}

TEST_F(JoinTest, AnOlderBackupIsRefusedByItsIncarnation) {
  auto ours = join_cluster(context, fresh, {});
  auto backup = store.dump();
  ours = join_cluster(context, *ours, {});
  store.restore(backup);
  auto refused = join_cluster(context, *ours, {});
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_NE(refused.error().message.find("older backup"), std::string::npos);
}

TEST_F(JoinTest, AnOlderBackupIsRefusedByAReplicasEpoch) {
  auto ours = join_cluster(context, fresh, {});
  VolumeId id = create("data1");
  EXPECT_TRUE(join_cluster(context, *ours, {replica(id, 0)}));
  auto refused = join_cluster(context, *ours, {replica(id, 1)});
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_NE(refused.error().message.find("older backup"), std::string::npos);
}

TEST_F(JoinTest, ANewerLayoutIsRefused) {
  auto ours = join_cluster(context, fresh, {});
  ASSERT_TRUE(update<meta::Cluster>(store, keys.cluster(), [](auto& cluster) {
    cluster.set_version(99);
    return true;
  }));
  EXPECT_EQ(join_cluster(context, *ours, {}).error().code, Code::kUnsupported);
}

TEST_F(JoinTest, TheIdentityFileIsKept) {
  TestDirectory directory;
  auto made = NodeIdentity::load_or_make(directory.path(), context.random);
  ASSERT_TRUE(made);
  made->cluster_uuid = "x";
  made->cluster_incarnation = 7;
  ASSERT_TRUE(made->save(directory.path()));
  auto again = NodeIdentity::load_or_make(directory.path(), context.random);
  EXPECT_EQ(again->node, made->node);
  EXPECT_EQ(again->cluster_uuid, "x");
  EXPECT_EQ(again->cluster_incarnation, 7U);
  std::ofstream(directory.path() + "/identity") << "garbage";
  EXPECT_EQ(NodeIdentity::load_or_make(directory.path(), context.random).error().code,
            Code::kCorrupt);
}

class PresenceTest : public JoinTest {
 protected:
  PresenceOptions options() {
    PresenceOptions out;
    out.name = "n1";
    out.address = "10.0.0.1";
    out.data_dir = directory.path();
    out.housekeeping_every = 1;
    return out;
  }
  TestDirectory directory;
  NodePresence presence{context, alerts, fakes[NodeId{1}]->ports(), fresh, options()};
};

TEST_F(PresenceTest, RegistersAndPublishesItsPools) {
  ASSERT_TRUE(store.commit(Txn{}.erase(keys.pool(PoolId{101})).erase(keys.alive(NodeId{1}))));
  ASSERT_TRUE(presence.run_once()) << presence.problem();
  auto topology = Topology::load(context);
  EXPECT_TRUE(topology->alive(NodeId{1}));
  EXPECT_EQ(topology->pools.at(PoolId{101}).capacity_bytes(), 100 * kGiB);
  store.advance(10s);
  EXPECT_TRUE(Topology::load(context)->alive(NodeId{1}));
}

// Who waits for this node's devices to be served again then knows to wait for longer.
TEST_F(PresenceTest, AnOrderlyStopWithDevicesInUseIsNoted) {
  ASSERT_TRUE(presence.run_once()) << presence.problem();
  auto restarting = [this] { return Topology::load(context)->find(NodeId{1})->node.restarting(); };
  state(1).attached[VolumeId{5}] = AttachedVolume{};
  presence.stop();
  EXPECT_TRUE(restarting());
  EXPECT_FALSE(Topology::load(context)->alive(NodeId{1}));
  NodePresence next{context, alerts, fakes[NodeId{1}]->ports(), fresh, options()};
  ASSERT_TRUE(next.run_once()) << next.problem();
  EXPECT_FALSE(restarting());
  state(1).attached.clear();
  next.stop();
  EXPECT_FALSE(restarting());
}

TEST_F(ClusterTest, PoolsShowWhatTheyHoldThemselves) {
  VolumeId id = create("data1", 2);
  auto show = [&](uint64_t node) {
    auto listed = pools.list({});
    EXPECT_TRUE(listed) << listed.error().message;
    for (const auto& pool : listed->pools()) {
      if (pool.id() == Keys::text(100 + node)) return pool;
    }
    return v1::Pool{};
  };
  EXPECT_EQ(show(1).replica_count(), 1U);
  EXPECT_EQ(show(1).reclaimable_bytes(), 1024U);
  state(1).pools[PoolId{101}].used_bytes = 4711;  // less than is worth a write to etcd
  EXPECT_EQ(show(1).capacity().used_bytes(), 4711U);

  // What etcd knows nothing of is held all the same.
  ASSERT_TRUE(store.commit(Txn{}.erase(keys.spec(id)).erase(keys.record(id))));
  EXPECT_EQ(show(1).replica_count(), 1U);
  v1::InspectPoolRequest in;
  in.set_pool("101");
  auto inspected = pools.inspect(in);
  ASSERT_TRUE(inspected) << inspected.error().message;
  EXPECT_EQ(inspected->capacity().used_bytes(), 4711U);
  ASSERT_EQ(inspected->replicas_size(), 1);
  EXPECT_EQ(inspected->replicas(0).volume_id(), Keys::text(id.value));
  EXPECT_EQ(inspected->replicas(0).volume(), "");

  state(1).down = true;
  EXPECT_NE(show(1).problem().find("not exact"), std::string::npos);
  EXPECT_EQ(show(2).problem(), "");
}

TEST_F(PresenceTest, APoolThatItsNodeDoesNotKnowHasFailed) {
  const auto kept = state(1).pools[PoolId{101}];
  state(1).pools.clear();
  ASSERT_TRUE(presence.run_once()) << presence.problem();
  auto pool = Topology::load(context)->pools.at(PoolId{101});
  EXPECT_TRUE(pool.failed());
  EXPECT_NE(pool.problem().find("no such pool"), std::string::npos);
  EXPECT_FALSE(Topology::load(context)->pools.at(PoolId{102}).failed()) << "another node's";
  state(1).pools[PoolId{101}] = kept;
  ASSERT_TRUE(presence.run_once());
  EXPECT_FALSE(Topology::load(context)->pools.at(PoolId{101}).failed());
}

TEST_F(PresenceTest, ExportsItsNbdVolumesAgain) {
  VolumeId exported = create("exported");
  VolumeId device = create("device");
  v1::AttachRequest nbd;
  nbd.set_volume("exported");
  nbd.set_frontend(v1::FRONTEND_NBD);
  ASSERT_TRUE(hosts.attach(nbd));
  ASSERT_TRUE(attach("device", "n1"));
  state(1).attached.clear();  // cleatd was killed
  state(1).volume_call_fails = Code::kUnreachable;
  ASSERT_TRUE(presence.run_once()) << presence.problem();
  EXPECT_FALSE(state(1).attached.contains(exported));
  ASSERT_TRUE(presence.run_once());
  EXPECT_TRUE(state(1).attached.contains(exported)) << "tried again";
  EXPECT_FALSE(state(1).attached.contains(device)) << "the keeper knows of devices";
  state(1).attached.clear();
  ASSERT_TRUE(presence.run_once());
  EXPECT_TRUE(state(1).attached.empty()) << "once: what was detached later stays so";
}

TEST_F(PresenceTest, ASecondNodeOfTheSameNameIsRefused) {
  meta::NodeAlive other;
  other.set_id(77);
  ASSERT_TRUE(store.commit(Txn{}.put(keys.node_name("n1"), other.SerializeAsString())));
  EXPECT_FALSE(presence.run_once());
  EXPECT_NE(presence.problem().find("another node named n1"), std::string::npos);
}

TEST_F(PresenceTest, RemovesOnlyReplicasThatTheMetadataDisowns) {
  ASSERT_TRUE(presence.run_once());
  VolumeId id = create("data1", 1);
  auto unknown = state(1).replicas[id];
  state(1).replicas[VolumeId{4711}] = unknown;
  auto now = records.load(id);
  now->value.replicas[0].node = NodeId{2};  // it moved
  now->value.replicas[0].pool = PoolId{102};
  ASSERT_TRUE(records.compare_and_store(now->revision, now->value));
  ASSERT_TRUE(presence.run_once());
  EXPECT_TRUE(state(1).replicas.contains(id)) << "seen once";
  ASSERT_TRUE(presence.run_once());
  EXPECT_FALSE(state(1).replicas.contains(id));
  EXPECT_TRUE(state(1).replicas.contains(VolumeId{4711})) << "etcd doesn't know it: kept";
  EXPECT_EQ(alerts.list({})->alerts(0).kind(), "unknown_replica");
}

TEST_F(PresenceTest, AReplicaNewerThanItsRecordIsKept) {
  ASSERT_TRUE(presence.run_once());
  VolumeId id = create("data1", 1);
  state(1).replicas[id].epoch = Epoch{9};
  auto now = records.load(id);
  now->value.replicas[0].node = NodeId{2};
  ASSERT_TRUE(records.compare_and_store(now->revision, now->value));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(presence.run_once());
  EXPECT_TRUE(state(1).replicas.contains(id));
}

TEST_F(PresenceTest, AChangedSpecReachesTheCatalog) {
  ASSERT_TRUE(presence.run_once());
  VolumeId id = create("data1", 1);
  v1::UpdateVolumeRequest in;
  in.set_volume("data1");
  in.set_name("data9");
  ASSERT_TRUE(volumes.update(in));
  ASSERT_TRUE(presence.run_once());
  EXPECT_EQ(decode_catalog(state(1).replicas[id].catalog)->spec.name(), "data9");
}

}  // namespace
}  // namespace cleat::control
