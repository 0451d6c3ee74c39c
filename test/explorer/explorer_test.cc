// Every interleaving of a small volume, and proof that the walk would see a broken rule (design.md
// 12.2).
#include <gtest/gtest.h>

#include <string>
#include <unordered_set>

#include "test/explorer/world.h"

namespace cleat::core::explorer {
namespace {

struct Walk {
  size_t states = 0;
  bool complete = true;
  bool acknowledged_all = false;  // some path acknowledged every write: the walk is not idle
  std::string violation;
  std::vector<std::string> path;  // to the violation
};

class Explorer {
 public:
  Explorer(Limits limits, Mutation mutation, size_t states_max)
      : writes_(limits.writes), states_max_(states_max) {
    visit(World(limits, mutation));
  }
  const Walk& walk() const { return walk_; }

 private:
  // Depth first. Every step uses something up, so the depth is bounded.
  void visit(const World& world) {
    if (!walk_.violation.empty()) return;
    if (!world.violation().empty()) {
      walk_.violation = world.violation();
      walk_.path = path_;
      return;
    }
    if (!seen_.insert(std::hash<std::string>{}(world.key())).second) return;
    if (++walk_.states >= states_max_) {
      walk_.complete = false;
      return;
    }
    if (world.acknowledged() == writes_) walk_.acknowledged_all = true;
    for (const Action& action : world.actions()) {
      if (walk_.states >= states_max_) return;
      World next = world;
      path_.push_back(describe(action));
      next.apply(action);
      visit(next);
      path_.pop_back();
    }
  }

  int writes_;
  size_t states_max_;
  Walk walk_;
  std::vector<std::string> path_;
  std::unordered_set<size_t> seen_;
};

constexpr size_t kStatesMax = 100'000;

Walk explore(Limits limits, Mutation mutation = Mutation::kNone) {
  return Explorer(limits, mutation, kStatesMax).walk();
}

std::string joined(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& step : path) text += step + "\n";
  return text;
}

void expect_clean(const Limits& limits) {
  Walk walk = explore(limits);
  EXPECT_EQ(walk.violation, "") << joined(walk.path);
  EXPECT_TRUE(walk.acknowledged_all);
  printf("%zu states%s\n", walk.states, walk.complete ? ", all of them" : "; stopped at the limit");
}

TEST(Explorer, ResyncUnderOnePrimary) { expect_clean(Limits{2, 0, 0, 0, 1, 1, 1}); }
TEST(Explorer, FailuresAndResync) { expect_clean(Limits{2, 0, 0, 0, 1, 1, 2}); }
TEST(Explorer, LostMessages) { expect_clean(Limits{2, 1, 0, 0, 1, 0, 2}); }
TEST(Explorer, RepeatedMessages) { expect_clean(Limits{2, 0, 1, 0, 0, 0, 2}); }
TEST(Explorer, Crashes) { expect_clean(Limits{2, 0, 0, 1, 1, 0, 2}); }

TEST(Explorer, SeesABrokenRuleOfOnePrimary) {
  for (Mutation mutation : {Mutation::kAcknowledgeEarly, Mutation::kNoRemoval,
                            Mutation::kIgnoreFenceNumber, Mutation::kJoinWithoutCopy}) {
    Walk walk = explore(Limits{2, 0, 0, 0, 1, 1, 1}, mutation);
    EXPECT_NE(walk.violation, "") << "mutation " << static_cast<int>(mutation) << ", "
                                  << walk.states;
  }
}

TEST(Explorer, SeesABrokenTakeover) {
  for (Mutation mutation : {Mutation::kIgnoreEpoch, Mutation::kNoTakeover}) {
    Walk walk = explore(Limits{2, 0, 0, 0, 1, 0, 2}, mutation);
    EXPECT_NE(walk.violation, "") << "mutation " << static_cast<int>(mutation) << ", "
                                  << walk.states;
  }
}

}  // namespace
}  // namespace cleat::core::explorer
