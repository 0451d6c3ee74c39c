// cleat-sim: runs seeds of the simulated cluster, prints what fails and how to replay it.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "sim/cluster/cluster.h"

namespace {

using cleat::sim::PlantedBug;
using cleat::sim::RunOptions;
using cleat::sim::RunResult;

struct Arguments {
  uint64_t first = 1;
  uint64_t count = 200;
  uint64_t seconds = 20;
  std::string bug = "none";
  bool trace = false;
  bool until_failure = false;
};

// A planted bug must be found: then the exit status is 0 when a seed fails.
int run(const Arguments& arguments) {
  auto bug = cleat::sim::planted_bug(arguments.bug);
  if (!bug) {
    fmt::print(stderr, "cleat-sim: no planted bug named {}; see --help\n", arguments.bug);
    return 2;
  }
  uint64_t failed = 0, steps = 0, operations = 0, acknowledged = 0;
  auto begun = std::chrono::steady_clock::now();
  for (uint64_t seed = arguments.first; seed < arguments.first + arguments.count; ++seed) {
    RunOptions options;
    options.seed = seed;
    options.bug = *bug;
    options.trace = arguments.trace;
    options.duration = std::chrono::seconds(arguments.seconds);
    RunResult result = cleat::sim::run_seed(options);
    steps += result.steps;
    operations += result.operations;
    acknowledged += result.acknowledged;
    if (result.failure.empty()) continue;
    ++failed;
    fmt::print("seed {}: {}\n  replay: cleat-sim --first {} --count 1 --seconds {} --bug {} --trace\n",
               seed, result.failure, seed, arguments.seconds, arguments.bug);
    std::fflush(stdout);
    if (arguments.until_failure) break;
  }
  double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  fmt::print("bug {}: seeds {}..{}: {} failed; {} operations, {} acknowledged, {} steps, {:.1f} s\n",
             arguments.bug, arguments.first, arguments.first + arguments.count - 1, failed, operations,
             acknowledged, steps, took);
  bool expected = *bug == PlantedBug::kNone ? failed == 0 : failed > 0;
  return expected ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Simulates a cluster of Cleat nodes, one seed a run, and checks what must hold."};
  app.add_option("--first", arguments.first, "first seed");
  app.add_option("--count", arguments.count, "how many seeds");
  app.add_option("--seconds", arguments.seconds, "virtual seconds of faults in a run");
  std::string bugs = "planted bug; exit status 0 then means that it was found:";
  for (const auto& known : cleat::sim::planted_bug_names()) bugs += fmt::format(" {}", known.name);
  app.add_option("--bug", arguments.bug, bugs);
  app.add_flag("--trace", arguments.trace, "print what happens");
  app.add_flag("--until-failure", arguments.until_failure, "stop at the first seed that fails");
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(arguments.trace ? spdlog::level::info : spdlog::level::off);
  return run(arguments);
}
