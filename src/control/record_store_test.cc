#include "control/record_store.h"

#include <gtest/gtest.h>

#include "control/mem_meta_store.h"
#include "control/record_codec.h"
#include "control/testing/test_etcd.h"

namespace cleat::control {
namespace {

core::VolumeRecord sample() {
  core::VolumeRecord record;
  record.id = VolumeId{123456789012345678ULL};
  record.size_blocks = 1 << 20;
  record.epoch = Epoch{7};
  record.primary = NodeId{42};
  record.clean = false;
  record.opened = Epoch{6};
  record.generation = Generation{99};
  record.replicas = {
      {0, NodeId{42}, PoolId{1}, core::ReplicaState::kInSync, Generation{}},
      {2, NodeId{43}, PoolId{2}, core::ReplicaState::kStale, Generation{55}, Generation{33}},
      {3, NodeId{44}, PoolId{3}, core::ReplicaState::kNew, Generation{}}};
  record.snapshots = {{SnapshotId{5}, "s1", 1000, 1 << 19},
                      {SnapshotId{6}, "s2", 2000, 1 << 20, Generation{44}}};
  record.sharers = {NodeId{42}, NodeId{43}};
  record.restoring = SnapshotId{5};
  record.parent_volume = VolumeId{8};
  record.parent_snapshot = SnapshotId{9};
  // Stops compiling when a field is added: give it a value above, and a place in the codec.
  [[maybe_unused]] const auto& [id, size_blocks, epoch, primary, clean, opened, generation,
                                replicas, snapshots, sharers, restoring, parent_volume,
                                parent_snapshot] = record;
  return record;
}

TEST(RecordCodec, KeepsEveryField) {
  EXPECT_EQ(decode_record(encode_record(sample())).value(), sample());
}

TEST(RecordCodec, RefusesDamagedBytes) {
  const std::string good = encode_record(sample());
  for (size_t cut = 0; cut < good.size(); ++cut)
    decode_record(good.substr(0, cut));  // never a crash
  EXPECT_EQ(decode_record("\xff\xff\xff").error().code, Code::kCorrupt);
  EXPECT_EQ(decode_record("").error().code, Code::kCorrupt);
  auto twice = sample();
  twice.replicas[1].index = 0;
  EXPECT_EQ(decode_record(encode_record(twice)).error().code, Code::kCorrupt);
  meta::VolumeRecord many = to_proto(sample());
  for (uint64_t i = 0; i < core::kSharersMax; ++i) many.add_sharers(100 + i);
  EXPECT_EQ(from_proto(many).error().code, Code::kCorrupt);
  meta::VolumeRecord strange = to_proto(sample());
  strange.mutable_replicas(0)->set_state(meta::REPLICA_STATE_UNKNOWN);
  EXPECT_EQ(from_proto(strange).error().code, Code::kCorrupt);
}

TEST(RecordCodec, CatalogHalvesAreReplacedApart) {
  meta::VolumeSpec spec;
  spec.set_name("data1");
  std::string catalog = catalog_record(spec.SerializeAsString(), sample());
  auto raised = sample();
  raised.epoch = Epoch{8};
  catalog = replace_record(catalog, raised);
  EXPECT_EQ(decode_catalog(catalog)->record, raised);
  EXPECT_EQ(decode_catalog(catalog)->spec.name(), "data1");
  spec.set_name("data2");
  catalog = replace_spec(catalog, spec.SerializeAsString());
  EXPECT_EQ(decode_catalog(catalog)->record, raised);
  EXPECT_EQ(decode_catalog(catalog)->spec.name(), "data2");
  EXPECT_EQ(decode_catalog(replace_record("\xff\xff", raised))->record, raised);
}

class RecordStoreTest : public ::testing::Test {
 protected:
  MemMetaStore meta;
  Keys keys{"test"};
  RecordStore records{meta, keys};
  Revision put(const core::VolumeRecord& record) {
    return meta.commit(Txn{}.put(keys.record(record.id), encode_record(record))).value();
  }
};

TEST_F(RecordStoreTest, StoresOnlyOverTheExpectedRevision) {
  Revision first = put(sample());
  auto next = sample();
  next.epoch = Epoch{8};
  auto second = records.compare_and_store(first, next);
  ASSERT_TRUE(second);
  EXPECT_EQ(records.load(next.id)->revision, *second);
  next.epoch = Epoch{9};
  EXPECT_EQ(records.compare_and_store(first, next).error().code, Code::kConflict);
  EXPECT_EQ(records.load(next.id)->value.epoch, Epoch{8});
}

TEST_F(RecordStoreTest, ARepeatAfterALostAnswerSucceeds) {
  Revision first = put(sample());
  auto next = sample();
  next.epoch = Epoch{8};
  meta.lose_next_answer();
  EXPECT_EQ(records.compare_and_store(first, next).error().code, Code::kUnreachable);
  auto again = records.compare_and_store(first, next);
  ASSERT_TRUE(again);
  EXPECT_EQ(records.load(next.id)->revision, *again);
}

TEST_F(RecordStoreTest, SaysWhenTheVolumeIsGone) {
  EXPECT_EQ(records.load(VolumeId{1}).error().code, Code::kNotFound);
  EXPECT_EQ(records.compare_and_store(Revision{5}, sample()).error().code, Code::kNotFound);
}

TEST(RecordStoreEtcd, OneOfManyWritersWinsEachRound) {
  TestEtcd etcd;
  Keys keys{"test"};
  auto setup = etcd.store();
  auto record = sample();
  record.epoch = Epoch{0};
  ASSERT_TRUE(setup->commit(Txn{}.put(keys.record(record.id), encode_record(record))));
  constexpr int kWriters = 4;
  constexpr int kRaises = 10;
  std::vector<std::thread> threads;
  for (uint64_t writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      auto store = etcd.store();
      RecordStore records(*store, keys);
      for (int done = 0; done < kRaises;) {
        auto now = records.load(record.id);
        ASSERT_TRUE(now);
        now->value.epoch = now->value.epoch.next();
        now->value.primary = NodeId{writer + 1};
        auto stored = records.compare_and_store(now->revision, now->value);
        if (stored) ++done;
        if (!stored) {
          ASSERT_EQ(stored.error().code, Code::kConflict);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(RecordStore(*setup, keys).load(record.id)->value.epoch, Epoch{kWriters * kRaises});
}

}  // namespace
}  // namespace cleat::control
