// Help, manual, completion and docs/cli.md: all made from the declared verbs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cli/completion.h"
#include "cli/fake_cluster.h"
#include "cli/manual.h"
#include "cli/program.h"
#include "cli/verbs.h"
#include "cli/words.h"

namespace cleat::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string output_of(std::vector<std::string> words, const std::string& address = "/nowhere") {
  std::ostringstream out, err;
  Terminal terminal{out, err, {{"CLEAT_ADDRESS", address}}};
  EXPECT_EQ(run(words, terminal), 0) << err.str();
  return out.str();
}

class TreeTest : public ::testing::Test {
 protected:
  TreeTest() {
    root_.fallthrough();
    root_.set_help_flag("-h,--help", "Help");
    add_volume_verbs(root_, chosen_);
    add_host_verbs(root_, chosen_);
  }
  std::vector<std::string> complete_line(std::vector<std::string> words) {
    return complete(root_, words, [](const std::string& kind) -> std::vector<std::string> {
      if (kind == kVolume) return {"data1", "data2", "other"};
      if (kind == kNode) return {"node1"};
      return {};
    });
  }
  CLI::App root_{"d", "cleat"};
  Action chosen_;
};

TEST_F(TreeTest, CompletesVerbsOptionsAndNames) {
  EXPECT_THAT(complete_line({""}), ElementsAre("host", "volume"));
  EXPECT_THAT(complete_line({"v", "re"}), ElementsAre("resize", "restore"));
  EXPECT_THAT(complete_line({"v", "i", "da"}), ElementsAre("data1", "data2"));
  EXPECT_THAT(complete_line({"v", "i", "data1", "o"}), ElementsAre("other"));
  EXPECT_THAT(complete_line({"v", "resize", "data1", "o"}), IsEmpty());
  EXPECT_THAT(complete_line({"v", "c", "x", "--fs", ""}), ElementsAre("ext4", "none", "xfs"));
  EXPECT_THAT(complete_line({"v", "c", "x", "--nodes", "n"}), ElementsAre("node1"));
  EXPECT_THAT(complete_line({"v", "c", "x", "--si"}), ElementsAre("--size"));
  EXPECT_THAT(complete_line({"host", "attach", "--frontend", "n"}), ElementsAre("nbd"));
  EXPECT_THAT(complete_line({"nonsense", ""}), IsEmpty());
}

TEST_F(TreeTest, WalkNormalizesForTheParser) {
  auto words = walk(root_, {"v", "i", "list", "--", "-x"});
  EXPECT_EQ(words.problem, "");
  EXPECT_THAT(words.normalized, ElementsAre("volume", "inspect", "--", "list", "-x"));
  words = walk(root_, {"v", "c", "--size", "5", "a", "-r", "2", "-s1"});
  EXPECT_THAT(words.normalized,
              ElementsAre("volume", "create", "--size", "5", "-r", "2", "-s1", "--", "a"));
}

TEST(Completion, AsksTheCluster) {
  FakeCluster cluster;
  *cluster.volumes.list.response.add_volumes() = sample_volume("1", "data1");
  EXPECT_EQ(output_of({"complete", "--", "v", "i", ""}, cluster.address()), "data1\n");
  EXPECT_EQ(output_of({"complete", "--", "v", "i", "--j"}, cluster.address()), "--json\n");
  EXPECT_EQ(output_of({"complete", "--", "v", "i", ""}), "") << "no cluster: nothing, no error";
  EXPECT_THAT(output_of({"completion", "bash"}), HasSubstr("complete -o default -F _cleat cleat"));
}

TEST(Help, OfEveryVerbNamesItsUsage) {
  EXPECT_THAT(output_of({"--help"}), HasSubstr("Usage: cleat [OPTIONS] VERB\n"));
  EXPECT_THAT(output_of({"v", "c", "-h"}),
              HasSubstr("Usage: cleat volume create [OPTIONS] NAME\n"));
  EXPECT_THAT(output_of({"v", "s", "--help"}), HasSubstr("create, c"));
  EXPECT_THAT(output_of({"host", "mount", "-h"}),
              HasSubstr("Usage: cleat host mount [OPTIONS] VOLUME PATH\n"));
  EXPECT_THAT(output_of({"host", "mount", "-h"}), HasSubstr("--path PATH"));
}

TEST(Manual, HasAPageForEachGroup) {
  EXPECT_THAT(output_of({"man"}), HasSubstr(".TH CLEAT 1"));
  EXPECT_THAT(output_of({"man", "volume"}), HasSubstr(".SS cleat volume create [OPTIONS] NAME"));
  EXPECT_THAT(output_of({"man", "volume"}), HasSubstr("\\-\\-size SIZE"));
}

TEST(Documentation, IsCurrent) {
  std::ifstream file(std::string(CLEAT_DOCS_DIR) + "/cli.md");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_TRUE(text == output_of({"reference"}))
      << "docs/cli.md is out of date: build/release/bin/cleat reference > docs/cli.md";
}

}  // namespace
}  // namespace cleat::cli
