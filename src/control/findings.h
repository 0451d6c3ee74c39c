// What is not as it should be, why, and what Cleat does about it: the words of `cleat status`, and
// the causes of alerts.
#pragma once

#include <map>
#include <vector>

#include "api/control.pb.h"
#include "control/alert_book.h"
#include "control/cluster_view.h"
#include "control/node_types.h"

namespace cleat::control {

// Of the volumes that have a primary, as far as those nodes answered.
using Runtimes = std::map<VolumeId, VolumeRuntime>;

// Worst first.
std::vector<v1::Finding> find_problems(const ControlContext& context, const ClusterView& view,
                                       const Runtimes& runtimes);
std::vector<AlertCause> causes_of(const std::vector<v1::Finding>& findings,
                                  const ClusterView& view);
// The kinds that causes_of() gives: an alert of such a kind clears when its cause is gone.
std::vector<std::string> standing_alert_kinds();

}  // namespace cleat::control
