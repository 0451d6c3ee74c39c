// An attached volume whose replicas are nothing but their answers.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>

#include "engine/testing/fake_member.h"
#include "engine/volume.h"

namespace cleat::engine {

inline core::SnapshotRecord snapshot_of(uint64_t id) {
  core::SnapshotRecord snapshot;
  snapshot.id = SnapshotId(id);
  snapshot.name = "s";
  return snapshot;
}

// A volume on node 1 with replicas 0 (here) and 1 in sync, each as the test says; 2 can be added.
class VolumeTest : public testing::Test {
 protected:
  static core::VolumeRecord record() {
    core::VolumeRecord record;
    record.id = VolumeId(7);
    record.size_blocks = 4096;
    for (core::MemberIndex index : {core::MemberIndex{0}, core::MemberIndex{1}}) {
      record.replicas.push_back({index, NodeId(index + 1U), PoolId(index + 1U),
                                 core::ReplicaState::kInSync, Generation{}});
    }
    return record;
  }

  VolumeContext make_context() {
    auto factory = [this](const core::ReplicaRecord& replica) -> std::unique_ptr<Member> {
      return std::make_unique<FakeMember>(loop, replicas[replica.index]);
    };
    VolumeContext context{loop, buffers, registry, NodeId(1), factory};
    context.wait_max = std::chrono::seconds(5);
    return context;
  }
  void attach(AttachRequest request = {}) {
    VolumeContext context = make_context();
    for (FakeReplica& replica : replicas) replica.fence.size_blocks = 4096;
    auto attached = loop.wait(Volume::attach(std::move(context), VolumeId(7), request));
    ASSERT_TRUE(attached) << to_string(attached.error());
    volume = *std::move(attached);
  }
  AlignedBuffer block{kBlockSize};
  io::Task<void> write_one(uint64_t at, std::optional<Result<void>>& outcome) {
    outcome = co_await volume->write(BlockRange{at, 1}, block.span(), WriteFlags::kNone);
  }
  // Replica 1 has left; it answers again.
  void lose_and_return() {
    replicas[1].fails = [](const wire::Header&) { return Error{Code::kUnreachable, 0, "gone"}; };
    loop.run_until(loop.now() + std::chrono::seconds(3));
    ASSERT_EQ(volume->status().in_sync, (core::MemberSet{0}));
    replicas[1].fails = nullptr;
  }
  void TearDown() override {
    if (volume) loop.wait(volume->stop());
  }

  sim::SimulatedLoop loop{1};
  io::BufferPool buffers;
  FakeRegistry registry{record()};
  std::array<FakeReplica, 3> replicas;
  std::unique_ptr<Volume> volume;
};

}  // namespace cleat::engine
