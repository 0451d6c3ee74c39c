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
    bytes_seen = served.contains(volume) ? served[volume]->size_bytes() : 0;
    ++(force ? forced : gentle);
    served.erase(volume);
    co_return Outcome<>{};
  }
  bool serves(VolumeId volume) const override { return served.contains(volume) && !broken; }
  io::Task<Outcome<>> resized(VolumeId) override { co_return Outcome<>{}; }
  io::Task<void> leave() override {
    served.clear();
    co_return;
  }

  bool held = false;  // a device of an earlier process waits
  int resumed = 0;
  bool broken = false;
  int forced = 0;
  int gentle = 0;
  uint64_t bytes_seen = 0;  // of the device, when it was withdrawn
  std::map<VolumeId, engine::BlockDevice*> served;
};

struct NoLink final : engine::ShareLink {
  io::Task<Result<wire::Header>> call(NodeId, const wire::Header&, ConstBuffer, MutableBuffer,
                                      Duration) override {
    co_return fail(Code::kUnreachable, "no shared volume in this test");
  }
  void give_up(NodeId) override {}
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
  }
  ~AttachmentsTest() override { loop.wait(attachments.close()); }

  void attach_device() {
    auto attached = loop.wait(attachments.attach(kVolume, {}));
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
  NoLink link;
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
