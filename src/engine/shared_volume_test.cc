// ADR 9 with the real sharers and primary, over a link that loses what a test says.
#include "engine/shared_volume.h"

#include "engine/share_link.h"
#include "engine/shared_device.h"
#include "engine/testing/volume_fixture.h"

namespace cleat::engine {
namespace {

using namespace std::chrono_literals;

// Nothing but shared volumes is served.
class NoReplicas final : public wire::RequestHandler {
 public:
  io::Task<wire::Reply> handle(wire::Message) override {
    co_return wire::Reply::failed(Error{Code::kUnsupported});
  }
};

// A node's way to the primary.
class TestLink final : public ShareLink {
 public:
  TestLink(sim::SimulatedLoop& loop, ShareService& service, NodeId self)
      : loop_(loop), service_(service), self_(self) {}

  bool is_cut = false;
  std::optional<wire::Type> loses_answer_of;  // the next one, and cuts the link
  std::vector<wire::Type> calls;

  io::Task<Result<wire::Header>> call(NodeId, const wire::Header& request, ConstBuffer payload,
                                      MutableBuffer into, Duration) override {
    co_await loop_.sleep(100us);
    if (is_cut) co_return fail(Code::kUnreachable, "cut");
    calls.push_back(request.type);
    auto answer = co_await service_.call(self_, request, payload, into);
    if (loses_answer_of == request.type) {
      loses_answer_of.reset();
      is_cut = true;
    }
    if (is_cut) co_return fail(Code::kUnreachable, "cut");
    co_await loop_.sleep(100us);
    if (answer) co_return answer;
    wire::Header refusal = request;
    refusal.error = answer.error().code;
    co_return refusal;
  }
  void give_up(NodeId, VolumeId) override {}

 private:
  sim::SimulatedLoop& loop_;
  ShareService& service_;
  NodeId self_;
};

class SharedVolumeTest : public VolumeTest {
 protected:
  static constexpr NodeId kA{1};
  static constexpr NodeId kB{2};

  struct Node {
    Node(SharedVolumeTest& test, NodeId id) : link(test.loop, test.service, id), self(id) {}
    TestLink link;
    NodeId self;
    std::unique_ptr<SharedDevice> device;
  };

  void SetUp() override { open(); }
  void TearDown() override {
    for (Node* node : {&a, &b}) {
      if (node->device) node->device->close();
    }
    close_primary();
    for (Node* node : {&a, &b}) {
      if (node->device) loop.wait(node->device->stop());
    }
    loop.wait(close(operations));
    VolumeTest::TearDown();
  }

  void open() {
    attach(AttachRequest{true, false});
    shared = std::make_unique<SharedVolume>(loop, *volume);
    service.add(VolumeId(7), *shared);
    group.spawn(shared->run());
  }
  // As a process that ends.
  void close_primary() {
    if (!shared) return;
    service.remove(VolumeId(7));
    shared->end();
    loop.wait(volume->stop());
    loop.wait(shared->drained());
    loop.wait(close(group));
    shared.reset();
    volume.reset();
  }
  static io::Task<void> close(io::TaskGroup& tasks) { co_await tasks.close(); }

  void make(Node& node, SharedDevice::Begin begin, uint64_t first_number = 1) {
    ShareContext context{loop, registry, node.link, node.self, 30s, first_number};
    if (node.device) loop.wait(node.device->stop());
    node.device = std::make_unique<SharedDevice>(context, VolumeId(7), 4096, begin);
    node.device->start();
  }
  void share(Node& node) {
    make(node, SharedDevice::Begin::kNew);
    auto joined = loop.wait(node.device->joined(5s));
    ASSERT_TRUE(joined) << to_string(joined.error());
  }
  // A killed process: nothing of it says anything any more.
  void kill(Node& node) {
    node.link.is_cut = true;
    loop.wait(node.device->stop());
    node.device.reset();
    node.link.is_cut = false;
  }

  using Outcome = std::optional<Result<void>>;
  io::Task<void> run_write(Node& node, uint64_t at, Outcome& outcome) {
    outcome = co_await node.device->write(BlockRange{at, 1}, block.span(), WriteFlags::kNone);
    if (node.device) node.device->delivered(BlockRange{at, 1});
  }
  io::Task<void> run_read(Node& node, uint64_t at, MutableBuffer into, Outcome& outcome) {
    outcome = co_await node.device->read(BlockRange{at, 1}, into);
  }
  Result<void> write(Node& node) {
    Outcome outcome;
    loop.wait(run_write(node, 5, outcome));
    return *outcome;
  }
  void pass(Duration time) { loop.run_until(loop.now() + time); }
  size_t writes() const { return replicas[1].count(wire::Type::kWrite); }

