// cleat-sim: runs seeds of the simulated cluster, prints what fails and how to replay it.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <map>
#include <string>

#include "sim/cluster/cluster.h"

namespace {

using cleat::sim::PlantedBug;
using cleat::sim::RunOptions;
using cleat::sim::RunResult;

// A run of a seed takes well under a second of processor time.
constexpr unsigned kSecondsMax = 120;

// What a handler of signals may print: the seed that runs and how to replay it.
char replay_line[256];

// A broken invariant aborts, and a loop without a step never ends: both name the seed.
void died(int signal_number) {
  std::signal(signal_number, SIG_DFL);
  ssize_t written = write(STDOUT_FILENO, replay_line, std::strlen(replay_line));
  (void)written;
  std::raise(signal_number);
}

struct Arguments {
  uint64_t first = 1;
  uint64_t count = 200;
  uint64_t seconds = 20;
  std::string bug = "none";
  bool shared = false;
  bool trace = false;
  bool trace_operations = false;
  bool until_failure = false;
  bool planted_bugs = false;

  std::string replay(uint64_t seed, std::string_view bug_name) const {
    return fmt::format("  replay: cleat-sim --seed {} --seconds {} --bug {}{} --trace\n", seed,
                       seconds, bug_name, shared ? " --shared" : "");
  }
};

struct Totals {
  uint64_t seeds = 0, failed = 0, steps = 0, operations = 0, acknowledged = 0, attaches = 0;
  std::map<std::string, int> counts;
};

std::string text_of(const std::map<std::string, int>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  }
  return text;
}

void arm_watchdog(const Arguments& arguments, uint64_t seed, std::string_view bug_name) {
  std::string line = fmt::format("seed {}: aborted, or did not end in {} s\n{}", seed, kSecondsMax,
                                 arguments.replay(seed, bug_name));
  line.resize(std::min(line.size(), sizeof replay_line - 1));
  line.copy(replay_line, line.size());
  replay_line[line.size()] = '\0';
  alarm(kSecondsMax);
}

// Determinism is what replay stands on: the same seed twice is the same run.
bool same_run_again(const RunOptions& options, const RunResult& first) {
  RunResult second = cleat::sim::run_seed(options);
  return second.steps == first.steps && second.failure == first.failure;
}

Totals run_seeds(const Arguments& arguments, PlantedBug bug, std::string_view bug_name) {
  Totals totals;
  for (uint64_t seed = arguments.first; seed < arguments.first + arguments.count; ++seed) {
    arm_watchdog(arguments, seed, bug_name);
    RunOptions options;
    options.seed = seed;
    options.bug = bug;
    options.shared = arguments.shared;
    options.trace = arguments.trace || arguments.trace_operations;
    options.trace_operations = arguments.trace_operations;
    options.duration = std::chrono::seconds(arguments.seconds);
    RunResult result = cleat::sim::run_seed(options);
    if (result.failure.empty() && seed == arguments.first && !same_run_again(options, result)) {
      result.failure = "two runs of this seed are not the same";
    }
    ++totals.seeds;
    totals.steps += result.steps;
    totals.operations += result.operations;
    totals.acknowledged += result.acknowledged;
    totals.attaches += result.attaches;
    for (const auto& [name, count] : result.counts) totals.counts[name] += count;
    if (arguments.trace) fmt::print("{}; steps {}\n", text_of(result.counts), result.steps);
    if (result.failure.empty()) continue;
    // A bug is found by the checks: one that only stops everything is another failure.
    bool counts = bug == PlantedBug::kNone || !result.hung;
    if (counts) ++totals.failed;
    fmt::print("seed {}: {}{}\n{}", seed, result.failure, counts ? "" : " (does not count)",
               arguments.replay(seed, bug_name));
    std::fflush(stdout);
    if (counts && arguments.until_failure) break;
  }
  alarm(0);
  return totals;
}

void print(const Totals& totals, uint64_t first, std::string_view bug_name, double seconds) {
  fmt::print(
      "bug {}: {} seeds from {}: {} failed; {} operations, {} acknowledged, {} attaches, {} steps, "
      "{:.1f} s; {}\n",
      bug_name, totals.seeds, first, totals.failed, totals.operations, totals.acknowledged,
      totals.attaches, totals.steps, seconds, text_of(totals.counts));
  std::fflush(stdout);
}

// A planted bug must be found: then all is well when a seed fails.
bool run_bug(Arguments arguments, const cleat::sim::PlantedBugName& bug) {
  arguments.shared |= cleat::sim::needs_sharers(bug.bug);
  auto begun = std::chrono::steady_clock::now();
  Totals totals = run_seeds(arguments, bug.bug, bug.name);
  double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  print(totals, arguments.first, bug.name, took);
  bool expected = bug.bug == PlantedBug::kNone ? totals.failed == 0 : totals.failed > 0;
  if (!expected && bug.bug != PlantedBug::kNone) fmt::print("bug {}: NOT FOUND\n", bug.name);
  return expected;
}

int run(Arguments arguments) {
  if (arguments.planted_bugs) {
    arguments.until_failure = true;
    bool all_found = true;
    for (const auto& known : cleat::sim::planted_bug_names()) {
      if (known.bug != PlantedBug::kNone && !run_bug(arguments, known)) all_found = false;
    }
    return all_found ? 0 : 1;
  }
  for (const auto& known : cleat::sim::planted_bug_names()) {
    if (known.name == arguments.bug) return run_bug(arguments, known) ? 0 : 1;
  }
  fmt::print(stderr, "cleat-sim: no planted bug named {}; see --help\n", arguments.bug);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Simulates a cluster of Cleat nodes, one seed a run, and checks what must hold."};
  uint64_t one_seed = 0;
  auto* one = app.add_option("--seed", one_seed, "this seed alone");
  app.add_option("--first-seed", arguments.first, "first seed")->excludes(one);
  app.add_option("--seeds", arguments.count, "how many seeds")->excludes(one);
  app.add_option("--seconds", arguments.seconds, "virtual seconds of faults in a run");
  std::string bugs = "planted bug; exit status 0 then means that it was found:";
  for (const auto& known : cleat::sim::planted_bug_names()) bugs += fmt::format(" {}", known.name);
  app.add_option("--bug", arguments.bug, bugs);
  app.add_flag("--shared", arguments.shared, "the volume is a shared one in every run");
  app.add_flag("--trace", arguments.trace, "print what happens");
  app.add_flag("--trace-operations", arguments.trace_operations,
               "print what clients are answered, too");
  app.add_flag("--until-failure", arguments.until_failure, "stop at the first seed that fails");
  app.add_flag("--planted-bugs", arguments.planted_bugs,
               "each planted bug in turn must be found within --seeds seeds");
  CLI11_PARSE(app, argc, argv);
  if (one->count() > 0) {
    arguments.first = one_seed;
    arguments.count = 1;
  }
  for (int signal_number : {SIGABRT, SIGSEGV, SIGALRM}) std::signal(signal_number, died);
  spdlog::set_level(arguments.trace ? spdlog::level::debug : spdlog::level::off);
  return run(arguments);
}
