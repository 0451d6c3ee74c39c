#include "control/volume_manager.h"

#include "control/testing/fake_cluster.h"

namespace cleat::control {
namespace {

using VolumeTest = FakeCluster;

TEST_F(VolumeTest, CreatePlacesReplicasOnDistinctNodesWithOneHere) {
  VolumeId id = create("data1", 3);
  EXPECT_EQ(replica_nodes(id).front(), 1U);
  EXPECT_EQ(replica_nodes(id).size(), 3U);
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(state(i).replicas.contains(id));
  auto shown = inspect("data1");
  EXPECT_EQ(shown.status(), v1::VOLUME_STATUS_UP);
  EXPECT_EQ(shown.state(), v1::VOLUME_STATE_DETACHED);
  EXPECT_EQ(shown.fs(), "ext4");
  EXPECT_EQ(shown.replicas(0).pool_path(), "/pool");
  EXPECT_EQ(decode_catalog(state(2).replicas[id].catalog)->spec.name(), "data1");
}

TEST_F(VolumeTest, CreateGoesToTheHintedNodes) {
  auto in = request("data1", 2);
  in.add_nodes("n3");
  in.add_nodes("n2");
  auto made = volumes.create(in);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->replicas(0).node(), "n3");
  EXPECT_EQ(made->replicas(1).node(), "n2");
}

TEST_F(VolumeTest, CreateAgainGivesTheSameVolumeAndOtherValuesAreRefused) {
  VolumeId id = create("data1");
  EXPECT_EQ(create("data1"), id);
  EXPECT_EQ(volumes.create(request("data1", 1)).error().code, Code::kAlreadyExists);
}

TEST_F(VolumeTest, BadRequestsAreRefusedWithWords) {
  const std::pair<const char*, const char*> names[] = {
      {"", "no name"},      {"a b", "a space"},   {"a/b", "'/'"},      {"123", "all digits"},
      {"-a", "must begin"}, {"\xc3\xa9", "byte"}, {"..", "must begin"}};
  for (const auto& [name, word] : names) {
    auto made = volumes.create(request(name));
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    EXPECT_NE(made.error().message.find(word), std::string::npos) << made.error().message;
  }
  auto odd = request("v");
  odd.set_size_bytes(kGiB + 1);
  EXPECT_EQ(volumes.create(odd).error().code, Code::kInvalidArgument);
  EXPECT_EQ(volumes.create(request("v", 4)).error().code, Code::kInvalidArgument);
  auto fs = request("v");
  fs.set_fs("ntfs");
  EXPECT_EQ(volumes.create(fs).error().code, Code::kInvalidArgument);
  auto encrypted = request("v");
  encrypted.set_encrypted(true);
  EXPECT_EQ(volumes.create(encrypted).error().code, Code::kUnsupported);
  auto nowhere = request("v");
  nowhere.add_nodes("n9");
  EXPECT_EQ(volumes.create(nowhere).error().code, Code::kNotFound);
}

TEST_F(VolumeTest, TooFewNodesIsSaidWithTheReason) {
  kill(3);
  auto made = volumes.create(request("data1", 3));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kNoSpace);
  EXPECT_NE(made.error().message.find("offline"), std::string::npos) << made.error().message;
}

TEST_F(VolumeTest, AFailedReplicaUndoesTheCreate) {
  const size_t before = keys_left();
  state(2).create_fails = Code::kIoError;
  auto in = request("data1", 2);
  in.add_nodes("n1");
  in.add_nodes("n2");
  EXPECT_EQ(volumes.create(in).error().code, Code::kIoError);
  EXPECT_EQ(keys_left(), before);
  EXPECT_TRUE(state(1).replicas.empty());
  EXPECT_TRUE(volumes.create(in)) << "the name is free again";
}

TEST_F(VolumeTest, ListFilters) {
  auto in = request("b");
  (*in.mutable_labels())["app"] = "cassandra";
  ASSERT_TRUE(volumes.create(in));
  create("a");
  ASSERT_TRUE(snapshot("a", "a-s1"));
  v1::ListVolumesRequest list;
  auto all = volumes.list(list);
  ASSERT_EQ(all->volumes_size(), 2);
  EXPECT_EQ(all->volumes(0).name(), "a");
  list.set_with_snapshots(true);
  EXPECT_EQ(volumes.list(list)->volumes_size(), 3);
  list.Clear();
  (*list.mutable_labels())["app"] = "cassandra";
  EXPECT_EQ(volumes.list(list)->volumes_size(), 1);
  list.Clear();
  list.set_only_snapshots(true);
  EXPECT_EQ(volumes.list(list)->volumes(0).snapshot_of(), "a");
}

