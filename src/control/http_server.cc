#include "control/http_server.h"

#include <google/protobuf/util/json_util.h>
#include <httplib.h>

#include <chrono>

#include "common/units.h"
#include "control/api_server.h"
#include "control/metrics.h"
#include "control/status_codes.h"

namespace cleat::control {
namespace {

constexpr size_t kThreads = 4;
constexpr std::string_view kBearer = "Bearer ";

std::string to_json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string out;
  auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
  return status.ok() ? out : "{}";
}

std::string escape(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

void fail_with(const Failure& failure, httplib::Response& response) {
  response.status = http_code(failure.code);
  response.set_content(fmt::format("{{\"error\":\"{}\",\"message\":\"{}\"}}\n",
                                   to_string(failure.code), escape(failure.message)),
                       "application/json");
}

template <class Message>
void respond(const Outcome<Message>& result, httplib::Response& response) {
  if (!result) return fail_with(result.error(), response);
  response.set_content(to_json(*result), "application/json");
}

// The body as far as it is within the limit, whatever length the client says.
Outcome<std::string> read_body(const httplib::ContentReader& reader, size_t bytes_max) {
  std::string body;
  const bool read = reader([&](const char* data, size_t size) {
    if (body.size() + size > bytes_max) return false;
    body.append(data, size);
    return true;
  });
  if (read) return body;
  return failure(Code::kInvalidArgument,
                 "the request can't be read, or is larger than {}: let the scheduler send names "
                 "of nodes alone (nodeCacheCapable: true)",
                 format_size(bytes_max));
}

}  // namespace

HttpServer::HttpServer(Services services, InspectPort& inspect, SchedulerExtender& scheduler,
                       HttpServerOptions options)
    : services_(std::move(services)),
      inspect_(inspect),
      scheduler_(scheduler),
      options_(std::move(options)),
      server_(std::make_unique<httplib::Server>()) {
  server_->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server_->set_socket_options([](socket_t socket) {
    const int on = 1;  // without SO_REUSEPORT, which httplib sets by default
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  add_routes();
  add_scheduler_routes();
}

HttpServer::~HttpServer() { stop(); }

void HttpServer::add_routes() {
  server_->Get("/healthz", [this](const httplib::Request&, httplib::Response& response) {
    auto status = services_.cluster.status();
    const bool good = status && status->health() != v1::HEALTH_DOWN;
    response.status = good ? 200 : 503;
    std::string text = good ? "ok\n" : "not ok\n";
    if (status && !status->findings().empty()) text += status->findings(0).what() + "\n";
    response.set_content(text, "text/plain");
  });
  server_->Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics_text(services_, inspect_), "text/plain; version=0.0.4");
  });
  auto guarded = [this](const std::string& path, auto handler) {
    server_->Get(
        path, [this, handler](const httplib::Request& request, httplib::Response& response) {
          const std::string given = request.get_header_value("Authorization");
          if (!given.starts_with(kBearer) ||
              !same_token(std::string_view{given}.substr(kBearer.size()), options_.token)) {
            return fail_with(
                {Code::kPermission, "the cluster's token is needed: Authorization: Bearer TOKEN"},
                response);
          }
          handler(request, response);
        });
  };
  guarded("/v1/status",
          [this](const auto&, auto& response) { respond(services_.cluster.status(), response); });
  guarded("/v1/nodes",
          [this](const auto&, auto& response) { respond(services_.nodes.list(), response); });
  guarded("/v1/pools",
          [this](const auto&, auto& response) { respond(services_.pools.list({}), response); });
  guarded("/v1/alerts",
          [this](const auto&, auto& response) { respond(services_.alerts.list({}), response); });
  guarded("/v1/volumes",
          [this](const auto&, auto& response) { respond(services_.volumes.list({}), response); });
  guarded("/v1/snapshots",
          [this](const auto&, auto& response) { respond(services_.snapshots.list({}), response); });
  guarded(R"(/v1/volumes/([A-Za-z0-9._-]+))", [this](const auto& request, auto& response) {
    v1::InspectVolumeRequest inspect;
    inspect.set_volume(request.matches[1].str());
    respond(services_.volumes.inspect(inspect), response);
  });
}

void HttpServer::add_scheduler_routes() {
  using Verb = Outcome<std::string> (SchedulerExtender::*)(const std::string&);
  auto add = [this](const char* path, Verb verb) {
    server_->Post(path, [this, verb](const httplib::Request& request, httplib::Response& response,
                                     const httplib::ContentReader& reader) {
      if (request.is_multipart_form_data()) {
        return fail_with({Code::kInvalidArgument, "the body must be JSON, not a form"}, response);
      }
      auto body = read_body(reader, SchedulerExtender::kBodyBytesMax);
      if (!body) return fail_with(body.error(), response);
      auto answer = (scheduler_.*verb)(*body);
      if (!answer) return fail_with(answer.error(), response);
      response.set_content(*answer, "application/json");
    });
  };
  add("/scheduler/filter", &SchedulerExtender::filter);
  add("/scheduler/prioritize", &SchedulerExtender::prioritize);
}

Outcome<> HttpServer::start() {
  const auto deadline = std::chrono::steady_clock::now() + options_.bind_timeout;
  while (true) {
    if (options_.port == 0) {
      port_ = server_->bind_to_any_port(options_.address);
    } else {
      port_ = server_->bind_to_port(options_.address, options_.port) ? options_.port : -1;
    }
    if (port_ > 0) break;
    if (std::chrono::steady_clock::now() >= deadline) {
      return failure(Code::kIoError, "cannot listen on {}:{}: is another cleatd running?",
                     options_.address, options_.port);
    }
    std::this_thread::sleep_for(100ms);
  }
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  return {};
}

void HttpServer::stop() {
  if (!thread_.joinable()) return;
  // stop() does nothing to a server that has not begun to listen.
  while (!server_->is_running()) std::this_thread::sleep_for(1ms);
  server_->stop();
  thread_.join();
}

}  // namespace cleat::control
