// The cluster as a whole: `cleat status`, and metadata rebuilt from the replicas' catalogs (R11).
//
// Threading: any thread.
#pragma once

#include "api/control.pb.h"
#include "control/alert_book.h"
#include "control/cluster_view.h"
#include "control/findings.h"

namespace cleat::control {

// What only the running control plane knows of its metadata store.
struct MetadataState {
  bool embedded = false;
  std::vector<std::string> endpoints;
  std::vector<std::pair<std::string, std::string>> members;  // of the embedded etcd: name, endpoint
  std::string problem;                                       // of the supervised member
  std::string refused;  // why this node did not join; empty when it did
};

// What the catalog of one replica holds.
struct CatalogCopy {
  LocalReplica replica;
  NodeId node;
};

class ClusterManager {
 public:
  using MetadataQuestion = std::function<MetadataState()>;
  ClusterManager(const ControlContext& context, AlertBook& alerts, std::string node_name,
                 MetadataQuestion metadata)
      : context_(context),
        alerts_(alerts),
        node_name_(std::move(node_name)),
        metadata_(std::move(metadata)) {}

  // Never fails: what can't be found out is said in it.
  Outcome<v1::StatusResponse> status();
  Outcome<v1::RebuildMetadataResponse> rebuild(const v1::RebuildMetadataRequest& request);

 private:
  Runtimes ask_nodes(const ClusterView& view);
  void fill_metadata(v1::StatusResponse& out);
  void fill_from(const ClusterView& view, v1::StatusResponse& out);
  std::map<VolumeId, std::vector<CatalogCopy>> gather(const ClusterView& view,
                                                      v1::RebuildMetadataResponse& out);
  Outcome<> complete_spec(const core::VolumeRecord& record, meta::VolumeSpec& spec);
  Outcome<> write_volume(const core::VolumeRecord& record, const meta::VolumeSpec& spec,
                         Revision expected);
  Outcome<> rebuild_volume(const std::vector<CatalogCopy>& copies, const VolumeView* known,
                           const v1::RebuildMetadataRequest& request,
                           v1::RebuildMetadataResponse::Item& item);
  const ControlContext& context_;
  AlertBook& alerts_;
  std::string node_name_;
  MetadataQuestion metadata_;
};

// The record to trust among those that the replicas of one volume hold: of the highest epoch, in it
// of the highest generation, then the one that calls the fewest replicas in sync. Pure. Empty
// input: none.
Outcome<core::VolumeRecord> choose_record(const std::vector<CatalogCopy>& copies,
                                          meta::VolumeSpec& spec);

// kUnreachable: the record calls a replica in sync that is not among the copies.
Outcome<> check_all_found(const core::VolumeRecord& record, const std::vector<CatalogCopy>& copies);

}  // namespace cleat::control