TEST_F(VolumeTest, ListOfTenThousandReadsRangesOnly) {
  for (uint64_t i = 1; i <= 10'000; ++i) {
    meta::VolumeSpec spec;
    spec.set_id(i);
    spec.set_name(fmt::format("v{}", i));
    spec.set_state(meta::VolumeSpec::UP);
    spec.set_ha_level(2);
    core::VolumeRecord r;
    r.id = VolumeId{i};
    r.replicas = {{0, NodeId{1}, PoolId{101}, core::ReplicaState::kInSync, {}},
                  {1, NodeId{2}, PoolId{102}, core::ReplicaState::kInSync, {}}};
    ASSERT_TRUE(store.commit(Txn{}
                                 .put(keys.spec(r.id), spec.SerializeAsString())
                                 .put(keys.record(r.id), encode_record(r))));
  }
  const uint64_t operations = store.operations();
  EXPECT_EQ(volumes.list({})->volumes_size(), 10'000);
  EXPECT_LE(store.operations() - operations, 8U) << "a handful of range reads, no read per volume";
}

TEST_F(VolumeTest, DeleteRefusesWhatIsInUse) {
  create("data1");
  ASSERT_TRUE(attach("data1", "n2"));
  auto refused = remove("data1");
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("attached on n2"), std::string::npos);
  ASSERT_TRUE(detach("data1"));
  ASSERT_TRUE(snapshot("data1", "s1"));
  EXPECT_EQ(remove("data1").error().code, Code::kBusy);
  ASSERT_TRUE(clone("s1", "copy"));
  auto has_clone = remove("data1", true);
  EXPECT_EQ(has_clone.error().code, Code::kBusy);
  EXPECT_NE(has_clone.error().message.find("copy"), std::string::npos);
  ASSERT_TRUE(remove("copy"));
  ASSERT_TRUE(remove("data1", true));
  EXPECT_EQ(remove("data1").error().code, Code::kNotFound);
  v1::DeleteVolumeRequest missing;
  missing.set_volume("data1");
  missing.set_allow_missing(true);
  EXPECT_TRUE(volumes.remove(missing));
}

TEST_F(VolumeTest, DeleteLeavesNothingBehindAlsoWhereANodeWasDown) {
  const size_t before = keys_left();
  VolumeId id = create("data1", 3);
  ASSERT_TRUE(snapshot("data1", "s1"));
  kill(3);
  ASSERT_TRUE(remove("data1", true));
  EXPECT_FALSE(state(1).replicas.contains(id));
  EXPECT_TRUE(state(3).replicas.contains(id));
  revive(3);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_FALSE(state(3).replicas.contains(id));
  reconciler.stop();
  EXPECT_EQ(keys_left(), before);
}

// A node that comes back has a replica that the record named no more when the volume was deleted.
TEST_F(VolumeTest, ADeletionReachesReplicasThatWereTakenOutWhileTheirNodeWasAway) {
  const size_t before = keys_left();
  VolumeId down = create("data1", 2);
  VolumeId salvaged = create("data2", 2);
  const int away = static_cast<int>(replica_nodes(down)[1]);
  kill(away);
  v1::HaUpdateRequest less;
  less.set_volume("data1");
  less.set_ha(1);
  ASSERT_TRUE(volumes.ha_update(less));
  auto stale = records.load(salvaged);
  for (core::ReplicaRecord& replica : stale->value.replicas) {
    const bool lost = replica.node == NodeId{static_cast<uint64_t>(away)};
    replica.state = lost ? core::ReplicaState::kInSync : core::ReplicaState::kStale;
  }
  ASSERT_TRUE(records.compare_and_store(stale->revision, stale->value));
  v1::SalvageVolumeRequest salvage;
  salvage.set_volume("data2");
  salvage.set_accept_data_loss(true);
  const bool had_both = has_replica_on(salvaged, static_cast<uint64_t>(away));
  ASSERT_TRUE(volumes.salvage(salvage));
  ASSERT_TRUE(remove("data1"));
  ASSERT_TRUE(remove("data2"));
  revive(away);
  ASSERT_TRUE(had_both);
  EXPECT_TRUE(state(away).replicas.contains(down));
  EXPECT_TRUE(state(away).replicas.contains(salvaged));
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_FALSE(state(away).replicas.contains(down));
  EXPECT_FALSE(state(away).replicas.contains(salvaged));
  reconciler.stop();
  EXPECT_EQ(keys_left(), before);
}

