#include "node/attachments.h"

#include <map>

#include "engine/testing/volume_fixture.h"

namespace cleat::node {
namespace {

using control::AttachedVolume;
using control::Outcome;

// Devices that are nothing but a note of what they are made of.
class FakeServer final : public DeviceServer {
 public:
  io::Task<Outcome<AttachedVolume>> serve(VolumeId volume, std::string,
                                          engine::BlockDevice& device) override {
    if (held) ++resumed;
    held = false;
    served[volume] = &device;
    AttachedVolume attached;
    attached.volume = volume;
    attached.device = "/dev/cleat/v";
    co_return attached;
  }
  io::Task<Outcome<bool>> holds(VolumeId) override { co_return held; }
  io::Task<Outcome<>> withdraw(VolumeId volume, bool force) override {
    held = false;
    if (refuses && !force) co_return control::failure(Code::kBusy, "in use");
    bytes_seen = served.contains(volume) ? served[volume]->size_bytes() : 0;
    ++(force ? forced : gentle);
    served.erase(volume);
    co_return Outcome<>{};
  }
  bool serves(VolumeId volume) const override { return served.contains(volume) && !broken; }
  io::Task<Outcome<>> resized(VolumeId) override { co_return Outcome<>{}; }
  // As the real one: not before what it has begun is answered.
  io::Task<void> leave() override {
    while (under_way != nullptr && !under_way->has_value()) co_await loop->sleep(10ms);
    served.clear();
  }
  std::optional<Result<void>>* under_way = nullptr;
  sim::SimulatedLoop* loop = nullptr;

  bool held = false;  // a device of an earlier process waits
  int resumed = 0;
  bool broken = false;
  bool refuses = false;  // a withdrawal without force
  int forced = 0;
  int gentle = 0;
  uint64_t bytes_seen = 0;  // of the device, when it was withdrawn
  std::map<VolumeId, engine::BlockDevice*> served;
};

// To the primary, which is this node.
struct LocalLink final : engine::ShareLink {
  explicit LocalLink(engine::ShareService& service) : shares(service) {}
  io::Task<Result<wire::Header>> call(NodeId, const wire::Header& request, ConstBuffer payload,
                                      MutableBuffer into, Duration) override {
    auto answer = co_await shares.call(NodeId(1), request, payload, into);
    if (answer) co_return answer;
    wire::Header refusal = request;
    refusal.error = answer.error().code;
    co_return refusal;
  }
  void give_up(NodeId, VolumeId) override {}
  engine::ShareService& shares;
};

struct NoReplicas final : wire::RequestHandler {
  io::Task<wire::Reply> handle(wire::Message) override {
    co_return wire::Reply::failed({Code::kUnsupported, 0, "no replica in this test"});
  }
};

constexpr VolumeId kVolume{7};

class AttachmentsTest : public engine::VolumeTest {
 protected:
  AttachmentsTest() {
    for (engine::FakeReplica& replica : replicas) replica.fence.size_blocks = 4096;
    fuse.loop = nbd.loop = &loop;
  }
  ~AttachmentsTest() override { loop.wait(attachments.close()); }

  void attach_device(control::AttachOptions options = {}) {
    auto attached = loop.wait(attachments.attach(kVolume, std::move(options)));
    ASSERT_TRUE(attached) << attached.error().message;
    ASSERT_NE(attachments.device(kVolume), nullptr);
  }
  // Another node's attach has raised the epoch of every replica.
  void fence() {
    for (engine::FakeReplica& replica : replicas) {
      replica.fails = [](const wire::Header&) { return Error{Code::kStaleEpoch, 0, "later"}; };
    }
    loop.run_until(loop.now() + 5s);
    ASSERT_TRUE(attachments.find(kVolume)->ended());
    for (engine::FakeReplica& replica : replicas) replica.fails = nullptr;
  }

