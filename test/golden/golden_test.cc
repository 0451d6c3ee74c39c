// Each *.script beside this file, and the trace that it must give: *.trace. CLEAT_GOLDEN_UPDATE=1
// writes the traces anew: read the difference before it is committed, it is a change of the rules.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "test/golden/interpreter.h"

namespace cleat::core::golden {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::filesystem::path> scripts() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(CLEAT_GOLDEN_DIR)) {
    if (entry.path().extension() == ".script") found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

TEST(Golden, EveryScriptGivesItsTrace) {
  bool update = std::getenv("CLEAT_GOLDEN_UPDATE") != nullptr;
  ASSERT_GE(scripts().size(), 8u);
  for (const std::filesystem::path& script : scripts()) {
    std::filesystem::path expected = script;
    expected.replace_extension(".trace");
    std::string trace = run_script(contents(script));
    if (update) std::ofstream(expected) << trace;
    EXPECT_EQ(trace.find("unknown command"), std::string::npos) << script;
    EXPECT_EQ(trace, contents(expected))
        << script << "\nCLEAT_GOLDEN_UPDATE=1 accepts the new trace";
  }
}

}  // namespace
}  // namespace cleat::core::golden