// Each of these changes the volume between the checks of a deletion and its transaction.
TEST_F(VolumeTest, ADeletionLosesAgainstAnAttachASnapshotOrACloneThatCameFirst) {
  VolumeOps ops(context);
  VolumeId id = create("data1");
  VolumeView before = *load_volume(context, id);
  ASSERT_TRUE(attach("data1", "n1"));
  EXPECT_EQ(ops.erase_volume(before).error().code, Code::kConflict);
  ASSERT_TRUE(detach("data1"));
  before = *load_volume(context, id);
  ASSERT_TRUE(snapshot("data1", "s1"));
  EXPECT_EQ(ops.erase_volume(before).error().code, Code::kConflict);
  before = *load_volume(context, id);
  ASSERT_TRUE(clone("s1", "copy"));
  EXPECT_EQ(ops.erase_volume(before).error().code, Code::kConflict);
  before = *load_volume(context, id);
  auto changed = records.load(id);  // by the engine alone: the tombstone would miss a replica
  changed->value.generation = Generation{9};
  ASSERT_TRUE(records.compare_and_store(changed->revision, changed->value));
  EXPECT_EQ(ops.erase_volume(before).error().code, Code::kConflict);
  EXPECT_TRUE(state(1).replicas.contains(id));
}

TEST_F(VolumeTest, AHealingVolumeIsDeletedAndAnAttachedOneNever) {
  VolumeId id = create("data1");
  ASSERT_TRUE(fakes[NodeId{1}]->ports().attach.heal(id));
  EXPECT_TRUE(remove("data1"));
  id = create("data2");
  ASSERT_TRUE(attach("data2", "n1"));
  ASSERT_TRUE(update<meta::VolumeSpec>(store, keys.spec(id), [](auto& spec) {
    spec.clear_attachment();  // as if the word of who attached it was lost
    return true;
  }));
  EXPECT_EQ(remove("data2").error().code, Code::kBusy);
}

TEST_F(VolumeTest, DeleteWithMoreSnapshotsThanATransactionTakes) {
  const size_t before = keys_left();
  create("data1");
  for (int i = 0; i < 150; ++i) ASSERT_TRUE(snapshot("data1", fmt::format("s{}", i)));
  ASSERT_TRUE(remove("data1", true));
  EXPECT_EQ(keys_left(), before);
}

TEST_F(VolumeTest, ResizeGrowsOnly) {
  VolumeId id = create("data1");
  v1::ResizeVolumeRequest in;
  in.set_volume("data1");
  in.set_size_bytes(2 * kGiB);
  EXPECT_EQ(volumes.resize(in)->size_bytes(), 2 * kGiB);
  EXPECT_EQ(record(id).size_blocks, 2 * kGiB / kBlockSize);
  in.set_size_bytes(kGiB);
  EXPECT_EQ(volumes.resize(in).error().code, Code::kInvalidArgument);
}

// The volume grew, and its device could not be told.
TEST_F(VolumeTest, ARepeatedResizeTellsTheDeviceAgain) {
  VolumeId id = create("data1");
  ASSERT_TRUE(attach("data1", "n1"));
  v1::ResizeVolumeRequest in;
  in.set_volume("data1");
  in.set_size_bytes(2 * kGiB);
  ASSERT_TRUE(volumes.resize(in));
  state(1).device_blocks[id] = kGiB / kBlockSize;
  ASSERT_TRUE(volumes.resize(in));
  EXPECT_EQ(state(1).device_blocks[id], 2 * kGiB / kBlockSize);
}

TEST_F(VolumeTest, UpdateChangesLabelsAndName) {
  create("data1");
  v1::UpdateVolumeRequest in;
  in.set_volume("data1");
  in.set_name("data2");
  (*in.mutable_labels())["k"] = "v";
  in.set_io_priority(v1::IO_PRIORITY_HIGH);
  auto out = volumes.update(in);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->name(), "data2");
  EXPECT_EQ(out->labels().at("k"), "v");
  EXPECT_EQ(out->io_priority(), v1::IO_PRIORITY_HIGH);
  v1::InspectVolumeRequest old;
  old.set_volume("data1");
  EXPECT_EQ(volumes.inspect(old).error().code, Code::kNotFound);
  create("taken");
  in.set_volume("data2");
  in.set_name("taken");
  EXPECT_EQ(volumes.update(in).error().code, Code::kAlreadyExists);
}

