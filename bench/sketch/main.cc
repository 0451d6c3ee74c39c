// cleat-sketch: what this machine allows at best, as JSON on standard output, for the ratios of the
// bench. See README.md.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>

#include "bench/sketch/load.h"
#include "bench/sketch/servers.h"
#include "bench/sketch/sockets.h"
#include "bench/sketch/targets.h"

namespace cleat::sketch {
namespace {

constexpr const char* kUsage =
    "usage: cleat-sketch MODE [--KEY VALUE ...]\n"
    "  run   --dir D [--size-mib 4096] [--seconds 5] [--peer ADDR]   all figures, as JSON\n"
    "  pair  --dir D [--size-mib 4096] [--listen unix:D/nbd.sock] [--peer ADDR]\n"
    "        [--primary-network F] [--peer-network F]     in the network namespaces of "
    "/proc/PID/ns/net\n"
    "                          the two servers, for fio and others, until SIGTERM\n"
    "  load  --to ADDR [--export NAME] [--pids P,P]   the same load on any NBD server\n"
    "  raw   --file F                                 the same load on a file\n"
    "  trip  [--peer ADDR]                            the round trip alone\n"
    "of load, raw and trip: [--seconds 5]; of load and raw: [--only NAME,NAME] [--operations N]\n"
    "[--range-mib N] [--seed N]\n";

using Options = std::map<std::string, std::string>;

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 2; i < argc; i += 2) {
    std::string key = argv[i];
    if (!key.starts_with("--") || i + 1 == argc) {
      std::fputs(kUsage, stderr);
      std::exit(2);
    }
    options[key.substr(2)] = argv[i + 1];
  }
  return options;
}

std::string option(const Options& options, const std::string& key, const std::string& fallback) {
  auto found = options.find(key);
  if (found != options.end()) return found->second;
  if (fallback.empty()) die("--" + key + " is needed");
  return fallback;
}

double number(const Options& options, const std::string& key, const std::string& fallback) {
  std::string text = option(options, key, fallback);
  char* end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end != 0 || value <= 0) die("--" + key + " is a positive number");
  return value;
}

double cpu_seconds(const std::vector<pid_t>& pids) {
  double total = 0;
  for (pid_t pid : pids) {
    clockid_t clock{};
    timespec time{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
      die(fmt::format("no process {} to read the CPU time of", pid));
    }
    total += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }
  return total;
}

std::string to_json(const Workload& workload, const Figures& figures, double cpu) {
  double mb = figures.per_second() * workload.bytes / 1e6;
  std::string text = fmt::format(
      R"("{}": {{"operations": {}, "seconds": {:.3f}, "iops": {:.0f}, "mb_per_s": {:.1f}, )"
      R"("p50_us": {:.1f}, "p99_us": {:.1f}, "max_us": {:.1f})",
      workload.name, figures.operations, figures.seconds, figures.per_second(), mb, figures.p50_us,
      figures.p99_us, figures.max_us);
  if (cpu > 0) {
    text += fmt::format(R"(, "server_cpu_ms_per_1000": {:.2f})",
                        cpu * 1e6 / static_cast<double>(figures.operations));
  }
  std::string gaps;
  for (const Gap& gap : figures.gaps) {
    gaps += fmt::format("{}[{:.6f}, {:.3f}]", gaps.empty() ? "" : ", ", gap.at_s, gap.ms);
  }
  return text + R"(, "gaps": [)" + gaps + "]}";
}

struct Plan {
  double seconds = 0;
  std::vector<Workload> workloads;
};

std::vector<Workload> named_workloads(const std::string& names) {
  std::vector<Workload> all = standard_workloads();
  if (names.empty()) return all;
  std::vector<Workload> chosen;
  std::stringstream list(names);
  for (std::string name; std::getline(list, name, ',');) {
    auto found = std::find_if(all.begin(), all.end(),
                              [&](const Workload& workload) { return workload.name == name; });
    if (found == all.end()) die("no workload is called '" + name + "'");
    chosen.push_back(*found);
  }
  return chosen;
}

Plan plan(const Options& options) {
  Plan plan{number(options, "seconds", "5"),
            named_workloads(options.contains("only") ? options.at("only") : "")};
  for (Workload& workload : plan.workloads) {
    if (options.contains("operations")) {
      workload.operations_max = static_cast<uint64_t>(number(options, "operations", "1"));
    }
    if (options.contains("range-mib")) {
      workload.range_bytes = static_cast<uint64_t>(number(options, "range-mib", "1")) << 20;
    }
    workload.seed = static_cast<uint64_t>(number(options, "seed", "1"));
  }
  return plan;
}

std::string measure_all(Ring& ring, Target& target, const Plan& plan,
                        const std::vector<pid_t>& pids) {
  std::string text;
  for (const Workload& workload : plan.workloads) {
    double before = cpu_seconds(pids);
    Figures figures = run_load(ring, target, workload, plan.seconds);
    text += (text.empty() ? "    " : ",\n    ") +
            to_json(workload, figures, cpu_seconds(pids) - before);
  }
  return "{\n" + text + "\n  }";
}

