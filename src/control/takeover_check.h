// Whether a volume may be taken from the node that its record names as primary.
//
// Threading: any thread.
#pragma once

#include "control/cluster_view.h"

namespace cleat::control {

// kBusy says who has it, and what to do. True: the node is gone, or does not serve it, or does not
// answer and `force` says that it is gone.
Outcome<bool> may_take_over(const ControlContext& context, const VolumeView& volume,
                            const Topology& topology, bool force);

// What a failed call leaves open: it may have been carried out, or be so later.
inline bool is_answer_lost(const Failure& why) {
  return why.code == Code::kUnreachable || why.code == Code::kTimedOut;
}

}  // namespace cleat::control
