// HTTP on port 9472: /healthz, /metrics (Prometheus text) and, for kube-scheduler, which knows no
// token, /scheduler/filter and /scheduler/prioritize for anyone; the JSON of the control API's
// answers under /v1/ with the cluster's token: status, volumes, volumes/NAME, snapshots, nodes,
// pools, alerts.
//
// Threading: its own threads; start() and stop() by one thread.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "control/node_port.h"
#include "control/scheduler_extender.h"
#include "control/services.h"

namespace httplib {
class Server;
}

namespace cleat::control {

struct HttpServerOptions {
  std::string address;
  int port = 9472;  // 0: any free one
  std::string token;
  Duration bind_timeout = 5s;
};

class HttpServer {
 public:
  HttpServer(Services services, InspectPort& inspect, SchedulerExtender& scheduler,
             HttpServerOptions options);
  ~HttpServer();
  Outcome<> start();  // kIoError: the port is taken
  void stop();
  int port() const { return port_; }

 private:
  void add_routes();
  void add_scheduler_routes();
  Services services_;
  InspectPort& inspect_;
  SchedulerExtender& scheduler_;
  HttpServerOptions options_;
  std::unique_ptr<httplib::Server> server_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace cleat::control