  NoReplicas no_replicas;
  engine::ShareService shares{buffers, no_replicas};
  LocalLink link{shares};
  FakeServer fuse;
  FakeServer nbd;
  Attachments attachments{make_context(), link, shares, fuse, nbd};
};

TEST_F(AttachmentsTest, ADeviceThatEndedByItselfIsTakenDown) {
  attach_device();
  loop.wait(attachments.drop_lost_devices());
  EXPECT_EQ(fuse.forced, 0);
  fuse.broken = true;
  loop.wait(attachments.drop_lost_devices());
  EXPECT_EQ(fuse.forced, 1);
  EXPECT_EQ(attachments.device(kVolume), nullptr);
  fuse.broken = false;
  attach_device();
  EXPECT_TRUE(fuse.served.contains(kVolume));
}

// The sharer was closed with its device: the next device needs a new one.
TEST_F(AttachmentsTest, ASharedDeviceThatEndedByItselfIsMadeAnew) {
  control::AttachOptions options;
  options.shared = true;
  attach_device(options);
  fuse.broken = true;
  loop.wait(attachments.drop_lost_devices());
  fuse.broken = false;
  attach_device(options);
  auto written = loop.wait(
      fuse.served.at(kVolume)->write(BlockRange{5, 1}, block.span(), engine::WriteFlags::kNone));
  EXPECT_TRUE(written) << to_string(written.error());
}

// A snapshot that is asked for while cleatd starts: opened for it and shut again, the volume would
// have no primary, and its device would be taken for one of long ago.
TEST_F(AttachmentsTest, WhileADeviceWaitsTheVolumeIsNotOpenedAndShut) {
  registry.edit().primary = NodeId(1);
  fuse.held = true;
  auto nothing = [](engine::Volume&) -> io::Task<Result<void>> { co_return Result<void>{}; };
  auto changed = loop.wait(attachments.with_volume(kVolume, nothing));
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, Code::kBusy);
  EXPECT_EQ(loop.wait(attachments.heal(kVolume)).error().code, Code::kBusy);
  control::AttachOptions by_nbd;
  by_nbd.frontend = control::Frontend::kNbd;
  EXPECT_EQ(loop.wait(attachments.attach(kVolume, by_nbd)).error().code, Code::kBusy);
  ASSERT_TRUE(loop.wait(attachments.resume(kVolume, {})));
  EXPECT_EQ(fuse.resumed, 1);
  EXPECT_TRUE(loop.wait(attachments.with_volume(kVolume, nothing)));
}

// A restore that was asked for while it was detached, and has its turn when it is attached.
TEST_F(AttachmentsTest, WhatNeedsADetachedVolumeIsRefusedOnceItHasADevice) {
  replicas[0].takes = [](const wire::Header&) -> Duration { return 1s; };
  std::optional<Outcome<AttachedVolume>> attached;
  std::optional<Outcome<>> changed;
  control::AttachOptions options;
  Attachments::Change nothing = [](engine::Volume&) -> io::Task<Result<void>> {
    co_return Result<void>{};
  };
  auto attach = [&]() -> io::Task<void> {
    auto task = attachments.attach(kVolume, options);
    attached = co_await std::move(task);
  };
  auto change = [&]() -> io::Task<void> {
    auto task = attachments.with_detached_volume(kVolume, nothing);
    changed = co_await std::move(task);
  };
  loop.spawn(attach());
  loop.spawn(change());
  loop.run_until(loop.now() + 60s);
  ASSERT_TRUE(attached && changed);
  ASSERT_TRUE(*attached);
  ASSERT_FALSE(*changed);
  EXPECT_EQ(changed->error().code, Code::kBusy);
}

// An upgrade must not wait for a replica that is away, nor fail what waits for it.
TEST_F(AttachmentsTest, AnOrderlyStopLeavesWhatStallsToTheNextProcess) {
  attach_device();
  replicas[1].silent = true;
  std::optional<Result<void>> outcome;
  fuse.under_way = &outcome;
  auto write = [](engine::BlockDevice& device, ConstBuffer data,
                  std::optional<Result<void>>& into) -> io::Task<void> {
    into = co_await device.write(BlockRange{5, 1}, data, engine::WriteFlags::kNone);
  };
  loop.spawn(write(*fuse.served.at(kVolume), block.span(), outcome));
  loop.run_until(loop.now() + 100ms);
  fuse.refuses = true;
  const TimePoint begin = loop.now();
  loop.wait(attachments.close());
  EXPECT_LT(loop.now() - begin, 2s);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->error().code, Code::kClosed) << "an error that is left to the successor";
  fuse.under_way = nullptr;
}

TEST_F(AttachmentsTest, ADeviceOfAnEarlierProcessGoesOn) {
  registry.edit().primary = NodeId(1);
  fuse.held = true;
  auto resumed = loop.wait(attachments.resume(kVolume, {}));
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_EQ(fuse.resumed, 1);
}

TEST_F(AttachmentsTest, AnAttachGoesOnWithTheDeviceOfAnEarlierProcess) {
  registry.edit().primary = NodeId(1);
  fuse.held = true;
  attach_device();
  EXPECT_EQ(fuse.resumed, 1);
  EXPECT_EQ(fuse.forced, 0);
  ASSERT_TRUE(loop.wait(attachments.resume(kVolume, {})));
}

// Another node took the volume over, wrote, and detached it: what waits in the device is older.
TEST_F(AttachmentsTest, ADeviceWhoseVolumeWasTakenMeanwhileNeverGoesOn) {
  registry.edit().epoch = Epoch(3);
  registry.edit().clean = true;
  fuse.held = true;
  auto resumed = loop.wait(attachments.resume(kVolume, {}));
  ASSERT_FALSE(resumed);
  EXPECT_EQ(resumed.error().code, Code::kStaleEpoch);
  EXPECT_TRUE(fuse.served.empty());
  EXPECT_EQ(registry.record().epoch, Epoch(3));
}

TEST_F(AttachmentsTest, AnAttachReplacesADeviceWhoseVolumeWasTakenMeanwhile) {
  registry.edit().epoch = Epoch(3);
  registry.edit().clean = true;
  fuse.held = true;
  attach_device();
  EXPECT_EQ(fuse.forced, 1);
  EXPECT_EQ(fuse.resumed, 0);
}

TEST_F(AttachmentsTest, AHealEndsTheDeviceOfAFencedVolumeBeforeTheVolume) {
  attach_device();
  fence();
  auto healing = loop.wait(attachments.heal(kVolume));
  ASSERT_TRUE(healing) << healing.error().message;
  EXPECT_EQ(fuse.forced, 1);
  EXPECT_EQ(fuse.bytes_seen, 4096 * kBlockSize) << "the volume went before its device";
  EXPECT_EQ(attachments.device(kVolume), nullptr);
  EXPECT_FALSE(attachments.find(kVolume)->ended());
}

TEST_F(AttachmentsTest, AHealLeavesAnAttachedVolumeAlone) {
  attach_device();
  const engine::Volume* before = attachments.find(kVolume);
  ASSERT_TRUE(loop.wait(attachments.heal(kVolume)));
  EXPECT_EQ(attachments.find(kVolume), before);
  EXPECT_EQ(fuse.forced, 0);
  EXPECT_TRUE(fuse.served.contains(kVolume));
}

}  // namespace
}  // namespace cleat::node