  NoReplicas others;
  ShareService service{buffers, others};
  std::unique_ptr<SharedVolume> shared;
  io::TaskGroup group;
  io::TaskGroup operations;
  AlignedBuffer other_block{kBlockSize};
  Node a{*this, kA};
  Node b{*this, kB};
};

TEST_F(SharedVolumeTest, BothNodesUseIt) {
  share(a);
  share(b);
  EXPECT_EQ(registry.record().sharers, (std::vector<NodeId>{kA, kB}));
  Outcome written, read;
  operations.spawn(run_write(a, 5, written));
  pass(1s);
  operations.spawn(run_read(b, 5, other_block.span(), read));
  pass(1s);
  ASSERT_TRUE(written && read);
  EXPECT_TRUE(*written && *read);
  EXPECT_TRUE(loop.wait(a.device->flush()));
  EXPECT_TRUE(loop.wait(b.device->zero(BlockRange{9, 2}, WriteFlags::kFua)));
}

TEST_F(SharedVolumeTest, AWriteWithoutAnAnswerIsRepeatedBeforeAnybodySeesIt) {
  share(a);
  share(b);
  Outcome written, read, overwritten;
  a.link.loses_answer_of = wire::Type::kShareWrite;
  operations.spawn(run_write(a, 5, written));
  pass(10ms);
  EXPECT_EQ(writes(), 1u);  // carried out
  operations.spawn(run_read(b, 5, other_block.span(), read));
  operations.spawn(run_write(b, 5, overwritten));
  pass(2s);
  EXPECT_FALSE(written || read || overwritten);
  a.link.is_cut = false;
  pass(2s);
  ASSERT_TRUE(written && read && overwritten);
  EXPECT_TRUE(*written && *read && *overwritten);
  EXPECT_EQ(writes(), 3u);  // once more, and b's after it
}

// The process may be killed before the kernel has the answer, which then asks the next one.
TEST_F(SharedVolumeTest, AnAnswerCountsOnlyOnceItIsDelivered) {
  share(a);
  share(b);
  ASSERT_TRUE(loop.wait(a.device->write(BlockRange{5, 1}, block.span(), WriteFlags::kNone)));
  Outcome read;
  operations.spawn(run_read(b, 5, other_block.span(), read));
  pass(3s);
  EXPECT_FALSE(read);
  kill(a);
  make(a, SharedDevice::Begin::kResumed, 1000);
  Outcome resent;
  operations.spawn(run_write(a, 5, resent));
  a.device->resent();
  pass(2s);
  ASSERT_TRUE(resent && read);
  EXPECT_TRUE(*resent && *read);
  EXPECT_EQ(writes(), 2u);
}

TEST_F(SharedVolumeTest, ASilentSharerIsExpelledWhenOthersWaitForIt) {
  share(a);
  share(b);
  Outcome written, read;
  a.link.loses_answer_of = wire::Type::kShareWrite;
  operations.spawn(run_write(a, 5, written));
  pass(10ms);
  operations.spawn(run_read(b, 5, other_block.span(), read));
  pass(9s);
  EXPECT_FALSE(read);
  pass(3s);
  ASSERT_TRUE(read);
  EXPECT_TRUE(*read);
  EXPECT_EQ(registry.record().sharers, std::vector<NodeId>{kB});
  a.link.is_cut = false;
  pass(1s);
  ASSERT_TRUE(written);
  ASSERT_FALSE(*written);
  EXPECT_EQ(written->error().code, Code::kPermission);
  EXPECT_TRUE(a.device->ended());
  EXPECT_EQ(writes(), 1u);
}

TEST_F(SharedVolumeTest, ASilentSharerStaysWhileNobodyWaitsForIt) {
  share(a);
  share(b);
  a.link.is_cut = true;
  EXPECT_TRUE(write(b));
  pass(60s);
  EXPECT_EQ(registry.record().sharers.size(), 2u);
  a.link.is_cut = false;
  EXPECT_TRUE(write(a));
}

TEST_F(SharedVolumeTest, ALostConnectionIsMadeAnewWhileTheMetadataIsAway) {
  share(a);
  share(b);
  registry.away = true;
  Outcome written, read;
  b.link.loses_answer_of = wire::Type::kShareWrite;
  operations.spawn(run_write(b, 5, written));
  pass(10ms);
  operations.spawn(run_read(a, 5, other_block.span(), read));
  pass(1s);
  EXPECT_FALSE(written || read);
  b.link.is_cut = false;
  pass(2s);
  EXPECT_TRUE(written && *written && read && *read);
  pass(15s);
  EXPECT_TRUE(write(b));
  EXPECT_STREQ(b.device->problem(), "");
  registry.away = false;
  pass(2s);
  EXPECT_FALSE(b.device->ended());
  EXPECT_EQ(registry.record().sharers, (std::vector<NodeId>{kA, kB}));
}

TEST_F(SharedVolumeTest, ANewPrimaryRepeatsWhatHadNoAnswerFirst) {
  share(a);
  share(b);
  Outcome written, read;
  b.link.loses_answer_of = wire::Type::kShareWrite;
  operations.spawn(run_write(b, 5, written));
  pass(10ms);
  close_primary();
  size_t before = writes();
  open();
  operations.spawn(run_read(a, 5, other_block.span(), read));
  pass(5s);
  EXPECT_FALSE(read) << "a may have been shown what b is about to write again";
  b.link.is_cut = false;
  pass(2s);
  ASSERT_TRUE(written && read);
  EXPECT_TRUE(*written && *read);
  EXPECT_EQ(writes(), before + 1);
}

TEST_F(SharedVolumeTest, ANewPrimaryDoesNotWaitForTheDeadForLong) {
  share(a);
  share(b);
  b.link.is_cut = true;
  close_primary();
  open();
  Outcome written;
  operations.spawn(run_write(a, 5, written));
  pass(9s);
  EXPECT_FALSE(written);
  pass(3s);
  ASSERT_TRUE(written);
  EXPECT_TRUE(*written);
  EXPECT_EQ(registry.record().sharers, std::vector<NodeId>{kA});
}

TEST_F(SharedVolumeTest, ANewProcessOfASharerGoesOnWithWhatItIsSentAgain) {
  share(a);
  share(b);
  Outcome written, read, resent;
  a.link.loses_answer_of = wire::Type::kShareWrite;
  operations.spawn(run_write(a, 5, written));
  pass(10ms);
  kill(a);
  operations.spawn(run_read(b, 5, other_block.span(), read));
  make(a, SharedDevice::Begin::kResumed, 1000);
  operations.spawn(run_write(a, 5, resent));
  pass(3s);
  EXPECT_FALSE(resent || read);
  EXPECT_EQ(writes(), 1u);
  a.device->resent();
  pass(2s);
  ASSERT_TRUE(resent && read);
  EXPECT_TRUE(*resent && *read);
  EXPECT_EQ(writes(), 2u);
}

TEST_F(SharedVolumeTest, WhoLeavesHoldsNothingAndIsNoSharer) {
  share(a);
  share(b);
  EXPECT_TRUE(write(a));
  EXPECT_TRUE(loop.wait(a.device->leave()));
  a.device.reset();
  EXPECT_EQ(registry.record().sharers, std::vector<NodeId>{kB});
  EXPECT_TRUE(loop.wait(b.device->read(BlockRange{5, 1}, other_block.span())));
}

TEST_F(SharedVolumeTest, AnExpelledSharerIsRefusedAtOnce) {
  share(a);
  share(b);
  EXPECT_TRUE(loop.wait(shared->expel(kB)));
  auto written = write(b);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kPermission);
  EXPECT_EQ(writes(), 0u);
  share(b);  // attached anew
  EXPECT_TRUE(write(b));
}

TEST_F(SharedVolumeTest, OneMoreThanTheLimitIsRefused) {
  close_primary();
  for (uint64_t id = 10; id < 10 + core::kSharersMax; ++id) {
    registry.edit().sharers.push_back(NodeId(id));
  }
  open();
  make(b, SharedDevice::Begin::kNew);
  auto joined = loop.wait(b.device->joined(5s));
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().code, Code::kLimit);
}

