// Help, manual pages and docs/cli.md, all made from the declared verbs: what is declared is
// documented.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cleat::cli {

using Path = std::vector<const CLI::App*>;  // root, group, verb

// What --help prints.
std::string help_text(const Path& path);
// docs/cli.md.
std::string markdown(const CLI::App& root);
// Manual pages (troff, man macros): file name ("cleat-volume.1") and text, of cleat and of each
// group.
std::vector<std::pair<std::string, std::string>> manual_pages(const CLI::App& root,
                                                              const std::string& version);

}  // namespace cleat::cli
