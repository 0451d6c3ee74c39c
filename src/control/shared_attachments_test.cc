#include "control/shared_attachments.h"

#include "control/shared_entries.h"
#include "control/testing/fake_cluster.h"

namespace cleat::control {
namespace {

class SharedTest : public FakeCluster {
 protected:
  VolumeId create_shared(const std::string& name, uint32_t ha = 2) {
    auto in = request(name, ha);
    in.set_shared(true);
    auto made = volumes.create(in);
    EXPECT_TRUE(made) << made.error().message;
    return made ? VolumeId{*Keys::id_of(made->id())} : VolumeId{};
  }
  // The primary first: "n1 n2 n3".
  std::string nodes_of(const std::string& name) {
    const v1::Volume volume = inspect(name);
    std::string out = volume.attachment().node();
    for (const auto& entry : volume.shared_attachments()) {
      EXPECT_FALSE(entry.device().empty()) << entry.node();
      out += (out.empty() ? "" : " ") + entry.node();
    }
    return out;
  }
  std::vector<uint64_t> sharers(VolumeId id) {
    std::vector<uint64_t> out;
    for (NodeId node : record(id).sharers) out.push_back(node.value);
    std::sort(out.begin(), out.end());
    return out;
  }
  using Ids = std::vector<uint64_t>;
};

TEST_F(SharedTest, EachNodeGetsADeviceAndTheFirstIsPrimary) {
  VolumeId id = create_shared("s");
  EXPECT_TRUE(inspect("s").shared());
  ASSERT_TRUE(attach("s", "n1"));
  auto second = attach("s", "n2");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->attachment().node(), "n2");
  EXPECT_EQ(second->attachment().device(), "/dev/cleat/s");
  EXPECT_EQ(second->epoch(), 1U) << "the primary stays";
  ASSERT_TRUE(attach("s", "n3"));
  EXPECT_TRUE(attach("s", "n2")) << "repeatable";
  EXPECT_TRUE(attach("s", "n1"));
  EXPECT_EQ(nodes_of("s"), "n1 n3 n2");
  EXPECT_EQ(sharers(id), (Ids{1, 2, 3}));
  EXPECT_EQ(record(id).epoch.value, 1U);
}

TEST_F(SharedTest, ASharerIsDetachedAlone) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  ASSERT_TRUE(detach("s", "n2"));
  EXPECT_EQ(nodes_of("s"), "n1 n3");
  EXPECT_EQ(sharers(id), (Ids{1, 3}));
  EXPECT_TRUE(detach("s", "n2")) << "repeatable";
  ASSERT_TRUE(detach("s"));
  EXPECT_EQ(inspect("s").state(), v1::VOLUME_STATE_DETACHED);
  EXPECT_EQ(sharers(id), Ids{});
  EXPECT_TRUE(remove("s"));
}

TEST_F(SharedTest, WhereThePrimaryIsDetachedAnotherBecomesIt) {
  VolumeId id = create_shared("s");
  for (const char* node : {"n3", "n1", "n2"}) ASSERT_TRUE(attach("s", node));
  ASSERT_TRUE(detach("s", "n3"));
  EXPECT_EQ(nodes_of("s"), "n1 n2") << "n1 has a replica in sync";
  EXPECT_EQ(record(id).primary, NodeId{1});
  EXPECT_EQ(sharers(id), (Ids{1, 2}));
  EXPECT_TRUE(state(1).attached.contains(id));
  EXPECT_FALSE(state(1).through.contains(id));
}

TEST_F(SharedTest, ALostPrimaryIsReplacedByASharerAndExpelled) {
  VolumeId id = create_shared("s", 3);
  for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(attach("s", node));
  kill(1);
  ASSERT_TRUE(reconciler.run_once());
  EXPECT_EQ(nodes_of("s"), "n2 n3");
  EXPECT_EQ(record(id).primary, NodeId{2});
  EXPECT_EQ(record(id).epoch.value, 2U);
  EXPECT_EQ(sharers(id), (Ids{2, 3}));
  EXPECT_EQ(inspect("s").state(), v1::VOLUME_STATE_ATTACHED);
}

}  // namespace
}  // namespace cleat::control
