// Nodes, pools and alerts as tables.
#pragma once

#include <ostream>

#include "cli/format.h"

namespace cleat::cli {

void print_node_list(std::ostream& out, const google::protobuf::RepeatedPtrField<api::Node>& nodes);
void print_node(std::ostream& out, const api::Node& node);
void print_pool_list(std::ostream& out, const google::protobuf::RepeatedPtrField<api::Pool>& pools);
void print_pool(std::ostream& out, const api::Pool& pool);
void print_alert_list(std::ostream& out,
                      const google::protobuf::RepeatedPtrField<api::Alert>& alerts);

}  // namespace cleat::cli
