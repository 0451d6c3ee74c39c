// volume check and stats.
#include <fmt/format.h>

#include <chrono>
#include <ostream>
#include <thread>

#include "api/control.grpc.pb.h"
#include "cli/errors.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "cli/volume_print.h"
#include "common/option_value.h"
#include "common/units.h"

namespace cleat::cli {
namespace {

using Stub = api::Volumes::Stub;

constexpr Duration kCheckVerb = std::chrono::hours(24);  // reads every byte of every replica

struct CheckArguments {
  std::string volume;
};

void print_digests(Session& session, const api::CheckVolumeResponse& response) {
  Table table({"NODE", "POOL", "STATE", "DIGEST"});
  for (const auto& replica : response.replicas()) {
    table.add({replica.node(), replica.pool_id(), word(replica.state()),
               replica.digest().empty() ? "not read: " + replica.problem() : replica.digest()});
  }
  table.print(session.out());
}

std::string why_not_equal(const api::CheckVolumeResponse& response) {
  for (const auto& replica : response.replicas()) {
    if (!replica.digest().empty()) continue;
    return fmt::format("the replica on {} could not be read ({})", replica.node(),
                       replica.problem());
  }
  return "their digests differ";
}

Outcome<> check(Session& session, const CheckArguments& arguments) {
  api::CheckVolumeRequest request;
  request.set_volume(arguments.volume);
  auto response = call<api::Volumes>(session, &Stub::Check, request, kCheckVerb);
  if (!response) return tl::unexpected<Problem>(response.error());
  if (session.json) {
    print_json(session.out(), *response);
  } else {
    print_digests(session, *response);
  }
  if (!response->equal()) {
    return failed("corrupt",
                  fmt::format("the replicas of volume {} are not known to be equal: {}: see cleat "
                              "status and cleat volume inspect {}",
                              arguments.volume, why_not_equal(*response), arguments.volume));
  }
  if (!session.json) {
    session.out() << fmt::format("All {} replicas of volume {} are equal ({} compared).\n",
                                 response->replicas_size(), arguments.volume,
                                 format_size(response->compared_bytes()));
  }
  return {};
}

struct StatsArguments {
  std::string volume;
  std::string interval;
  uint32_t count = 1;
};

struct Rates {
  uint64_t reads, read_bytes, writes, written_bytes, operations, latency_ns, depth;
};

Rates difference(const api::VolumeStatsResponse& now, const api::VolumeStatsResponse& before) {
  Rates rates{};
  rates.reads = now.reads() - before.reads();
  rates.read_bytes = now.read_bytes() - before.read_bytes();
  rates.writes = now.writes() - before.writes();
  rates.written_bytes = now.written_bytes() - before.written_bytes();
  rates.operations = rates.reads + rates.writes;
  rates.latency_ns = now.read_ns() + now.write_ns() - before.read_ns() - before.write_ns();
  rates.depth = now.in_flight();
  return rates;
}

// A count for each second of an interval; "-" for the first row, which counts since the attach.
std::string per_second(uint64_t count, int64_t interval_ms, bool bytes) {
  if (interval_ms <= 0) return "-";
  auto rate =
      static_cast<uint64_t>(static_cast<double>(count) * 1000.0 / static_cast<double>(interval_ms));
  return bytes ? format_size(rate) + "/s" : fmt::format("{}", rate);
}

std::vector<std::string> stats_row(const api::VolumeStatsResponse& now,
                                   const api::VolumeStatsResponse& before) {
  Rates r = difference(now, before);
  int64_t interval = before.at_unix_ms() == 0 ? 0 : now.at_unix_ms() - before.at_unix_ms();
  double latency_ms = r.operations == 0 ? 0.0
                                        : static_cast<double>(r.latency_ns) /
                                              static_cast<double>(r.operations) / 1e6;
  return {format_time(now.at_unix_ms()),
          fmt::format("{}", r.read_bytes),
          fmt::format("{}", r.reads),
          fmt::format("{}", r.written_bytes),
          fmt::format("{}", r.writes),
          per_second(r.operations, interval, false),
          fmt::format("{}", r.depth),
          per_second(r.read_bytes, interval, true),
          per_second(r.written_bytes, interval, true),
          fmt::format("{:.3f}", latency_ms)};
}

Outcome<> stats(Session& session, const StatsArguments& arguments) {
  auto interval = parse_duration(arguments.interval.empty() ? "1s" : arguments.interval);
  if (!interval) return usage_problem(fmt::format("--interval: {}", interval.error()));
  api::VolumeStatsRequest request;
  request.set_volume(arguments.volume);
  Table table({"TS", "BYTES_READ", "READS", "BYTES_WRITTEN", "WRITES", "IOPS", "IO_DEPTH",
               "READ_TPUT", "WRITE_TPUT", "LATENCY(ms)"});
  api::VolumeStatsResponse before;
  for (uint32_t i = 0; i < arguments.count; ++i) {
    if (i > 0) std::this_thread::sleep_for(*interval);
    auto now = call<api::Volumes>(session, &Stub::Stats, request);
    if (!now) return tl::unexpected<Problem>(now.error());
    if (session.json) print_json(session.out(), *now);
    table.add(stats_row(*now, before));
    before = *now;
  }
  if (!session.json) table.print(session.out());
  return {};
}

}  // namespace

void add_volume_check_verbs(CLI::App& volume, Action& chosen) {
  auto checked = std::make_shared<CheckArguments>();
  CLI::App* check_verb = add_verb(
      volume, "check", "Read each replica alone and compare; exit 0 only when all are equal");
  add_text(check_verb, "volume", checked->volume, kVolume, "Name or id")->required();
  on_run(check_verb, chosen, checked, check);

  auto arguments = std::make_shared<StatsArguments>();
  CLI::App* verb = add_verb(volume, "stats",
                            "I/O of an attached volume: first since its attach, then by interval");
  add_text(verb, "volume", arguments->volume, kVolume, "Name or id")->required();
  verb->add_option("--interval", arguments->interval, "Time between two rows, as 1s")
      ->type_name("DURATION");
  verb->add_option("--count", arguments->count, "Number of rows")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  set_examples(verb, {"cleat volume stats data1 --interval 1s --count 10"});
  on_run(verb, chosen, arguments, stats);
}

}  // namespace cleat::cli
