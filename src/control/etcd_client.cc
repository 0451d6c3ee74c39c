#include "control/etcd_client.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

#include "control/grpc_channel.h"

namespace cleat::control {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr Duration kPauseBetweenRounds = 50ms;
constexpr Duration kAttemptMin = 100ms;
bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

bool may_help_elsewhere(Code code) {
  return code == Code::kUnreachable || code == Code::kTimedOut || code == Code::kUnsupported;
}

// What to do when nobody answers.
std::string_view advice(Code code) {
  if (code != Code::kUnreachable && code != Code::kTimedOut) return {};
  return ": see that etcd runs there, and that cleatd's option `etcd` names it";
}

Failure unavailable(const std::string& text, const std::string& endpoint) {
  if (contains(text, "http1.x") || contains(text, "HTTP/1")) {
    return {
        Code::kUnsupported,
        fmt::format("{} answers, but not as an etcd: check the port (etcd's client port, 2379 or, "
                    "embedded, 9474)",
                    endpoint)};
  }
  if (contains(text, "etcdserver:")) {
    return {Code::kTimedOut, fmt::format("etcd at {} has no quorum: {}", endpoint, text)};
  }
  return {Code::kUnreachable, fmt::format("{} can't be reached ({})", endpoint, text)};
}

}  // namespace

Failure etcd_failure(const grpc::Status& status, const std::string& endpoint) {
  const std::string text = status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE: return unavailable(text, endpoint);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {Code::kTimedOut, fmt::format("{} didn't answer in time", endpoint)};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {Code::kUnsupported,
              fmt::format("{} is not an etcd of version 3: {}", endpoint, text)};
    case grpc::StatusCode::NOT_FOUND: return {Code::kNotFound, text};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {Code::kNoSpace, fmt::format("etcd at {} refuses: {} (compact and defragment it, or "
                                          "raise its quota)",
                                          endpoint, text)};
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return {Code::kPermission, fmt::format("etcd at {} refuses: {} (users of etcd are not "
                                             "supported)",
                                             endpoint, text)};
    case grpc::StatusCode::CANCELLED: return {Code::kCancelled, "cancelled"};
    default:
      return {Code::kIoError, fmt::format("etcd at {} failed: {} (gRPC status {})", endpoint, text,
                                          static_cast<int>(status.error_code()))};
  }
}

Outcome<std::string> parse_etcd_endpoint(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    return failure(Code::kUnsupported, "etcd endpoint {}: TLS is not supported yet, use http://",
                   text);
  }
  if (rest.starts_with("http://")) rest.remove_prefix(7);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  size_t colon = rest.rfind(':');
  int port = 0;
  if (colon != std::string_view::npos && colon > 0) {
    auto digits = rest.substr(colon + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size()) port = 0;
  }
  if (port <= 0 || port > 65535 || rest.find_first_of(" /") != std::string_view::npos) {
    return failure(Code::kInvalidArgument,
                   "etcd endpoint \"{}\" is not HOST:PORT, such as "
                   "10.0.0.1:2379",
                   text);
  }
  return std::string{rest};
}

Outcome<std::vector<std::string>> parse_etcd_endpoints(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (part.empty()) continue;
    OUTCOME_ASSIGN(std::string endpoint, parse_etcd_endpoint(part));
    out.push_back(std::move(endpoint));
  }
  if (out.empty()) return failure(Code::kInvalidArgument, "no etcd endpoint is given");
  return out;
}

Outcome<std::unique_ptr<EtcdClient>> EtcdClient::create(EtcdOptions options) {
  if (options.endpoints.empty()) {
    return failure(Code::kInvalidArgument, "no etcd endpoint is given");
  }
  for (auto& endpoint : options.endpoints) {
    OUTCOME_ASSIGN(endpoint, parse_etcd_endpoint(endpoint));
  }
  return std::unique_ptr<EtcdClient>(new EtcdClient(std::move(options)));
}

EtcdClient::EtcdClient(EtcdOptions options) : options_(std::move(options)) {
  for (const auto& endpoint : options_.endpoints) channels_.push_back(make_channel(endpoint));
}

EtcdClient::Endpoint EtcdClient::current() const {
  size_t index = current_ % channels_.size();
  return {index, channels_[index]};
}

void EtcdClient::failed(size_t index) {
  size_t expected = index;
  current_.compare_exchange_strong(expected, (index + 1) % channels_.size());
}

Outcome<> EtcdClient::call(const char* doing, const Call& call, int* attempts) {
  const auto deadline = SteadyClock::now() + options_.call_timeout;
  std::vector<std::string> told(channels_.size());
  Failure last;
  for (int attempt = 1;; ++attempt) {
    if (attempts != nullptr) *attempts = attempt;
    Endpoint endpoint = current();
    const std::string& name = options_.endpoints[endpoint.index];
    const auto begin = SteadyClock::now();
    auto left = std::min<Duration>(options_.attempt_timeout, deadline - begin);
    if (attempt > 1 && left < kAttemptMin) break;
    connect_now(*endpoint.channel, left);
    left = std::max<Duration>(left - (SteadyClock::now() - begin), kAttemptMin);
    grpc::ClientContext context;
    context.AddMetadata("hasleader", "true");  // without one it says so at once
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::microseconds>(left));
    grpc::Status status = call(endpoint.channel, context);
    if (status.ok()) return {};
    last = etcd_failure(status, name);
    if (!may_help_elsewhere(last.code)) break;
    told[endpoint.index] = last.message;
    failed(endpoint.index);
    bool round_done = static_cast<size_t>(attempt) % channels_.size() == 0;
    // What is no etcd does not become one by waiting.
    if (round_done && last.code == Code::kUnsupported) break;
    if (round_done) std::this_thread::sleep_for(kPauseBetweenRounds);
  }
  std::string words;
  for (const auto& text : told) {
    if (!text.empty()) words += (words.empty() ? "" : "; ") + text;
  }
  return failure(last.code, "cannot {} in etcd: {}{}", doing, words.empty() ? last.message : words,
                 advice(last.code));
}

}  // namespace cleat::control