// A frame of a session that is over was on its way for long.
TEST_F(SharedVolumeTest, AnOldSessionsRequestsAreRefused) {
  share(a);
  share(b);
  wire::Header late;
  late.type = wire::Type::kShareWrite;
  late.volume = VolumeId(7);
  late.epoch = volume->record().epoch;
  late.fence = 2;  // b's
  late.range = BlockRange{5, 1};
  b.link.is_cut = true;
  pass(1s);
  b.link.is_cut = false;
  pass(1s);
  auto answer = loop.wait(service.call(kB, late, block.span(), {}));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kNotInSync);
  EXPECT_EQ(writes(), 0u);
}

TEST_F(SharedVolumeTest, GrowthReachesEverySharer) {
  share(a);
  share(b);
  EXPECT_TRUE(loop.wait(volume->resize(8192)));
  EXPECT_TRUE(loop.wait(b.device->refresh_size()));
  EXPECT_EQ(b.device->size_bytes(), 8192 * kBlockSize);
}

// Whatever another node sends: an error, and nothing is carried out.
TEST_F(SharedVolumeTest, RequestsThatMakeNoSenseAreRefused) {
  share(b);
  for (uint32_t count : {0u, kIoBlocksMax + 1, UINT32_MAX}) {
    for (wire::Type type : {wire::Type::kShareRead, wire::Type::kShareZero}) {
      wire::Header request;
      request.type = type;
      request.volume = VolumeId(7);
      request.epoch = volume->record().epoch;
      request.fence = 1;
      request.seq = Seq(99);
      request.range = BlockRange{5, count};
      wire::Reply reply = loop.wait(service.handle(wire::Message(kB, request, {})));
      EXPECT_EQ(reply.header.error, Code::kInvalidArgument) << count;
    }
  }
  EXPECT_EQ(replicas[1].count(wire::Type::kZero), 0u);
  EXPECT_TRUE(write(b));
}

TEST_F(SharedVolumeTest, ErrorsOfTheVolumeAreTheApplications) {
  share(b);
  auto beyond = loop.wait(b.device->read(BlockRange{4096, 1}, other_block.span()));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, Code::kOutOfRange);
  EXPECT_FALSE(b.device->ended());
}

}  // namespace
}  // namespace cleat::engine