TEST_F(VolumeTest, HaUpAddsAReplicaThatIsNew) {
  VolumeId id = create("data1", 1);
  v1::HaUpdateRequest in;
  in.set_volume("data1");
  in.set_ha(2);
  in.set_node("n3");
  auto out = volumes.ha_update(in);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(replica_nodes(id), (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(out->replicas(1).state(), v1::REPLICA_STATE_NEW);
  EXPECT_EQ(out->status(), v1::VOLUME_STATUS_DEGRADED);
  fakes[NodeId{1}]->finish_resync(id);
  EXPECT_EQ(inspect("data1").status(), v1::VOLUME_STATUS_UP);
}

TEST_F(VolumeTest, HaDownRemovesTheReplicaAndItsData) {
  VolumeId id = create("data1", 3);
  v1::HaUpdateRequest in;
  in.set_volume("data1");
  in.set_ha(2);
  in.set_node("n2");
  ASSERT_TRUE(volumes.ha_update(in));
  EXPECT_EQ(replica_nodes(id).size(), 2U);
  EXPECT_FALSE(state(2).replicas.contains(id));
  in.set_ha(1);
  in.clear_node();
  ASSERT_TRUE(volumes.ha_update(in));
  in.set_ha(0);
  EXPECT_EQ(volumes.ha_update(in).error().code, Code::kInvalidArgument);
}

TEST_F(VolumeTest, ARefusedHaUpdateTakesTheLevelBack) {
  create("data1", 2);
  kill(3);
  v1::HaUpdateRequest in;
  in.set_volume("data1");
  in.set_ha(3);
  EXPECT_FALSE(volumes.ha_update(in));
  EXPECT_EQ(inspect("data1").ha(), 2U);
}

TEST_F(VolumeTest, ABrokenAddLeavesNoPendingReplica) {
  VolumeId id = create("data1", 1);
  state(1).volume_call_fails = Code::kNoSpace;
  v1::HaUpdateRequest in;
  in.set_volume("data1");
  in.set_ha(2);
  in.set_node("n2");
  EXPECT_FALSE(volumes.ha_update(in));
  EXPECT_EQ(load_volume(context, id)->spec.pending_size(), 0);
  EXPECT_FALSE(state(2).replicas.contains(id));
}

TEST_F(VolumeTest, SalvageNeedsThePersonsWordAndNoBetterReplica) {
  VolumeId id = create("data1", 2);
  auto stale = records.load(id);
  stale->value.replicas[1].state = core::ReplicaState::kStale;
  stale->value.replicas[1].left_at = Generation{5};
  ASSERT_TRUE(records.compare_and_store(stale->revision, stale->value));
  v1::SalvageVolumeRequest in;
  in.set_volume("data1");
  EXPECT_EQ(volumes.salvage(in).error().code, Code::kBusy);
  in.set_accept_data_loss(true);
  EXPECT_EQ(volumes.salvage(in).error().code, Code::kBusy) << "an in-sync replica is online";
  kill(static_cast<int>(stale->value.replicas[0].node.value));
  ASSERT_TRUE(volumes.salvage(in)) << volumes.salvage(in).error().message;
  EXPECT_EQ(record(id).replicas.size(), 1U);
  EXPECT_EQ(record(id).replicas[0].state, core::ReplicaState::kInSync);
  EXPECT_EQ(record(id).epoch, stale->value.epoch.next());
}

TEST_F(VolumeTest, DataIsLocalOnlyWhereAReplicaIsInSync) {
  VolumeId id = create("data1", 2);
  const auto where = replica_nodes(id);
  ASSERT_TRUE(attach("data1", fmt::format("n{}", where[0])));
  EXPECT_TRUE(inspect("data1").data_local());
  for (auto state : {core::ReplicaState::kStale, core::ReplicaState::kNew}) {
    auto changed = records.load(id);
    changed->value.replicas[0].state = state;
    ASSERT_TRUE(records.compare_and_store(changed->revision, changed->value));
    EXPECT_FALSE(inspect("data1").data_local()) << "its replica there can't be read from";
  }
  ASSERT_TRUE(detach("data1"));
  EXPECT_TRUE(inspect("data1").data_local()) << "detached: nowhere to be local to";
  const uint64_t other = 1 + 2 + 3 - where[0] - where[1];
  ASSERT_TRUE(attach("data1", fmt::format("n{}", other)));
  EXPECT_FALSE(inspect("data1").data_local());
}

TEST_F(VolumeTest, NodesThatAreAllowedAreALimitForEver) {
  auto in = request("data1", 2);
  in.add_nodes_allowed("n1");
  in.add_nodes_allowed("n2");
  ASSERT_TRUE(volumes.create(in));
  EXPECT_EQ(inspect("data1").nodes_allowed_size(), 2);
  v1::HaUpdateRequest more;
  more.set_volume("data1");
  more.set_ha(3);
  EXPECT_EQ(volumes.ha_update(more).error().code, Code::kNoSpace);
}

TEST_F(VolumeTest, StatusWordsFollowTheReplicas) {
  create("data1", 2);
  ASSERT_TRUE(attach("data1", "n3"));
  auto shown = inspect("data1");
  EXPECT_EQ(shown.state(), v1::VOLUME_STATE_ATTACHED);
  EXPECT_EQ(shown.attachment().address(), "10.0.0.3");
  EXPECT_EQ(shown.attachment().device(), "/dev/cleat/data1");
  const bool local = replica_nodes(VolumeId{*Keys::id_of(shown.id())})[1] == 3;
  EXPECT_EQ(shown.data_local(), local);
  kill(2);
  kill(1);
  EXPECT_NE(inspect("data1").status(), v1::VOLUME_STATUS_UP);
}

}  // namespace
}  // namespace cleat::control
