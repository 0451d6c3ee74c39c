// A fake cluster with shared volumes, and who has them.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "control/testing/fake_cluster.h"

namespace cleat::control {

class SharedCluster : public FakeCluster {
 protected:
  VolumeId create_shared(const std::string& name, uint32_t ha = 2) {
    auto in = request(name, ha);
    in.set_shared(true);
    auto made = volumes.create(in);
    EXPECT_TRUE(made) << made.error().message;
    return made ? VolumeId{*Keys::id_of(made->id())} : VolumeId{};
  }
  // The primary, and the others by name: "n1 n2 n3".
  std::string nodes_of(const std::string& name) {
    const v1::Volume volume = inspect(name);
    std::set<std::string> others;
    for (const auto& entry : volume.shared_attachments()) {
      EXPECT_FALSE(entry.device().empty()) << entry.node();
      others.insert(entry.node());
    }
    std::string out = volume.attachment().node();
    for (const auto& node : others) out += " " + node;
    return out;
  }
  std::vector<uint64_t> sharers(VolumeId id) {
    std::vector<uint64_t> out;
    for (NodeId node : record(id).sharers) out.push_back(node.value);
    std::sort(out.begin(), out.end());
    return out;
  }
  void reconcile_for_a_while() {
    for (int i = 0; i < 6; ++i) {
      ASSERT_TRUE(reconciler.run_once());
      pass_time(1);
    }
  }
  using Ids = std::vector<uint64_t>;
};

}  // namespace cleat::control
