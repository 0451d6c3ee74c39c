// Three nodes on one memory store, with a clock that tests move: the managers of the first node.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "common/random.h"
#include "control/alert_book.h"
#include "control/group_snapshots.h"
#include "control/host_manager.h"
#include "control/mem_meta_store.h"
#include "control/node_manager.h"
#include "control/reconciler.h"
#include "control/testing/fake_node.h"
#include "control/typed_store.h"

namespace cleat::control {

class FakeCluster : public ::testing::Test, public NodeDirectory {
 protected:
  FakeCluster() {
    for (int i = 1; i <= 3; ++i) add_node(i);
  }

  Outcome<std::shared_ptr<NodeHandle>> node(NodeId id) override {
    auto found = fakes.find(id);
    if (found == fakes.end()) return failure(Code::kNotFound, "there is no node {}", id.value);
    return found->second;
  }

  void add_node(int i) {
    const NodeId id{static_cast<uint64_t>(i)};
    auto fake = std::make_shared<FakeNode>(id, records);
    fake->state().serves = [this](NodeId primary, VolumeId volume) {
      auto found = fakes.find(primary);
      if (found == fakes.end()) return false;
      FakeState& there = found->second->state();
      return !there.down && there.attached.contains(volume) && !there.through.contains(volume);
    };
    const PoolId pool{static_cast<uint64_t>(100 + i)};
    fake->state().pools[pool] = {pool, "/pool", "ssd", 100 * kGiB, 0, 100 * kGiB, false, {}};
    fakes[id] = fake;
    meta::Node entry;
    entry.set_id(id.value);
    entry.set_name(fmt::format("n{}", i));
    entry.set_address(fmt::format("10.0.0.{}", i));
    meta::Pool stored = to_meta(fake->state().pools[pool], id);
    EXPECT_TRUE(store.commit(Txn{}
                                 .put(keys.node(id), entry.SerializeAsString())
                                 .put(keys.pool(pool), stored.SerializeAsString())));
    revive(i);
  }
  // The node answers, and its lease lives.
  void revive(int i) {
    const NodeId id{static_cast<uint64_t>(i)};
    fakes[id]->state().down = false;
    meta::NodeAlive alive;
    alive.set_id(id.value);
    EXPECT_TRUE(store.commit(Txn{}.put(keys.alive(id), alive.SerializeAsString())));
  }
  void kill(int i) {
    const NodeId id{static_cast<uint64_t>(i)};
    fakes[id]->state().down = true;
    EXPECT_TRUE(store.commit(Txn{}.erase(keys.alive(id))));
  }
  FakeState& state(int i) { return fakes[NodeId{static_cast<uint64_t>(i)}]->state(); }

  v1::CreateVolumeRequest request(const std::string& name, uint32_t ha = 2) {
    v1::CreateVolumeRequest out;
    out.set_name(name);
    out.set_size_bytes(kGiB);
    out.set_ha(ha);
    return out;
  }
  VolumeId create(const std::string& name, uint32_t ha = 2) {
    auto made = volumes.create(request(name, ha));
    EXPECT_TRUE(made) << made.error().message;
    return made ? VolumeId{*Keys::id_of(made->id())} : VolumeId{};
  }
  v1::Volume inspect(const std::string& name) {
    v1::InspectVolumeRequest in;
    in.set_volume(name);
    auto out = volumes.inspect(in);
    EXPECT_TRUE(out) << out.error().message;
    return out ? *out : v1::Volume{};
  }
  Outcome<> remove(const std::string& name, bool with_snapshots = false) {
    v1::DeleteVolumeRequest in;
    in.set_volume(name);
    in.set_with_snapshots(with_snapshots);
    return volumes.remove(in);
  }
  Outcome<v1::AttachResponse> attach(const std::string& name, const std::string& where,
                                     bool force = false) {
    v1::AttachRequest in;
    in.set_volume(name);
    in.set_node(where);
    in.set_force(force);
    return hosts.attach(in);
  }
  Outcome<> detach(const std::string& name, const std::string& where = {}, bool force = false) {
    v1::DetachRequest in;
    in.set_volume(name);
    in.set_node(where);
    in.set_force(force);
    return hosts.detach(in);
  }
  Outcome<v1::Volume> snapshot(const std::string& volume, const std::string& name) {
    v1::CreateSnapshotRequest in;
    in.set_volume(volume);
    in.set_name(name);
    return snapshots.create(in);
  }
  Outcome<v1::Volume> clone(const std::string& source, const std::string& name) {
    v1::CloneVolumeRequest in;
    in.set_source(source);
    in.set_name(name);
    return snapshots.clone(in);
  }
  core::VolumeRecord record(VolumeId id) { return records.load(id)->value; }
  std::vector<uint64_t> replica_nodes(VolumeId id) {
    std::vector<uint64_t> out;
    for (const auto& replica : record(id).replicas) out.push_back(replica.node.value);
    return out;
  }
  bool has_replica_on(VolumeId id, uint64_t node) {
    const auto all = replica_nodes(id);
    return std::find(all.begin(), all.end(), node) != all.end();
  }
  size_t keys_left() { return store.dump().size(); }
  void pass_time(uint64_t seconds) { now_ms += seconds * 1000; }

  MemMetaStore store;
  Keys keys{"t"};
  RecordStore records{store, keys};
  std::map<NodeId, std::shared_ptr<FakeNode>> fakes;
  uint64_t now_ms = 1'700'000'000'000;
  Random randomness{7};
  ControlContext context{store,
                         keys,
                         *this,
                         NodeId{1},
                         "t",
                         "0.1.0",
                         [this] { return now_ms; },
                         [this] { return randomness(); },
                         {}};
  VolumeManager volumes{context};
  SnapshotManager snapshots{context, volumes};
  GroupSnapshots groups{context, volumes, snapshots};
  HostManager hosts{context};
  NodeManager nodes{context};
  PoolManager pools{context};
  AlertBook alerts{context};
  Reconciler reconciler{context, volumes, snapshots, alerts};
};

}  // namespace cleat::control
