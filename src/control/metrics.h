// What /metrics shows, in the text format of Prometheus: the cluster as its metadata say, and the
// volumes open on this node. Names are cleat_..., units are in the name (_bytes, _seconds_total).
//
// Threading: any. Without etcd only what the node itself knows is shown.
#pragma once

#include <string>

#include "control/node_port.h"
#include "control/services.h"

namespace cleat::control {

std::string metrics_text(Services& services, InspectPort& inspect);

}  // namespace cleat::control
