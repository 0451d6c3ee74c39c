// NodeStageVolume and NodeUnstageVolume: the volume's file system, mounted once on this node.
// A raw device has nothing to mount here.
//
// Threading: any thread; two calls for one volume: kConflict for the second.
#pragma once

#include "csi/node_context.h"

namespace cleat::csi {

class Stager {
 public:
  explicit Stager(const NodeContext& context) : context_(context) {}

  // kBusy: not attached here. kAlreadyExists: staged in another way.
  Outcome<> stage(const spec::NodeStageVolumeRequest& request);
  Outcome<> unstage(const spec::NodeUnstageVolumeRequest& request);

 private:
  struct Wish;
  Outcome<LocalDevice> device_of(api::Volume& volume);
  Outcome<bool> is_staged(const Wish& wish);
  Outcome<> mount(const Wish& wish);
  Outcome<> grow_mounted(const Wish& wish);

  const NodeContext& context_;
};

}  // namespace cleat::csi
