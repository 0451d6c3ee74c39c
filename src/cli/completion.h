// Completion: the shell asks the program itself (`cleat complete`), so it is never out of date.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace cleat::cli {

// Names of a kind (kVolume, kNode, ... of verbs.h) from the cluster; empty when it can't be asked.
using NameSource = std::function<std::vector<std::string>(const std::string& kind)>;

// What the last of `words` (it may be empty) can become, sorted. Words come without the program's
// name.
std::vector<std::string> complete(const CLI::App& root, const std::vector<std::string>& words,
                                  const NameSource& names);

// For `source <(cleat completion bash)`.
std::string bash_completion();

}  // namespace cleat::cli
