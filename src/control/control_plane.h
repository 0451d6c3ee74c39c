// The control plane of one node, put together: metadata store (with the embedded etcd), presence,
// managers, reconciler, API servers. What src/node makes one of.
//
// Life: create() (quick; starts the embedded etcd, waits for nothing) -> the engine starts, with
// records() and peers() -> start(ports) -> ... -> stop(). After kill -9 a new one goes on with the
// same data_dir.
// Threading: create(), start(), stop() by one thread; the rest by any.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "control/context.h"
#include "control/etcd_supervisor.h"
#include "control/node_identity.h"
#include "control/record_store.h"

namespace cleat::control {

struct ControlOptions {
  std::string cluster = "cleat";
  std::string node;
  std::string address;
  std::string rack;
  std::string zone;
  std::string data_dir = "/var/lib/cleat";
  std::string run_dir = "/run/cleat";
  std::string etcd = "embedded";  // or endpoints, comma separated
  std::string peers;              // "name=address,..."
  std::string secret;             // the cluster secret's bytes
  std::string version;
  std::string kernel;
  uint16_t control_port = 9471;
  uint16_t http_port = 9472;
  uint16_t etcd_client_port = 9474;
  uint16_t etcd_peer_port = 9475;
  Duration reconcile_period = 5s;
  ControlLimits limits;
  std::function<uint64_t()> now_unix_ms;  // none: the system's clock
  std::function<uint64_t()> random;       // none: OpenSSL
};

struct PeerAddress {
  NodeId node;
  std::string name;
  std::string address;  // without port
  bool alive = false;
};

class ControlPlane {
 public:
  // kInvalidArgument, kNotFound (no etcd binary), kCorrupt (identity file), kIoError.
  static Outcome<std::unique_ptr<ControlPlane>> create(ControlOptions options);
  ~ControlPlane();

  NodeId node_id() const;
  // The cluster's uuid once joined; empty before.
  std::string cluster_uuid() const;
  RecordStore& records();
  MetaStore& store();
  // Where a node is reached. From memory when etcd is away; kNotFound when it was never known.
  Outcome<PeerAddress> peer(NodeId node);

  // Serves from now on. `ports` are borrowed until stop() returns.
  Outcome<> start(NodePorts ports);
  void stop();
  bool joined() const;

 private:
  class Impl;
  explicit ControlPlane(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cleat::control
