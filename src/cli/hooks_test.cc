// Hooks of snapshots: what runs, in which order, and what is left undone when one fails.
#include "cli/hooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <fstream>
#include <sstream>

#include "cli/fake_cluster.h"
#include "cli/program.h"

namespace cleat::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HooksTest : public ::testing::Test {
 protected:
  HooksTest() {
    cluster_.volumes.inspect.handler = [this](auto*, const auto& request, api::Volume* volume) {
      *volume = sample_volume("7", request.volume());
      if (attached_) attach_sample(*volume, "cassandra2", "10.89.0.12", true);
      (*volume->mutable_labels())["app.kubernetes.io/name"] = "it's a ring";
      return grpc::Status::OK;
    };
    cluster_.volumes.snapshot_group.handler = [this](auto*, const auto&, auto*) {
      std::ofstream(log_, std::ios::app) << "frozen\n";
      return frozen_;
    };
  }

  int snapshot(std::vector<std::string> options) {
    std::vector<std::string> words{"v", "s", "group", "a", "b"};
    words.insert(words.end(), options.begin(), options.end());
    std::ostringstream out, err;
    Terminal terminal{out, err, {{"CLEAT_ADDRESS", cluster_.address()}}};
    const int code = run(words, terminal);
    err_ = err.str();
    return code;
  }
  std::string note(const std::string& text) const { return "echo " + text + " >> " + log_; }
  std::vector<std::string> noted() const {
    std::vector<std::string> lines;
    std::ifstream in(log_);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  FakeCluster cluster_;
  std::string log_ = cluster_.address() + ".hooks";  // goes with the socket's directory
  grpc::Status frozen_;
  bool attached_ = true;
  std::string err_;
};

TEST_F(HooksTest, RunAroundTheSnapshotForEachVolume) {
  EXPECT_EQ(snapshot({"--pre-hook", note("flush $CLEAT_VOLUME"), "--post-hook",
                      note("go on $CLEAT_VOLUME on $CLEAT_NODE")}),
            0)
      << err_;
  EXPECT_THAT(noted(), ElementsAre("flush a", "flush b", "frozen", "go on a on cassandra2",
                                   "go on b on cassandra2"));
}

TEST_F(HooksTest, KnowTheLabelsOfTheVolume) {
  EXPECT_EQ(snapshot({"--pre-hook", note("\"$CLEAT_LABEL_APP_KUBERNETES_IO_NAME\"")}), 0) << err_;
  EXPECT_THAT(noted(), ElementsAre("it's a ring", "it's a ring", "frozen"));
}

TEST_F(HooksTest, KnowNoNodeOfAVolumeThatIsNotAttached) {
  attached_ = false;
  ::setenv("CLEAT_NODE", "cassandra1", 1);
  EXPECT_EQ(snapshot({"--pre-hook", note("on ${CLEAT_NODE-none}")}), 0) << err_;
  ::unsetenv("CLEAT_NODE");
  EXPECT_THAT(noted(), ElementsAre("on none", "on none", "frozen"));
}

TEST_F(HooksTest, FailureBeforeMeansNoSnapshotAndNothingStaysQuieted) {
  EXPECT_EQ(snapshot({"--pre-hook", note("quiet $CLEAT_VOLUME") + "; echo no ring >&2; exit 3",
                      "--post-hook", note("go on $CLEAT_VOLUME")}),
            1);
  EXPECT_THAT(err_, HasSubstr("--pre-hook of volume a ended with exit code 3: no ring"));
  EXPECT_THAT(noted(), ElementsAre("quiet a", "go on a"));
}

TEST_F(HooksTest, AfterwardsRunsWhenTheSnapshotFails) {
  frozen_ = grpc::Status(grpc::StatusCode::ABORTED, "a member was attached meanwhile");
  EXPECT_EQ(snapshot({"--pre-hook", "true", "--post-hook", note("go on $CLEAT_VOLUME")}), 1);
  EXPECT_THAT(err_, HasSubstr("a member was attached meanwhile"));
  EXPECT_THAT(noted(), ElementsAre("frozen", "go on a", "go on b"));
}

TEST_F(HooksTest, FailureAfterwardsIsSaidAndStopsNoOther) {
  EXPECT_EQ(snapshot({"--post-hook", note("$CLEAT_VOLUME") + "; false"}), 1);
  EXPECT_THAT(err_, HasSubstr("--post-hook of volume a ended with exit code 1"));
  EXPECT_THAT(noted(), ElementsAre("frozen", "a", "b"));
}

TEST_F(HooksTest, OneThatHangsIsKilled) {
  EXPECT_EQ(snapshot({"--pre-hook", "sleep 100", "--hook-timeout", "1"}), 1);
  EXPECT_THAT(err_, HasSubstr("didn't end within 1 s and was killed"));
  EXPECT_THAT(noted(), ElementsAre());
}

volatile sig_atomic_t g_interrupted = 0;

// A hook interrupts us: the signal comes when all is as it was.
TEST_F(HooksTest, ToldToEndMeansNoSnapshotAndNothingStaysQuieted) {
  auto former = ::signal(SIGINT, [](int) { g_interrupted = 1; });
  EXPECT_EQ(snapshot({"--pre-hook", "kill -INT " + std::to_string(::getpid()), "--post-hook",
                      note("go on $CLEAT_VOLUME")}),
            1);
  ::signal(SIGINT, former);
  EXPECT_THAT(err_, HasSubstr("told to end before the snapshot"));
  EXPECT_THAT(noted(), ElementsAre("go on a"));
  EXPECT_EQ(g_interrupted, 1);
}

}  // namespace
}  // namespace cleat::cli
