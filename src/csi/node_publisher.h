// NodePublishVolume and NodeUnpublishVolume: the staged file system, or the raw device, at the path
// of one workload.
//
// Threading: any thread; two calls for one volume: kConflict for the second.
#pragma once

#include "csi/node_context.h"

namespace cleat::csi {

class NodePublisher {
 public:
  explicit NodePublisher(const NodeContext& context) : context_(context) {}

  // kBusy: not attached here, not staged, or another workload has it for itself.
  // kAlreadyExists: published at the path in another way.
  Outcome<> publish(const spec::NodePublishVolumeRequest& request);
  // Removes what publish() made at the path, too.
  Outcome<> unpublish(const spec::NodeUnpublishVolumeRequest& request);

 private:
  struct Wish;
  Outcome<> publish_mount(const Wish& wish);
  Outcome<> publish_device(const Wish& wish);
  Outcome<bool> is_bound(const Wish& wish, const host::MountLine& line) const;

  const NodeContext& context_;
};

}  // namespace cleat::csi
