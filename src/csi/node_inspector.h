// What the Node service is asked about, and NodeExpandVolume: usage, health, growth, the node
// itself.
//
// Threading: any thread.
#pragma once

#include "csi/condition.h"
#include "csi/node_context.h"

namespace cleat::csi {

class NodeInspector {
 public:
  explicit NodeInspector(const NodeContext& context) : context_(context) {}

  // kNotFound: no such volume, or it is not at that path.
  Outcome<spec::NodeGetVolumeStatsResponse> stats(const spec::NodeGetVolumeStatsRequest& request);
  Outcome<spec::NodeGetVolumeHealthResponse> health(
      const spec::NodeGetVolumeHealthRequest& request);
  Outcome<spec::NodeGetStorageHealthResponse> storage_health();
  // kBusy: the kernel doesn't let the file system grow while it is mounted: it grows when it is
  // staged next.
  Outcome<spec::NodeExpandVolumeResponse> expand(const spec::NodeExpandVolumeRequest& request);
  Outcome<spec::NodeGetInfoResponse> info();

 private:
  struct Place {
    api::Volume volume;
    LocalDevice device;
    std::string path;  // real; empty: not asked for
    std::string fs;    // empty: a raw device
  };
  Outcome<Place> find(const std::string& volume_id, const std::string& path);
  std::vector<Problem> problems(const Place& place);
  Outcome<api::Node> self();

  const NodeContext& context_;
};

}  // namespace cleat::csi
