// The extender of kube-scheduler, in its wire format (k8s.io/kube-scheduler/extender/v1, JSON):
// brings pods to the nodes that have the data of their volumes. It is asked with whole nodes
// (nodeCacheCapable: false) or with their names alone, and answers in kind.
//
// Threading: any thread; one question at a time, so that its memory is bounded.
#pragma once

#include <mutex>
#include <string>

#include "control/context.h"
#include "control/failure.h"

namespace cleat::control {

class SchedulerExtender {
 public:
  static constexpr size_t kBodyBytesMax = 8ULL << 20;
  static constexpr size_t kNodesMax = 15'000;
  static constexpr size_t kVolumesMax = 1'000;  // of one pod

  explicit SchedulerExtender(const ControlContext& context) : context_(context) {}

  // An ExtenderFilterResult for ExtenderArgs: without the nodes on which a volume of the pod can't
  // be attached at all. Of a pod without a volume that Cleat knows, every node stays.
  // kInvalidArgument: it is no ExtenderArgs, or has too many nodes or volumes.
  Outcome<std::string> filter(const std::string& body);
  // A HostPriorityList for ExtenderArgs, scores 0 to 10 (PodPlacement::score()).
  Outcome<std::string> prioritize(const std::string& body);

 private:
  const ControlContext& context_;
  std::mutex mutex_;
};

}  // namespace cleat::control