std::string measure_file(const std::string& path, const Plan& plan) {
  Ring ring;
  FileTarget target(ring, path);
  return measure_all(ring, target, plan, {});
}

std::string measure_nbd(const std::string& address, const std::string& export_name,
                        const Plan& plan, const std::vector<pid_t>& pids) {
  Ring ring;
  NbdTarget target(ring, address, export_name);
  return measure_all(ring, target, plan, pids);
}

void enter_network(const std::string& path) {
  if (path.empty()) return;
  int network = must(::open(path.c_str(), O_RDONLY | O_CLOEXEC), path);
  must(::setns(network, CLONE_NEWNET), "setns " + path);
  ::close(network);
}

template <class Body>
pid_t spawn(const std::string& network, Body body) {
  pid_t child = must(::fork(), "fork");
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  enter_network(network);
  body();
  ::_exit(1);
}

struct Pair {
  std::string listen;
  std::vector<pid_t> pids;
};

Pair start_pair(const Options& options) {
  std::string dir = option(options, "dir", "");
  auto bytes = static_cast<uint64_t>(number(options, "size-mib", "4096")) << 20;
  Pair pair{option(options, "listen", "unix:" + dir + "/nbd.sock"), {}};
  std::string peer = option(options, "peer", "127.0.0.1:9479");
  std::string first = dir + "/sketch-1.img";
  std::string second = dir + "/sketch-2.img";
  prepare_file(first, bytes);
  prepare_file(second, bytes);
  auto network = [&options](const char* key) {
    return options.contains(key) ? options.at(key) : std::string();
  };
  pair.pids.push_back(spawn(network("peer-network"), [&] { run_peer(peer, second); }));
  pair.pids.push_back(
      spawn(network("primary-network"), [&] { run_primary(pair.listen, first, peer); }));
  return pair;
}

void stop_pair(const Pair& pair) {
  for (pid_t pid : pair.pids) ::kill(pid, SIGKILL);
  for (pid_t pid : pair.pids) ::waitpid(pid, nullptr, 0);
}

std::string measure_trip(const std::string& address, double seconds) {
  Workload trip{.name = "round_trip_4k_qd1"};
  return to_json(trip, measure_round_trip(address, seconds), 0);
}

int run(const Options& options) {
  Plan everything = plan(options);
  std::string dir = option(options, "dir", "");
  Pair pair = start_pair(options);
  std::string raw = measure_file(dir + "/sketch-1.img", everything);
  std::string round_trip = measure_trip("127.0.0.1:9478", everything.seconds);
  std::string both = measure_nbd(pair.listen, "", everything, pair.pids);
  stop_pair(pair);
  fmt::print("{{\n  \"raw\": {},\n  \"loopback\": {{{}}},\n  \"sketch_ha2\": {}\n}}\n", raw,
             round_trip, both);
  return 0;
}

int serve_pair(const Options& options) {
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::sigaddset(&ends, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  Pair pair = start_pair(options);
  ::close(connect_to(pair.listen));  // answers once both are there
  fmt::print("{{\"listen\": \"{}\", \"pids\": [{}, {}]}}\n", pair.listen, pair.pids[0],
             pair.pids[1]);
  std::fflush(stdout);
  int signal = 0;
  ::sigwait(&ends, &signal);
  stop_pair(pair);
  return signal == SIGCHLD ? 1 : 0;
}

int load(const Options& options) {
  end_loads_on_signals();
  std::vector<pid_t> pids;
  std::string list = options.contains("pids") ? options.at("pids") : "";
  for (size_t at = 0; at < list.size();) {
    size_t comma = std::min(list.find(',', at), list.size());
    pids.push_back(std::atoi(list.substr(at, comma - at).c_str()));
    at = comma + 1;
  }
  std::string name = options.contains("export") ? options.at("export") : "";
  fmt::print("{{\n  \"nbd\": {}\n}}\n",
             measure_nbd(option(options, "to", ""), name, plan(options), pids));
  return 0;
}

int raw(const Options& options) {
  fmt::print("{{\n  \"raw\": {}\n}}\n", measure_file(option(options, "file", ""), plan(options)));
  return 0;
}

int trip(const Options& options) {
  fmt::print(
      "{{\n  \"loopback\": {{{}}}\n}}\n",
      measure_trip(option(options, "peer", "127.0.0.1:9478"), number(options, "seconds", "5")));
  return 0;
}

int dispatch(int argc, char** argv) {
  std::string mode = argc > 1 ? argv[1] : "";
  Options options = parse_options(argc, argv);
  if (mode == "run") return run(options);
  if (mode == "pair") return serve_pair(options);
  if (mode == "load") return load(options);
  if (mode == "raw") return raw(options);
  if (mode == "trip") return trip(options);
  std::fputs(kUsage, stderr);
  return 2;
}

}  // namespace
}  // namespace cleat::sketch

int main(int argc, char** argv) { return cleat::sketch::dispatch(argc, argv); }
