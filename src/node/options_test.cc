#include "node/options.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace cleat::node {
namespace {

TEST(Reference, IsCurrent) {
  std::ifstream file(std::string(CLEAT_DOCS_DIR) + "/reference.md");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_TRUE(text == reference())
      << "docs/reference.md is out of date: build/release/bin/cleatd --reference > "
         "docs/reference.md";
}

TEST(Options, WhatANodeNeedsIsAskedFor) {
  NodeOptions options;
  OptionSet set;
  declare(set, options);
  auto applied = set.apply({.arguments = {"--node", "n1"}});
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().find("address"), std::string::npos) << applied.error();
  EXPECT_TRUE(set.apply({.arguments = {"--node", "n1", "--address", "10.0.0.1"}}));
}

}  // namespace
}  // namespace cleat::node
